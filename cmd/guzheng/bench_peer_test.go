package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"guzheng/capture/practice/corpus"
)

// measurePeer has single-file-cli save pages. It starts browsers of its
// own, so there is no moment when it is ready: everything counts.
func (s *stand) measurePeer(ctx context.Context, o trial) (r reading, err error) {
	dir, err := s.room()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	calls := s.calls(o.pages)
	cmd, err := s.peerCommand(ctx, dir, o.concurrency, calls)
	if err != nil {
		return r, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return r, fmt.Errorf("starting single-file-cli: %w", err)
	}
	t := s.tree(cmd.Process.Pid)
	w := t.watch(o.memory)
	failed := cmd.Wait()
	r.wall, r.pages = time.Since(start), o.pages
	var werr error
	r.peak, werr = w.end()
	// The root is off the process table; what it waited for is in its usage.
	left, _, cerr := t.cpu()
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return r, errors.New("no usage of resources on this system")
	}
	r.cpu = left + time.Duration(usage.Utime.Nano()+usage.Stime.Nano())
	r.ever, r.whole = r.pages, r.wall
	if err := errors.Join(werr, cerr, t.clear()); err != nil {
		return r, err
	}
	var got []visited
	for _, c := range calls {
		got = append(got, visited{Visit: c.Visit, File: filepath.Join(dir, c.Visit+".html")})
	}
	r.lacks, err = s.check(toolPeer, calls, got)
	if failed != nil {
		r.lacks = append(r.lacks, failed.Error())
	}
	return r, err
}

// peerCommand is single-file-cli with its defaults, but for the number of
// browsers at a time. Its lists of addresses take options for each.
func (s *stand) peerCommand(ctx context.Context, dir string, concurrency int, calls []call) (*exec.Cmd, error) {
	var list strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&list, "%s --filename-template=%s.html\n", c.URL, c.Visit)
	}
	urls := filepath.Join(dir, "urls.txt")
	if err := os.WriteFile(urls, []byte(list.String()), 0o600); err != nil {
		return nil, err
	}
	args := []string{s.peer, "--urls-file=" + urls, "--output-directory=" + dir,
		fmt.Sprintf("--max-parallel-workers=%d", concurrency),
		"--browser-executable-path=" + s.browser, fmt.Sprintf("--browser-width=%d", windowWidth), fmt.Sprintf("--browser-height=%d", windowHeight),
		"--browser-arg=--ignore-certificate-errors"}
	if os.Getuid() == 0 {
		args = append(args, "--browser-arg=--no-sandbox")
	}
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	return cmd, nil
}

// checkInlined wants as many pictures in the page that single-file wrote as
// the page has.
func checkInlined(name string, p corpus.Page) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	want := 0
	for _, r := range p.Resources {
		if r.Type == "image/jpeg" {
			want++
		}
	}
	if n := strings.Count(string(b), "data:image/jpeg;base64"); n < want {
		return fmt.Errorf("%d of %d photographs are in the page", n, want)
	}
	return nil
}
