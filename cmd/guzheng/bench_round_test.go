package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"guzheng/capture/practice/corpus"
)

// A reading is what one round of one tool took. A tool that keeps a browser
// visits one page before it is timed, so that neither starting nor the first
// use of anything is in it.
type reading struct {
	pages int
	cpu   time.Duration // of the tree
	own   time.Duration // of it, that of the process that drives the browser
	wall  time.Duration
	ever  int           // pages with that first one
	whole time.Duration // wall from the start of the process, for these
	peak  int64         // largest PSS of the tree that was seen, bytes
	lacks []string      // why the round does not count
}

// perPage is the processor time of one page in milliseconds, ownPerPage that
// of the driving process alone.
func (r reading) perPage() float64    { return ms(r.cpu) / float64(r.pages) }
func (r reading) ownPerPage() float64 { return ms(r.own) / float64(r.pages) }

// pace is how many pages a minute, wholePace the same with all starts.
func (r reading) pace() float64      { return float64(r.pages) / r.wall.Minutes() }
func (r reading) wholePace() float64 { return float64(r.ever) / r.whole.Minutes() }

// A trial is what is to be measured.
type trial struct {
	tool        string
	concurrency int
	pages       int
	memory      bool   // read the memory meanwhile, which takes time
	profile     string // file for a processor profile of the tool; empty is none
}

