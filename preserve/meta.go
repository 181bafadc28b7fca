package preserve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"guzheng/capture"
	"guzheng/capture/warc"
)

// maxText bounds the text that the package's page list holds for searching,
// in bytes; the take's own text file is whole.
const maxText = 1 << 20

// meta is what the package says on its first page. It is a convenience for
// replay; the take's files are the evidence.
type meta struct {
	title    string
	url      string
	date     time.Time
	pageID   string
	text     string
	software string
}

// readMeta reads facts, text and WARC of a take, as far as it has them. A
// take without facts, or whose main page is not in the WARC, has no page.
func readMeta(dir string, t capture.Take) (meta, error) {
	m := meta{software: "guzheng"}
	var facts capture.Facts
	b, err := readKind(dir, t, capture.FileFacts, maxJSON)
	if err != nil {
		return m, err
	}
	if b != nil {
		// Facts that cannot be read are the verdict's business: the take is
		// packaged as it is.
		if json.Unmarshal(b, &facts) != nil {
			facts = capture.Facts{}
		}
	}
	if facts.Tool.Name != "" {
		m.software = strings.TrimSpace(facts.Tool.Name + " " + facts.Tool.Version)
	}
	m.title = strings.ToValidUTF8(facts.Title, "\uFFFD")
	if b, err = readKind(dir, t, capture.FileText, maxText); err != nil {
		return m, err
	}
	m.text = strings.ToValidUTF8(string(b), "")
	if facts.FinalURL == "" {
		return m, nil
	}
	return m, m.findPage(dir, t, facts.FinalURL)
}

// findPage looks in the WARC for the response that the page is, because
// replay finds it by URL and exact time.
func (m *meta) findPage(dir string, t capture.Take, final string) error {
	file, ok := t.File(capture.FileWARC)
	if !ok {
		return nil
	}
	f, err := openLocal(dir, file.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the raw step says so, with the name
	}
	if err != nil {
		return err
	}
	defer f.Close()
	final, _, _ = strings.Cut(final, "#")
	key := warc.SURT(final)
	for r, err := range warc.Records(f) {
		if err != nil && !errors.Is(err, warc.ErrDigest) {
			return nil // cut or broken WARC: no page, and the verdict says why
		}
		if r.Type != "response" || r.Status >= 300 && r.Status < 400 || r.URI != final && warc.SURT(r.URI) != key {
			continue
		}
		m.url, m.date, m.pageID = r.URI, r.Time, r.Field("WARC-Page-ID")
		return nil
	}
	return nil
}

// readKind returns the first bytes of the take's file of a kind, or nil.
func readKind(dir string, t capture.Take, kind string, limit int64) ([]byte, error) {
	file, ok := t.File(kind)
	if !ok {
		return nil, nil
	}
	f, err := openLocal(dir, file.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the raw step says so, with the name
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file.Path, err)
	}
	return b, nil
}

func openLocal(dir, path string) (*os.File, error) {
	if !filepath.IsLocal(filepath.FromSlash(path)) {
		return nil, fmt.Errorf("reading %q: path not local", path)
	}
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(path)))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return f, nil
}
