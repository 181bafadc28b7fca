package key

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

func TestSignWithOpenSSL(t *testing.T) {
	dir := t.TempDir()
	k, err := Open(filepath.Join(dir, "k.pem"), nil)
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("a package\n")
	sig, err := k.Sign(sha256.Sum256(data))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"pub.pem": k.PublicPEM(), "sig.der": sig, "data": data} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "openssl", "dgst", "-sha256", "-verify", "pub.pem", "-signature", "sig.der", "data")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
	}
	id, spki := k.Identity()
	if id != k.ID || !bytes.Equal(spki, k.SPKI) || len(id) != 64 {
		t.Errorf("identity %s", id)
	}
}

func TestOpenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.pem")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			k, err := Open(path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = k.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatal("different keys were made")
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if _, err := Open(path, []byte("x")); !errors.Is(err, ErrPlain) {
		t.Errorf("plain key with passphrase: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, nil); !errors.Is(err, ErrMode) {
		t.Errorf("key readable by others: %v", err)
	}
}

func TestPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.pem")
	k, err := open(path, []byte("secret"), 10)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || bytes.Contains(b, []byte("PRIVATE KEY")) || !bytes.HasPrefix(b, []byte("-----BEGIN AGE")) {
		t.Errorf("file is not encrypted: %.40s %v", b, err)
	}
	if _, err := Open(path, nil); !errors.Is(err, ErrPassphrase) {
		t.Errorf("no passphrase: %v", err)
	}
	if _, err := Open(path, []byte("wrong")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	again, err := Open(path, []byte("secret"))
	if err != nil || again.ID != k.ID {
		t.Errorf("opened again: %v", err)
	}
}

func TestGarbage(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "text": "x", "other PEM": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		path := filepath.Join(t.TempDir(), "k.pem")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, nil); err == nil {
			t.Errorf("%s: opened", name)
		}
		if b, _ := os.ReadFile(path); string(b) != text {
			t.Errorf("%s: file was replaced", name)
		}
	}
}