// blame says why the reading does not count, or nothing.
func (r reading) blame() string {
	if len(r.lacks) == 0 {
		return ""
	}
	return "; does not count: " + strings.Join(r.lacks, "; ")
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// A stand is where tools are measured: the corpus and what tools need.
type stand struct {
	corpus  *part
	about   reply
	browser string
	temp    string // one directory below it for each round
	peer    string // single-file-node.js; empty when it is not there
	rounds  int    // so far
}

// openStand starts the corpus.
func openStand(temp, browser, modules string) (*stand, error) {
	s := &stand{browser: browser, temp: temp}
	vue, peer := "", ""
	if modules != "" {
		vue = existing(filepath.Join(modules, "vue", "dist", "vue.runtime.global.prod.js"))
		peer = existing(filepath.Join(modules, "single-file-cli", "single-file-node.js"))
	}
	s.peer = peer
	var err error
	if s.corpus, err = startPart("corpus", vue); err != nil {
		return nil, err
	}
	return s, s.corpus.hear(&s.about)
}

// existing returns the name of a file that is there, or nothing.
func existing(name string) string {
	if _, err := os.Stat(name); err != nil {
		return ""
	}
	return name
}

// ask asks the corpus.
func (s *stand) ask(q question) (reply, error) {
	var r reply
	if err := s.corpus.send.Encode(q); err != nil {
		return r, err
	}
	return r, s.corpus.hear(&r)
}

// delay has the corpus wait before each response.
func (s *stand) delay(d time.Duration) error {
	_, err := s.ask(question{DelayMS: new(d.Milliseconds())})
	return err
}

// room makes a directory for a round, which the browser's own user may enter.
func (s *stand) room() (string, error) {
	s.rounds++
	dir := filepath.Join(s.temp, fmt.Sprintf("round%d", s.rounds))
	if err := os.Mkdir(dir, 0o711); err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

// calls returns n calls: the pages in turn, each with a visit of its own.
func (s *stand) calls(n int) []call {
	var out []call
	for i := range n {
		p := s.about.Pages[i%len(s.about.Pages)]
		visit := fmt.Sprintf("r%d-%d", s.rounds, i)
		out = append(out, call{Page: p.Name, URL: p.Visit(visit), Visit: visit, Height: p.Height})
	}
	return out
}

// page returns a page by its name.
func (s *stand) page(name string) corpus.Page {
	for _, p := range s.about.Pages {
		if p.Name == name {
			return p
		}
	}
	return corpus.Page{}
}

// measure has a tool visit pages and reads what that took.
func (s *stand) measure(ctx context.Context, o trial) (r reading, err error) {
	if o.tool == toolPeer {
		return s.measurePeer(ctx, o)
	}
	dir, err := s.room()
	if err != nil {
		return reading{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	start := time.Now()
	p, err := s.start(job{Tool: o.tool, Browser: s.browser, SPKI: s.about.SPKI, Dir: dir, Concurrency: o.concurrency, Profile: o.profile})
	if err != nil {
		return reading{}, err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	calls := s.calls(o.pages + 1)
	first, err := p.batch(calls[o.pages:])
	if err != nil {
		return r, err
	}
	before, ownBefore, err := p.tree.cpu()
	if err != nil {
		return r, err
	}
	w := p.tree.watch(o.memory)
	ready := time.Now()
	got, err := p.batch(calls[:o.pages])
	r.wall, r.whole, r.pages, r.ever = time.Since(ready), time.Since(start), o.pages, o.pages+1
	after, ownAfter, cerr := p.tree.cpu()
	r.cpu, r.own = after-before, ownAfter-ownBefore
	var werr error
	r.peak, werr = w.end()
	if err := errors.Join(err, cerr, werr); err != nil {
		return r, err
	}
	r.lacks, err = s.check(o.tool, calls, append(first, got...))
	return r, err
}

// A running is a tool that runs, with its tree.
type running struct {
	*part
	tree tree
}

// start starts a tool and waits until it is ready.
func (s *stand) start(j job) (*running, error) {
	p, err := startPart("tool")
	if err != nil {
		return nil, err
	}
	r := &running{part: p, tree: s.tree(p.cmd.Process.Pid)}
	err = p.send.Encode(j)
	if err == nil {
		err = p.hear(&visited{})
	}
	if err != nil {
		return nil, errors.Join(err, r.end())
	}
	return r, nil
}

func (s *stand) tree(root int) tree {
	return tree{root: root, self: os.Getpid(), not: []int{s.corpus.cmd.Process.Pid}}
}

// batch has the calls made and returns what was said of each.
func (r *running) batch(calls []call) ([]visited, error) {
	if err := r.send.Encode(calls); err != nil {
		return nil, err
	}
	var out []visited
	for {
		var v visited
		if err := r.hear(&v); err != nil {
			return out, err
		}
		if v.Done {
			return out, nil
		}
		out = append(out, v)
	}
}

// end ends the tool and everything that it left.
func (r *running) end() error {
	err := r.part.end()
	return errors.Join(err, r.tree.clear())
}

// check says why the round does not count: a call that went wrong, a response
// or a lazy picture that is missing, at the server or in what the tool wrote.
func (s *stand) check(name string, calls []call, got []visited) ([]string, error) {
	var lacks []string
	said := map[string]visited{}
	for _, v := range got {
		said[v.Visit] = v
	}
	lazy := name == toolSame || name == toolOurs || name == toolPeer
	for _, c := range calls {
		v, ok := said[c.Visit]
		if !ok || v.Error != "" {
			lacks = append(lacks, fmt.Sprintf("%s: %s", c.Page, v.Error))
			continue
		}
		r, err := s.ask(question{Page: c.Page, Visit: c.Visit, Lazy: lazy})
		if err != nil {
			return nil, err
		}
		if n := len(r.Missing); n > 0 {
			lacks = append(lacks, fmt.Sprintf("%s: %d of %d responses were not sent: %q", c.Page, n, len(s.page(c.Page).Resources), r.Missing[:min(n, 3)]))
			continue
		}
		if err := s.checkFile(name, v.File, c, r.Served); err != nil {
			lacks = append(lacks, fmt.Sprintf("%s: %v", c.Page, err))
		}
	}
	return lacks, nil
}

// checkFile looks at what the tool wrote.
func (s *stand) checkFile(name, file string, c call, served []string) error {
	switch name {
	case toolLoad:
		return nil
	case toolOurs:
		return checkPackage(file, c, served)
	case toolPeer:
		return checkInlined(file, s.page(c.Page))
	}
	height, err := pngHeight(file)
	if err != nil {
		return err
	}
	if name == toolSame && height < c.Height {
		return fmt.Errorf("picture is %d pixels high, want at least %d", height, c.Height)
	}
	return nil
}
