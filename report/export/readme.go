package export

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"
	"unicode"

	"guzheng/capture"
	"guzheng/preserve/verify"
	"guzheng/storage"
)

//go:embed readme/*.tmpl
var readmes embed.FS

// Names of the text and of the page at the top of an export.
const (
	readmeFile = "README.txt"
	pageFile   = "verify.html"
	toolsDir   = "verifiers/"
)

// told is what the README says of a record.
type told struct {
	ID          string
	Entry       storage.Entry
	Verdict     verify.Verdict
	Faults      []string // in words; empty for a sound record
	Unknown     []string // in words: what could not be told
	Seal        string   // file name of the newest seal
	Sheet       bool
	Fingerprint string
	Stamps      []toldStamp
	LogOrigin   string
	LogIndex    int64 // from 1; 0 is none
	LogKey      bool  // log/key.pem is there
}

type toldStamp struct {
	Name     string
	Time     time.Time
	Practice bool
	Raw      bool // over the raw files, before packaging
}

// A toolFile is a verifier in the export.
type toolFile struct{ Name, SHA256 string }

// toolName is how make names what it puts into bin/verifiers.
var toolName = regexp.MustCompile(`^(` + regexp.QuoteMeta(pageFile) + `|guzheng-verify-[a-z0-9]+-[a-z0-9]+(\.exe)?)$`)

// Tools lists the verifiers in a directory. One without any, or none at all,
// gives an empty list.
func Tools(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if toolName.MatchString(e.Name()) && e.Type().IsRegular() {
			out = append(out, e.Name())
		}
	}
	return out
}

// addTools copies the verifiers: the page to the top, where it is found, and
// the programs below verifiers.
func (p *parcel) addTools() error {
	for _, name := range Tools(p.x.Tools) {
		f, err := os.Open(filepath.Join(p.x.Tools, name))
		if err != nil {
			return fmt.Errorf("adding verifier: %w", err)
		}
		at, mode := name, os.FileMode(0o644)
		if name != pageFile {
			at, mode = toolsDir+name, 0o755
		}
		sum, err := p.bag.Add(at, mode, &ctxReader{p.ctx, f})
		_ = f.Close() // it was only read
		if err != nil {
			return fmt.Errorf("adding verifier: %w", err)
		}
		p.tools = append(p.tools, toolFile{at, sum})
	}
	return nil
}

// readme writes the text about the export. Its commands are run by a test.
func (p *parcel) readme() error {
	t, err := template.New(p.x.Words.Lang()+".tmpl").Funcs(template.FuncMap{
		"inc":     func(i int) int { return i + 1 },
		"time":    func(t time.Time) string { return t.In(capture.Beijing).Format(time.DateTime) },
		"outcome": func(v verify.Verdict) string { return p.x.Words.T("outcome." + string(v.Outcome())) },
	}).ParseFS(readmes, "readme/commands.tmpl", "readme/"+p.x.Words.Lang()+".tmpl")
	if err != nil {
		return fmt.Errorf("writing %s: %w", readmeFile, err)
	}
	data := struct {
		Organization, Software, Date string
		Records                      []told
		First                        told
		Tools                        []toolFile
		Page, Roots, Practice        bool
		LogKey                       bool
		Linux                        string // file name of the verifier for Linux on amd64
	}{Organization: plain(p.x.Organization), Software: p.x.Software, Date: p.x.Date.Format(time.DateOnly),
		Roots: len(p.roots) > 0, Practice: p.own, First: p.first(), LogKey: p.first().LogKey}
	for _, r := range p.told {
		r.Entry.URL, r.Entry.Case = plain(r.Entry.URL), plain(r.Entry.Case)
		slices.SortStableFunc(r.Stamps, func(a, b toldStamp) int { return a.Time.Compare(b.Time) })
		data.Records = append(data.Records, r)
	}
	for _, f := range p.tools {
		data.Page = data.Page || f.Name == pageFile
		if f.Name == toolsDir+"guzheng-verify-linux-amd64" {
			data.Linux = strings.TrimPrefix(f.Name, toolsDir)
		}
		if f.Name != pageFile {
			data.Tools = append(data.Tools, f)
		}
	}
	if data.Page {
		data.Tools = append(data.Tools, p.tools[slices.IndexFunc(p.tools, func(f toolFile) bool { return f.Name == pageFile })])
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return fmt.Errorf("writing %s: %w", readmeFile, err)
	}
	return p.add(readmeFile, b.Bytes())
}

// first is the record that the commands are printed for: a sound one, where
// there is one.
func (p *parcel) first() told {
	for _, r := range p.told {
		if len(r.Faults) == 0 {
			return r
		}
	}
	if len(p.told) == 0 {
		return told{}
	}
	return p.told[0]
}

// plain keeps what came from elsewhere from beginning a line of its own or
// playing tricks on a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
