package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guzheng/capture"
	"guzheng/capture/warc"
	"guzheng/capture/web"
	"guzheng/storage"
)

// A stab says when guzheng run is killed: when it writes the journal entry
// code, or when file is seen in the order's spool directory; and then after
// the delay. Resume is killed in the same way when again names a file.
type stab struct {
	name  string
	code  string
	file  string
	delay time.Duration
	again string
	quick bool // one of the few that -short leaves
}

// closed is the last journal entry of a take.
const closed = "take.closed"

func stabs() []stab {
	var out []stab
	for _, code := range []string{
		"order.accepted", "proxy.started", "browser.started", "page.navigate", "page.loaded",
		"picture.viewport", "scroll.started", "scroll.finished", "picture.full", "dom.saved",
		"mhtml.saved", "pdf.saved", "traffic.closed", closed,
	} {
		out = append(out, stab{name: code, code: code, quick: code == "browser.started" || code == "mhtml.saved"})
	}
	for _, file := range []string{
		"take/take.json", "proofs/raw.json", "proofs/raw-stamps.json", "package.wacz", "event.json", "seal.json", "kept.json",
	} {
		out = append(out, stab{name: "file " + file, file: file, quick: file == "event.json"})
	}
	for _, ms := range []time.Duration{20, 50, 100, 200} {
		out = append(out, stab{name: fmt.Sprintf("%d ms after", ms), code: closed, delay: ms * time.Millisecond})
	}
	for _, file := range []string{"take/take.json", "event.json"} {
		out = append(out, stab{name: "resume at " + file, code: "pdf.saved", again: file})
	}
	return out
}

// TestKill ends guzheng run with SIGKILL at every step. Whatever is left,
// resume makes of it either one sealed package that verifies or says that
// nothing had been captured.
func TestKill(t *testing.T) {
	program := binary(t)
	needBrowser(t)
	seats := make(chan struct{}, 2) // captures at a time
	points := stabs()
	if testing.Short() {
		t.Log("short: only three points are tried")
		points = slices.DeleteFunc(points, func(c stab) bool { return !c.quick })
	}
	for _, c := range points {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seats <- struct{}{}
			defer func() { <-seats }()
			g := newGuzheng(t, program)
			last := c.kill(t, g)
			g.wantNoBrowser(t, last.id)
			if c.again != "" {
				g.killResume(t, last.id, c.again)
			}
			g.wantRecovered(t, last)
		})
	}
}

// TestTwoResumes lets two processes find the same interrupted capture.
func TestTwoResumes(t *testing.T) {
	if testing.Short() {
		t.Skip("short: starts Chromium")
	}
	program := binary(t)
	needBrowser(t)
	g := newGuzheng(t, program)
	last := stab{code: "pdf.saved"}.kill(t, g)
	g.wantNoBrowser(t, last.id)
	var outs [2]string
	var wait sync.WaitGroup
	for i := range outs {
		wait.Go(func() {
			out, err := g.command(t.Context(), "resume", "--json").CombinedOutput()
			outs[i] = string(out)
			if err != nil {
				t.Errorf("resume: %v\n%s", err, out)
			}
		})
	}
	wait.Wait()
	if n := strings.Count(outs[0]+outs[1], `"action":"kept"`); n != 1 {
		t.Errorf("kept by %d of two resumes:\n%s---\n%s", n, outs[0], outs[1])
	}
	g.wantRecovered(t, last)
}

