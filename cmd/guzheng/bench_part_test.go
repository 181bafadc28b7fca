package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"guzheng/capture/practice/corpus"
)

// The benchmark measures processes, never itself: the corpus server and each
// tool are parts, which the test binary becomes when it is started under the
// name partName (see TestMain, which puts it on the PATH). A part reads JSON values from stdin and answers
// with JSON values on stdout; the end of stdin is its end.

// partName is the name under which the test binary is a part of the benchmark.
const partName = "guzheng-bench"

// A call is one page to be visited by a tool.
type call struct {
	Page   string `json:"page"`
	URL    string `json:"url"`
	Visit  string `json:"visit"`
	Height int    `json:"height"` // pixels that its picture must have at least
}

// A job is the first value for a tool: everything that all its calls share.
type job struct {
	Tool        string `json:"tool"`
	Browser     string `json:"browser"`
	SPKI        string `json:"spki"` // of the corpus's certificate
	Dir         string `json:"dir"`  // for whatever it writes
	Concurrency int    `json:"concurrency"`
	Profile     string `json:"profile,omitempty"` // file for a processor profile
}

// A visited is what a tool says of one call, or, with Done, that all calls of
// the batch were made. The first one, before any batch, says that the tool is
// ready.
type visited struct {
	Visit string `json:"visit,omitempty"`
	File  string `json:"file,omitempty"` // what it wrote: a picture or a package
	Error string `json:"error,omitempty"`
	Done  bool   `json:"done,omitempty"`
}

// A visitor is a tool that visits pages, several at a time. What it does with
// a page once the browser is free for the next one is its keep; nil when there
// is nothing of the kind.
type visitor struct {
	visit func(ctx context.Context, c call) (file string, err error)
	keep  func(ctx context.Context, c call) (file string, err error)
	close func() error
}

// make makes the calls of a batch, as many at a time as were ordered, and
// says of each how it ended. Pages are kept beside the visits of the next.
func (t visitor) make(ctx context.Context, batch []call, concurrency int, say func(visited)) {
	calls, seen := make(chan call), make(chan call, len(batch))
	said := func(c call, file string, err error) {
		v := visited{Visit: c.Visit, File: file}
		if err != nil {
			v.Error = fmt.Sprintf("%s: %v", c.Page, err)
		}
		say(v)
	}
	var visiting, keeping sync.WaitGroup
	for range concurrency {
		visiting.Go(func() {
			for c := range calls {
				file, err := t.visit(ctx, c)
				if err == nil && t.keep != nil {
					seen <- c
					continue
				}
				said(c, file, err)
			}
		})
		keeping.Go(func() {
			for c := range seen {
				file, err := t.keep(ctx, c)
				said(c, file, err)
			}
		})
	}
	for _, c := range batch {
		calls <- c
	}
	close(calls)
	visiting.Wait()
	close(seen)
	keeping.Wait()
}

// benchPart is main of a part.
func benchPart() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	kind := ""
	if len(os.Args) > 1 {
		kind = os.Args[1]
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var err error
	switch kind {
	case "corpus":
		err = corpusPart(ctx, in, out)
	case "tool":
		err = toolPart(ctx, in, out)
	case "bare":
		err = barePart(ctx, os.Args[2:])
	default:
		err = fmt.Errorf("no part of the benchmark is called %q", kind)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, partName+":", err)
		os.Exit(1)
	}
}

