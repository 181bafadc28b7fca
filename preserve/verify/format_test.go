package verify_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The commands that FORMAT.md shows say of the vectors what we say.
func TestFormatCommands(t *testing.T) {
	for _, tool := range []string{"sh", "unzip", "sha256sum", "basenc", "openssl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s to judge with: %v", tool, err)
		}
	}
	_, script, ok := strings.Cut(string(read(t, "../FORMAT.md")), "```sh\n")
	script, _, ok2 := strings.Cut(script, "```")
	if !ok || !ok2 {
		t.Fatal("FORMAT.md shows no commands")
	}
	byName := map[string]vector{}
	for _, v := range index(t) {
		byName[v.Name] = v
	}
	for name, good := range map[string]bool{
		"good": true, "changed-text": false, "changed-manifest": false, "raw-other": false, "signer-other": false,
		"signature-other": false, "seal-other": false, "seal-open": false, "seal-touched": false, "stamp-other": false, "log-other": false, "log-moved": false,
		"list-sm3": false, "raw-root": false, "signature-flipped": false, "log-reordered": false, "log-forged": false, "stamp-expired": false, "good-intermediate": true,
	} {
		if testing.Short() && name != "good" && name != "changed-text" && name != "seal-touched" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
			v := byName[name]
			cmd.Env = append(os.Environ(), "PKG="+filepath.Join(vectors, v.Package), "SEAL="+filepath.Join(vectors, v.Seal), "ROOT="+filepath.Join(vectors, "root.pem"), "TMPDIR="+t.TempDir(), "LC_ALL=C")
			out, err := cmd.CombinedOutput()
			if good != (err == nil) {
				t.Errorf("good %v, commands say %v\n%s", good, err, out)
			}
			if good && bytes.Count(out, []byte("Verified OK")) != 3 {
				t.Errorf("not all three signatures:\n%s", out)
			}
		})
	}
}