// TestKillClearing ends resume while it clears up what is already in the
// store. What is half cleared must not pass for a capture, lost or waiting.
func TestKillClearing(t *testing.T) {
	if testing.Short() {
		t.Skip("short: starts Chromium")
	}
	program := binary(t)
	needBrowser(t)
	first := newGuzheng(t, program)
	last := stab{code: closed}.kill(t, first)
	first.wantNoBrowser(t, last.id)
	const rubbish = 4000 // files that make the clearing take its time
	for _, delay := range []time.Duration{0, 3 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			g := first.copy(t)
			var names []string
			for i := range rubbish {
				names = append(names, g.spooled(last.id, fmt.Sprintf("rubbish-%d", i)))
				if err := os.WriteFile(names[i], nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := g.command(ctx, "resume", "--json")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			tick := time.NewTicker(100 * time.Microsecond)
			defer tick.Stop()
			for begun := false; !begun && ctx.Err() == nil; <-tick.C {
				begun = slices.ContainsFunc(names[:32], func(n string) bool { _, err := os.Lstat(n); return err != nil })
			}
			<-time.After(delay)
			_ = cmd.Process.Kill() // it may have ended
			t.Logf("resume: %v", cmd.Wait())
			g.wantRecovered(t, last)
		})
	}
	first.wantRecovered(t, last)
}

// TestResumeVanished lets another process finish a capture between the
// moment when resume saw it and the moment when it takes it up.
func TestResumeVanished(t *testing.T) {
	t.Setenv("GUZHENG_HOME", filepath.Join(t.TempDir(), "home"))
	h, err := openHome(streams{out: io.Discard, err: io.Discard}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("panic: %v", p)
		}
	}()
	o, err := h.resume(t.Context(), capture.NewID(capture.Now()))
	if o.Action == "lost" {
		t.Errorf("told as lost although somebody kept it: %+v, %v", o, err)
	}
}

// TestSpoolShared lets captures begin and end while others look through the
// spool, as every capture does at its start. Neither may trouble the other.
func TestSpoolShared(t *testing.T) {
	t.Setenv("GUZHENG_HOME", filepath.Join(t.TempDir(), "home"))
	h, err := openHome(streams{out: io.Discard, err: io.Discard}, "")
	if err != nil {
		t.Fatal(err)
	}
	const captures = 150
	done := make(chan struct{})
	faults := map[string]int{} // what went wrong, without numbers of orders
	var mu sync.Mutex
	note := func(where string, err error) {
		mu.Lock()
		defer mu.Unlock()
		faults[where+": "+regexp.MustCompile(`GZ-\d{8}-\w{8}`).ReplaceAllString(err.Error(), "ID")]++
	}
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := h.resumeAll(t.Context(), func(outcome) {}); err != nil {
					note("resume", err)
				}
			}
		})
	}
	limits, view := capture.DefaultLimits(), capture.Viewport{Width: 1280, Height: 800, Scale: 1}
	for range captures {
		now := capture.Now()
		b, err := newBerth(h.spool(), capture.Order{Format: capture.OrderFormat, ID: capture.NewID(now), Kind: capture.KindWeb,
			URL: "http://127.0.0.1/", Created: now.UTC(), Limits: limits, Viewport: view})
		if err != nil {
			note("begin", err)
		} else if err := b.leave(); err != nil {
			note("end", err)
		}
	}
	close(done)
	others.Wait()
	for what, n := range faults {
		t.Errorf("%d of %d: %s", n, captures, what)
	}
}

// A guzheng is the program with a home of its own.
type guzheng struct{ program, home string }

