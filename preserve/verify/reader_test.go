package verify_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"guzheng/preserve/verify"
)

// secondReader runs preserve/testdata/reader.py.
func secondReader(t *testing.T, args ...string) (string, error) {
	t.Helper()
	for _, tool := range []string{"python3", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s for the second reader: %v", tool, err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "python3", append([]string{"-B", "../testdata/reader.py"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A reader in another language, written from FORMAT.md alone, says of every
// layer of every vector what we say.
func TestSecondReader(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: the second reader calls openssl 800 times")
	}
	if out, err := secondReader(t, "--vectors", vectors); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The second reader notices a verdict that is not its own.
func TestSecondReaderDiffers(t *testing.T) {
	dir := t.TempDir()
	var wrong []vector
	for _, v := range index(t) {
		if v.Name == "good" {
			v.Layers["log.key"] = verify.Failed
			wrong = append(wrong, v)
		}
	}
	b, err := json.Marshal(wrong)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"verdicts.json": b, "good.wacz": read(t, filepath.Join(vectors, "good.wacz")),
		"good.seal.json": read(t, filepath.Join(vectors, "good.seal.json")), "trust.json": read(t, filepath.Join(vectors, "trust.json")),
		"root.pem": read(t, filepath.Join(vectors, "root.pem"))} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := secondReader(t, "--vectors", dir)
	if err == nil || !strings.Contains(out, "log.key is passed, should be failed") {
		t.Errorf("%v\n%s", err, out)
	}
}
