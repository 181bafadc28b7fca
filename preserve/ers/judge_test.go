package ers_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"guzheng/preserve/ers"
)

// jars of Debian's libbcpkix-java.
const jars = "/usr/share/java/bcpkix.jar:/usr/share/java/bcprov.jar:/usr/share/java/bcutil.jar"

// TestBouncyCastle has BouncyCastle judge records of every kind, and records
// that it must refuse.
func TestBouncyCastle(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Java compiler: skipped with -short")
	}
	if _, err := exec.LookPath("javac"); err != nil {
		t.Skip("no Java compiler; Debian has it in default-jdk-headless")
	}
	if _, err := os.Stat(strings.Split(jars, ":")[0]); err != nil {
		t.Skip("no BouncyCastle; Debian has it in libbcpkix-java")
	}
	dir := t.TempDir()
	var lines, wants []string
	file := func(b []byte) string {
		f, err := os.CreateTemp(dir, "")
		if err == nil {
			_, err = f.Write(b)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	ask := func(want, what string, r ers.Record, data ...string) {
		der, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		line := file(der)
		for _, d := range data {
			line += " " + file([]byte(d))
		}
		lines, wants = append(lines, line), append(wants, want+"\t"+what)
	}
	texts := []string{"a package", "its seal", "its second seal"}
	for _, shape := range []struct{ i, n, objects int }{{0, 1, 3}, {2, 3, 3}, {5, 7, 2}, {0, 1, 1}, {4, 5, 1}, {40, 64, 3}} {
		records, _, _ := life(t, objects()[:shape.objects], shape.i, shape.n)
		for k, r := range records {
			what := fmt.Sprintf("%+v, record %d", shape, k)
			ask("valid", what, r, texts[:shape.objects]...)
			ask("invalid", what+", other data", r, append([]string{"another package"}, texts[1:shape.objects]...)...)
			if shape.objects > 2 {
				ask("invalid", what+", data left out", r, texts[1:shape.objects]...)
			}
		}
		last := records[len(records)-1]
		ask("invalid", "stamp left out", ers.Record{Chains: []ers.Chain{{last.Chains[0][1], last.Chains[0][2]}, last.Chains[1], last.Chains[2]}}, texts[:shape.objects]...)
		ask("invalid", "chain left out", ers.Record{Chains: []ers.Chain{last.Chains[0], last.Chains[2]}}, texts[:shape.objects]...)
		ask("invalid", "stamps exchanged", ers.Record{Chains: []ers.Chain{{last.Chains[0][2], last.Chains[0][1], last.Chains[0][0]}}}, texts[:shape.objects]...)
	}
	cmd := exec.CommandContext(t.Context(), "java", "-cp", jars, filepath.Join("testdata", "Judge.java"))
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(got) != len(wants) {
		t.Fatalf("%v, %d answers of %d\n%s%s", err, len(got), len(wants), out, stderr.String())
	}
	for i, w := range wants {
		want, what, _ := strings.Cut(w, "\t")
		if said, _, _ := strings.Cut(got[i], " "); said != want {
			t.Errorf("%s: %s, want %s", what, got[i], want)
		}
	}
}