func newGuzheng(t *testing.T, program string) *guzheng {
	t.Helper()
	g := &guzheng{program: program, home: filepath.Join(t.TempDir(), "home")}
	if err := os.Mkdir(g.home, 0o700); err != nil {
		t.Fatal(err)
	}
	conf := "clock:\n  ntp: []\n"
	if err := os.WriteFile(filepath.Join(g.home, "config.yaml"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// copy returns the program with a copy of the home.
func (g *guzheng) copy(t *testing.T) *guzheng {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	if b, err := exec.CommandContext(t.Context(), "cp", "-a", g.home, home).CombinedOutput(); err != nil {
		t.Fatalf("copying: %v\n%s", err, b)
	}
	return &guzheng{program: g.program, home: home}
}

func (g *guzheng) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, g.program, args...)
	c.Env = append(os.Environ(), "GUZHENG_HOME="+g.home, "GUZHENG_LANG=en")
	return c
}

// run returns what a verb prints; it must exit with 0.
func (g *guzheng) run(t *testing.T, args ...string) string {
	t.Helper()
	var errs bytes.Buffer
	c := g.command(t.Context(), args...)
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("guzheng %s: %v\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}

// spooled returns the path of a file of an order under way.
func (g *guzheng) spooled(id, file string) string {
	return filepath.Join(g.home, "spool", id, filepath.FromSlash(file))
}

// A death is what was known of a run when it was killed.
type death struct {
	id    string
	codes []string // journal entries that had been told
	whole bool     // it was not killed: it had ended by then
}

// kill starts guzheng run and ends it at the point that c names.
func (c stab) kill(t *testing.T, g *guzheng) death {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := g.command(ctx, "run", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var d death
	var watch sync.WaitGroup
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var e struct {
			Code string
			Data struct{ ID string }
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Errorf("line %q: %v", lines.Text(), err)
			break
		}
		d.codes = append(d.codes, e.Code)
		if e.Code == "order.accepted" {
			d.id = e.Data.ID
		}
		// The steps after the take follow one another within milliseconds.
		if e.Code == "traffic.closed" && c.file != "" {
			watch.Go(func() { killAt(cmd, g.spooled(d.id, c.file), ended) })
		}
		if e.Code == c.code {
			watch.Go(func() {
				if c.delay > 0 {
					<-time.After(c.delay)
				}
				_ = cmd.Process.Kill() // it may have ended
			})
		}
	}
	_, _ = io.Copy(io.Discard, out)
	err = cmd.Wait()
	close(ended)
	watch.Wait()
	d.whole = err == nil
	if d.id == "" || !d.whole && cmd.ProcessState.ExitCode() >= 0 {
		t.Fatalf("run: %v after %v\n%s", err, d.codes, errs.String())
	}
	if d.whole {
		t.Logf("had ended before it was killed")
	}
	return d
}

// killAt kills the process when the file is there.
func killAt(cmd *exec.Cmd, file string, ended <-chan struct{}) {
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for {
		if _, err := os.Lstat(file); err == nil {
			_ = cmd.Process.Kill() // it may have ended
			return
		}
		select {
		case <-ended:
			return
		case <-tick.C:
		}
	}
}

// killResume kills resume when the file is there.
func (g *guzheng) killResume(t *testing.T, id, file string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := g.command(ctx, "resume", "--json")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { killAt(cmd, g.spooled(id, file), ended) })
	err := cmd.Wait()
	close(ended)
	watch.Wait()
	if err == nil {
		t.Log("resume had ended before it was killed")
	}
}

// wantNoBrowser waits until no process of the order's browser is left: the
// kernel ends it with the program, without the program's help.
func (g *guzheng) wantNoBrowser(t *testing.T, id string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		left := browsers(t, id)
		if len(left) == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still running: %s", strings.Join(left, "\n"))
		case <-tick.C:
		}
	}
}