// toolPart makes the calls of one batch after the other.
func toolPart(ctx context.Context, in *json.Decoder, out *json.Encoder) (err error) {
	var j job
	if err := in.Decode(&j); err != nil {
		return err
	}
	if j.Profile != "" {
		f, err := os.Create(j.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	t, err := newTool(ctx, j)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := out.Encode(visited{}); err != nil {
		return err
	}
	for {
		var batch []call
		if err := in.Decode(&batch); err != nil {
			return err
		}
		var mu sync.Mutex
		t.make(ctx, batch, j.Concurrency, func(v visited) {
			mu.Lock()
			defer mu.Unlock()
			_ = out.Encode(v) // a reader that is gone ends us by the end of stdin
		})
		if err := out.Encode(visited{Done: true}); err != nil {
			return err
		}
	}
}

// newTool finds a tool by its name.
func newTool(ctx context.Context, j job) (visitor, error) {
	switch j.Tool {
	case toolOurs:
		return newOurs(ctx, j)
	default:
		return newFloor(ctx, j)
	}
}

// A question is asked of the corpus: what a visit of a page lacks, or what it
// got. The delay is set first.
type question struct {
	DelayMS *int64 `json:"delay_ms,omitempty"`
	Page    string `json:"page,omitempty"`
	Visit   string `json:"visit,omitempty"`
	Lazy    bool   `json:"lazy,omitempty"` // what loads lazily counts as well
}

// A reply is the corpus's answer. The first one, before any question, brings
// the pages.
type reply struct {
	SPKI    string        `json:"spki,omitempty"`
	Pages   []corpus.Page `json:"pages,omitempty"`
	Missing []string      `json:"missing,omitempty"`
	Served  []string      `json:"served,omitempty"`
}

// corpusPart serves the corpus. Its second argument is Vue's file.
func corpusPart(ctx context.Context, in *json.Decoder, out *json.Encoder) (err error) {
	vue := ""
	if len(os.Args) > 2 {
		vue = os.Args[2]
	}
	s, err := corpus.Start(ctx, corpus.Options{Now: time.Now, Vue: vue})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := out.Encode(reply{SPKI: s.SPKI(), Pages: s.Pages()}); err != nil {
		return err
	}
	for {
		var q question
		if err := in.Decode(&q); err != nil {
			return err
		}
		if q.DelayMS != nil {
			s.SetDelay(time.Duration(*q.DelayMS) * time.Millisecond)
		}
		var t reply
		if q.Page != "" {
			t.Missing, t.Served = s.Missing(q.Page, q.Visit, q.Lazy), s.Served(q.Visit)
			s.Forget(q.Visit)
		}
		if err := out.Encode(t); err != nil {
			return err
		}
	}
}

// A part is one that runs, seen from the benchmark.
type part struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	send   *json.Encoder
	answer *json.Decoder
	said   *bytes.Buffer // stderr
}

// startPart starts a part that talks.
func startPart(args ...string) (*part, error) {
	p := &part{cmd: exec.Command(partName, args...), said: &bytes.Buffer{}}
	p.cmd.Stderr = p.said
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.send, p.answer = json.NewEncoder(p.in), json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting part %v: %w", args, err)
	}
	return p, nil
}

// hear reads one answer.
func (p *part) hear(v any) error {
	if err := p.answer.Decode(v); err != nil {
		return fmt.Errorf("hearing part %v: %w; it said %q", p.cmd.Args[1:], err, p.said)
	}
	return nil
}

// end closes the part's stdin and waits for it. A part that does not end by
// itself is killed.
func (p *part) end() error {
	_ = p.in.Close()
	timer := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("ending part %v: %w; it said %q", p.cmd.Args[1:], err, p.said)
	}
	return nil
}

// TestParts starts the corpus as a part and asks it about a visit that was
// not made.
func TestParts(t *testing.T) {
	if testing.Short() {
		t.Skip("short: makes the corpus, which takes seconds")
	}
	if _, err := exec.LookPath(partName); err != nil {
		lacking(t, err.Error())
	}
	p, err := startPart("corpus")
	if err != nil {
		t.Fatal(err)
	}
	var first, second reply
	if err := p.hear(&first); err != nil {
		t.Fatal(err)
	}
	if len(first.Pages) < 10 || first.SPKI == "" {
		t.Fatalf("%d pages, SPKI %q", len(first.Pages), first.SPKI)
	}
	page := first.Pages[0]
	if err := p.send.Encode(question{DelayMS: new(int64), Page: page.Name, Visit: "none", Lazy: true}); err != nil {
		t.Fatal(err)
	}
	if err := p.hear(&second); err != nil {
		t.Fatal(err)
	}
	if got, want := len(second.Missing), len(page.Resources); got != want || len(second.Served) > 0 {
		t.Errorf("missing %d, served %d; want %d and none", got, len(second.Served), want)
	}
	if err := p.end(); err != nil {
		t.Error(err)
	}
}
