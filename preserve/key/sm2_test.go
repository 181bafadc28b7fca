package key

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// openssl verifies what the key signs, and reads the key file itself.
func TestSM2WithOpenSSL(t *testing.T) {
	dir := t.TempDir()
	k, err := OpenSM2(filepath.Join(dir, "k.pem"), nil)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := k.SignMessage([]byte("sm3:00"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"pub.pem": k.PublicPEM(), "sig.der": sig, "data": []byte("sm3:00"), "other": []byte("sm3:01")} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openssl := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	verify := []string{"dgst", "-sm3", "-verify", "pub.pem", "-sigopt", "distid:1234567812345678", "-signature", "sig.der"}
	if out, err := openssl(append(verify, "data")...); err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
	}
	if out, err := openssl(append(verify, "other")...); err == nil {
		t.Errorf("openssl accepted another message:\n%s", out)
	}
	if out, err := openssl("pkeyutl", "-verify", "-pubin", "-inkey", "pub.pem", "-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678", "-in", "data", "-sigfile", "sig.der"); err != nil {
		t.Errorf("openssl pkeyutl: %v\n%s", err, out)
	}
	if out, err := openssl("pkey", "-in", "k.pem", "-pubout"); err != nil || !bytes.Equal(out, k.PublicPEM()) {
		t.Errorf("openssl reads another key: %v\n%s", err, out)
	}
}

func TestSM2OpenAgain(t *testing.T) {
	dir := t.TempDir()
	path, pass := filepath.Join(dir, "k.pem"), []byte("secret")
	k, err := openSM2(path, pass, 2)
	if err != nil {
		t.Fatal(err)
	}
	again, err := openSM2(path, pass, 2)
	if err != nil || again.ID != k.ID {
		t.Errorf("another key: %v", err)
	}
	if _, err := openSM2(path, nil, 2); !errors.Is(err, ErrPassphrase) {
		t.Errorf("without passphrase: %v", err)
	}
	// Neither kind is taken for the other.
	p := filepath.Join(dir, "p384.pem")
	if _, err := Open(p, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSM2(p, nil); err == nil {
		t.Error("a P-384 key as SM2")
	}
	s := filepath.Join(dir, "sm2.pem")
	if _, err := OpenSM2(s, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s, nil); err == nil {
		t.Error("an SM2 key as P-384")
	}
}