// browsers returns the processes that name the order's scratch directory, or
// have it as their own directory or open.
func browsers(t *testing.T, id string) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range all {
		line, err := os.ReadFile(filepath.Join(p, "cmdline"))
		if err != nil {
			continue // it has just ended
		}
		cwd, err := os.Readlink(filepath.Join(p, "cwd"))
		if err != nil {
			cwd = ""
		}
		if strings.Contains(string(line)+cwd, "guzheng-"+id) {
			out = append(out, p+": "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return out
}

// wantRecovered resumes and checks what must hold however the run ended.
func (g *guzheng) wantRecovered(t *testing.T, d death) {
	t.Helper()
	told := g.resumed(t)
	if again := g.run(t, "resume", "--json"); again != "" {
		t.Errorf("a second resume has something to tell: %s", again)
	}
	g.wantCleared(t, d.id)
	packages := g.stored(t, ".wacz")
	lost := slices.ContainsFunc(told, func(o outcome) bool { return o.ID == d.id && o.Action == "lost" })
	if lost {
		if len(packages) > 0 || slices.Contains(d.codes, "browser.started") {
			t.Errorf("lost after %v, with %q in the store", d.codes, packages)
		}
		return
	}
	if len(packages) != 1 || len(g.stored(t, ".json")) != 1 {
		t.Fatalf("in the store: %q %q, told: %+v", packages, g.stored(t, ".json"), told)
	}
	g.wantSound(t, d.id)
	g.wantLogged(t, 1)
	take := g.wantTake(t, d, packages[0])
	entries := g.list(t)
	if len(entries) != 1 || entries[0].ID != d.id || entries[0].State != string(take.State) {
		t.Errorf("the index has %+v", entries)
	}
	for _, o := range told {
		if o.ID != d.id || o.Action != "kept" || o.State != string(take.State) {
			t.Errorf("resume told %+v; the take is %s", o, take.State)
		}
	}
}

// resumed runs resume and returns what it tells.
func (g *guzheng) resumed(t *testing.T) []outcome {
	t.Helper()
	var out []outcome
	for line := range strings.Lines(g.run(t, "resume", "--json")) {
		var o outcome
		if err := json.Unmarshal([]byte(line), &o); err != nil || o.Type != "resume" {
			t.Fatalf("resume prints %q: %v", line, err)
		}
		out = append(out, o)
	}
	return out
}

// wantCleared wants the spool and the temporary directory to be as before.
func (g *guzheng) wantCleared(t *testing.T, id string) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(g.home, "spool"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		t.Errorf("left in the spool: %s", e.Name())
	}
	for _, dir := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if _, err := os.Stat(filepath.Join(dir, "guzheng-"+id)); err == nil {
			t.Errorf("left: %s", filepath.Join(dir, "guzheng-"+id))
		}
	}
	tmp, err := os.ReadDir(filepath.Join(g.home, "store", "~store", "tmp"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range tmp {
		t.Logf("left in the store's own directory: %s", e.Name())
	}
}

// stored returns the objects of the store with the ending.
func (g *guzheng) stored(t *testing.T, ending string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(g.home, "store", "v1"), func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() && strings.HasSuffix(p, ending) && !strings.Contains(d.Name(), "~") {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wantSound wants the package to verify with everything told but what a
// practice stamp cannot tell.
func (g *guzheng) wantSound(t *testing.T, id string) {
	t.Helper()
	for line := range strings.Lines(g.run(t, "verify", "--json", id)) {
		var k struct{ Type, Name, Outcome, Code, Detail string }
		if err := json.Unmarshal([]byte(line), &k); err != nil {
			t.Fatal(err)
		}
		stamp := strings.HasSuffix(k.Name, "stamp.chain") || strings.HasSuffix(k.Name, "stamp.identity")
		if k.Type == "check" && k.Outcome != "passed" && !stamp {
			t.Errorf("verify %s: %s", id, line)
		}
	}
}

// wantLogged wants the log to hold n events, published.
func (g *guzheng) wantLogged(t *testing.T, n int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(g.home, "log", "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(string(b), "\n"); len(lines) < 3 || lines[1] != fmt.Sprint(n) {
		t.Errorf("checkpoint over other than %d events:\n%s", n, b)
	}
	if b, err = os.ReadFile(filepath.Join(g.home, "log", ".state", "treeState")); err != nil {
		t.Fatal(err)
	}
	var tree struct{ Size int }
	if err := json.Unmarshal(b, &tree); err != nil || tree.Size != n {
		t.Errorf("log of other than %d events: %s %v", n, b, err)
	}
}

// wantTake reads the take in a package and wants it to say how it ended and
// to hold all that had been told before.
func (g *guzheng) wantTake(t *testing.T, d death, name string) capture.Take {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	b, err := fs.ReadFile(z, "evidence/"+capture.TakeFile)
	if err != nil {
		t.Fatal(err)
	}
	var take capture.Take
	if err := json.Unmarshal(b, &take); err != nil {
		t.Fatal(err)
	}
	interrupted := slices.ContainsFunc(take.Reasons, func(r capture.Reason) bool { return r.Code == "interrupted" })
	visited := slices.Contains(d.codes, "page.loaded")
	switch {
	case interrupted && d.whole:
		t.Errorf("run ended and its take is %s: %+v", take.State, take.Reasons)
	case !interrupted && !slices.Contains(d.codes, closed):
		t.Errorf("killed after %s and not called interrupted: %s %+v", d.codes[len(d.codes)-1], take.State, take.Reasons)
	case interrupted && take.State == capture.Complete, interrupted && visited && take.State != capture.Partial:
		t.Errorf("interrupted after %v, and its take is %s", d.codes, take.State)
	}
	wantArtefacts(t, take, d)
	if visited {
		wantTraffic(t, z, take)
	}
	return take
}

// artefacts are what each journal entry says was saved.
var artefacts = map[string]string{
	"picture.viewport": "evidence/viewport.png", "picture.full": "evidence/full.png", "dom.saved": "evidence/dom.html",
	"mhtml.saved": "evidence/page.mhtml", "pdf.saved": "evidence/page.pdf", "traffic.closed": "archive/data.warc.gz",
}

func wantArtefacts(t *testing.T, take capture.Take, d death) {
	t.Helper()
	for _, code := range d.codes {
		name, ok := artefacts[code]
		if !ok {
			continue
		}
		i := slices.IndexFunc(take.Files, func(f capture.File) bool { return f.Path == name })
		if i < 0 || take.Files[i].Kind == capture.FileRemains {
			t.Errorf("%s was told and %s is not in the take", code, name)
		}
	}
}

// wantTraffic wants the archive to be readable and to hold the page.
func wantTraffic(t *testing.T, z fs.FS, take capture.Take) {
	t.Helper()
	f, err := z.Open("archive/data.warc.gz")
	if err != nil {
		t.Errorf("no archive in a take that is %s: %v", take.State, err)
		return
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	page := false
	for r, err := range warc.Records(bytes.NewReader(b)) {
		if err != nil {
			t.Errorf("reading the archive of a take that is %s: %v", take.State, err)
			return
		}
		page = page || r.Type == "response" && strings.HasPrefix(r.URI, "http://127.0.0.1:") && strings.Count(r.URI, "/") == 3 && strings.HasSuffix(r.URI, "/")
	}
	if !page {
		t.Errorf("the page was loaded and its answer is not in the archive of %d bytes", len(b))
	}
}

// list returns what the index has.
func (g *guzheng) list(t *testing.T) []storage.Entry {
	t.Helper()
	var out []storage.Entry
	for line := range strings.Lines(g.run(t, "list", "--json")) {
		var e storage.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("list prints %q: %v", line, err)
		}
		out = append(out, e)
	}
	return out
}

// binary returns the program, built once. It lies where testscript clears up.
func binary(t *testing.T) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildOnce = sync.OnceValues(func() (string, error) { return build("guzheng") })

func build(name string) (string, error) {
	stub, err := exec.LookPath("guzheng")
	if err != nil {
		return "", err
	}
	out := filepath.Join(filepath.Dir(filepath.Dir(stub)), "built", name)
	c := exec.Command("go", "build", "-o", out, "guzheng/cmd/"+name)
	if b, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, b)
	}
	return out, nil
}

// needBrowser leaves a test out on a machine without Chromium, but not in CI.
func needBrowser(t *testing.T) string {
	t.Helper()
	path, err := web.FindChromium("")
	if err != nil {
		lacking(t, err.Error())
	}
	return path
}

// lacking leaves a test out for want of something; in CI that is a failure.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("in CI nothing may be lacking: %s", what)
	}
	t.Skipf("left out: %s", what)
}
