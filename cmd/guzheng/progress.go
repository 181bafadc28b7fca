package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/term"

	"guzheng/capture"
	"guzheng/preserve"
	"guzheng/report"
	"guzheng/report/words"
)

// The terminal voice: what happens is told on stderr, one line per stage
// with the time since the start, and only on a terminal; results go to
// stdout; a warning says what to type next; nothing blinks.

// A progress tells the stages of a capture.
type progress struct {
	mu    sync.Mutex
	err   io.Writer
	out   io.Writer
	words *words.Catalogue
	start time.Time
	tty   bool
	json  bool
	last  string
}

func newProgress(s streams, w *words.Catalogue, asJSON bool) *progress {
	p := &progress{err: s.err, out: s.out, words: w, start: capture.Now(), json: asJSON}
	if f, ok := s.err.(*os.File); ok && !asJSON {
		p.tty = term.IsTerminal(int(f.Fd()))
	}
	return p
}

// stages maps journal codes to the stage that begins with them.
var stages = map[string]string{
	"environment.inspected": "check",
	"browser.started":       "browser",
	"page.navigate":         "open",
	"page.loaded":           "load",
	"scroll.started":        "scroll",
	"scroll.finished":       "picture",
	"picture.full":          "save",
	"browser.closed":        "close",
}

// entry takes a journal entry as it is made.
func (p *progress) entry(e capture.Entry) {
	if p.json {
		p.mu.Lock()
		defer p.mu.Unlock()
		writeLine(p.out, struct {
			Type string `json:"type"`
			capture.Entry
		}{"journal", e})
		return
	}
	if stage, ok := stages[e.Code]; ok {
		p.stage(stage)
	}
}

// stage tells that a stage has begun.
func (p *progress) stage(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.tty || p.last == name {
		return
	}
	p.last = name
	fmt.Fprintf(p.err, "%6.1f s  %s\n", capture.Now().Sub(p.start).Seconds(), p.words.T("cli.stage."+name))
}

func (p *progress) warn(format string, a ...any) {
	fmt.Fprintf(p.err, "guzheng: "+format+"\n", a...)
}

// resumed tells what became of an earlier capture; one that goes on beside
// this one is no news.
func (p *progress) resumed(o outcome) {
	if o.Action == underWay {
		return
	}
	if p.json {
		p.mu.Lock()
		defer p.mu.Unlock()
		writeLine(p.out, o)
		return
	}
	fmt.Fprintln(p.err, o.line())
}

func (o outcome) line() string {
	s := fmt.Sprintf("guzheng: %s: %s", o.ID, o.Action)
	if o.State != "" {
		s += " (" + o.State + ")"
	}
	if o.Detail != "" {
		s += ": " + o.Detail
	}
	return plain(s)
}

// plain makes a text that came from a page safe to print: what a terminal
// could take for a command, and what could hide or turn letters around,
// becomes visible.
func plain(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsGraphic(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "[U+%04X]", r)
		}
	}
	return b.String()
}

// summary tells a person what was kept.
func (h *home) summary(s streams, k kept, rec preserve.Record, v report.View) {
	line := func(label, value string) {
		fmt.Fprintf(s.out, "%s %s\n", h.words.T("cli.kept."+label), plain(value))
	}
	line("id", k.ID)
	line("state", h.words.T("state."+string(k.State)))
	for _, r := range k.Reasons {
		fmt.Fprintf(s.out, "    %s %s\n", h.words.T("reason."+r.Code), plain(r.Detail))
	}
	line("url", k.URL)
	line("title", k.Title)
	line("package", k.Package)
	line("digest", k.Digest)
	line("seal", k.Seal)
	if k.Verdict != "" {
		line("verdict", h.words.T("outcome."+k.Verdict))
	}
	for _, st := range v.Stamps {
		if st.Practice {
			line("practice", "")
		}
	}
	if rec.Entry.Pending {
		line("pending", "guzheng seal --pending")
	}
	if k.Sheet != "" {
		line("sheet", k.Sheet)
	}
}
