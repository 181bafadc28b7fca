package main

import (
	"bytes"
	"encoding/json"
	"go/build"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const vectors = "../../preserve/testdata/vectors"

func TestExitCodes(t *testing.T) {
	v := func(name string) string { return filepath.Join(vectors, name) }
	for _, c := range []struct {
		args string
		code int
		says string // on stdout or stderr
	}{
		{"--trust TRUST good.wacz", exitSound, "verdict: passed"},
		{"good.wacz", exitSound, "signer.unpinned"},
		{"--strict good.wacz", exitUnknown, "verdict: cannot tell"},
		{"--strict --trust TRUST good.wacz", exitSound, "verdict: passed"},
		{"--trust TRUST good-practice.wacz", exitSound, "stamp.practice"},
		{"--trust TRUST --strict good-practice.wacz", exitUnknown, "stamp.practice"},
		{"--trust TRUST --strict good-failed.wacz", exitSound, "verdict: passed"},
		{"good.wacz seal-touched.seal.json", exitAltered, "envelope.invalid"},
		{"good.wacz seal-open.seal.json", exitAltered, "envelope.missing"},
		{"good-unsealed.wacz", exitUnknown, "seal.missing"},
		{"--trust TRUST good.wacz seal-other.seal.json", exitAltered, "seal.other_digest"},
		{"good-unsealed.wacz good-unsealed.wacz", exitAltered, "seal.unreadable"},
		{"changed-text.wacz", exitAltered, "evidence/text.txt"},
		{"zip-slip.wacz", exitAltered, "zip.path"},
		{"none.wacz", exitFailure, "none.wacz"},
		{"good.wacz none.json", exitFailure, "none.json"},
		{"--trust none.json good.wacz", exitFailure, "none.json"},
		{"", exitUsage, "Usage"},
		{"a b c", exitUsage, "Usage"},
		{"--nonsense good.wacz", exitUsage, "nonsense"},
		{"--help", exitSound, "Exit codes"},
	} {
		var args []string
		for _, a := range strings.Fields(c.args) {
			switch {
			case a == "TRUST":
				a = v("trust.json")
			case strings.Contains(a, "."):
				a = v(a)
			}
			args = append(args, a)
		}
		var out, errs bytes.Buffer
		code := run(t.Context(), args, &out, &errs)
		if code != c.code || !strings.Contains(out.String()+errs.String(), c.says) {
			t.Errorf("%s: exit %d, want %d saying %q\n%s%s", c.args, code, c.code, c.says, out.String(), errs.String())
		}
	}
}

func TestJSON(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--json", filepath.Join(vectors, "good.wacz"), filepath.Join(vectors, "log-moved.seal.json")}, &out, &errs); code != exitAltered {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	var v struct {
		Outcome string
		Checks  []struct{ Name, Outcome, Code string }
	}
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || v.Outcome != "failed" || len(v.Checks) < 25 {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[2Jb\n\u202e\"c\"茶"); got != `a\x1b[2Jb\n\u202e"c"茶` {
		t.Errorf("got %s", got)
	}
}

// The verifier must stay small enough to be read: no browser, no database,
// no PDF, no log server.
func TestLinksLittle(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), filepath.Join(build.Default.GOROOT, "bin", "go"), "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		for _, no := range []string{"chromedp", "cdproto", "fpdf", "pdfcpu", "tessera", "sqlite", "pgx", "minio", "nats", "cobra", "opentelemetry"} {
			if strings.Contains(dep, no) {
				t.Errorf("links %s", dep)
			}
		}
		if strings.HasPrefix(dep, "guzheng/") && !strings.HasPrefix(dep, "guzheng/preserve/") && dep != "guzheng/capture" && dep != "guzheng/capture/warc" && dep != "guzheng/cmd/guzheng-verify" {
			t.Errorf("reaches %s", dep)
		}
	}
}
