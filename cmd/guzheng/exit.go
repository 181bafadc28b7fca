package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"guzheng/capture"
	"guzheng/capture/web"
	"guzheng/preserve/key"
	"guzheng/storage"
)

// Exit codes. They are part of the contract with scripts; the table in
// --help and in the README is made from exitTable.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitPartial     = 3
	exitAltered     = 4
	exitCannotTell  = 5
	exitRefused     = 6
	exitStorage     = 7
	exitLog         = 8
	exitInterrupted = 130
)

// exitTable is printed under every --help.
const exitTable = `Exit codes:
    0  complete: done, nothing missing, nothing failed
    1  failure: no page was had (the attempt is kept), or the command could
       not do its work
    2  usage: unknown verb, flag or value
    3  kept but partial: sealed, and the record says what is missing
    4  altered: a check of the evidence failed
    5  cannot verify: no seal, or --strict and something cannot be told
    6  refused by policy: the address must not be visited
    7  storage: store, index, disk or lock
    8  log: it is shorter than it was, or has another history; nothing was
       written
  130  interrupted: what was captured is kept, or resume goes on with it`

// A coded error carries its exit code and the next command to type.
type coded struct {
	code int
	hint string
	err  error
}

func (c *coded) Error() string { return c.err.Error() }
func (c *coded) Unwrap() error { return c.err }

// fail makes a coded error.
func fail(code int, hint, format string, args ...any) error {
	return &coded{code: code, hint: hint, err: fmt.Errorf(format, args...)}
}

// errTold is inside a coded error that the reader already knows.
var errTold = errors.New("told")

// classify finds the exit code and the hint of an error.
func classify(ctx context.Context, err error) (int, string) {
	var c *coded
	switch {
	case err == nil:
		return exitOK, ""
	case errors.As(err, &c):
		return c.code, c.hint
	case ctx.Err() != nil || errors.Is(err, context.Canceled):
		return exitInterrupted, "what was captured is kept: guzheng resume"
	case errors.Is(err, capture.ErrOrder):
		return exitUsage, "guzheng capture --help"
	case errors.Is(err, web.ErrNoBrowser):
		return exitFailure, "install Debian's chromium-headless-shell, or run: make deps"
	case errors.Is(err, key.ErrPassphrase):
		return exitFailure, "put the passphrase into a file and set GUZHENG_PASSPHRASE_FILE to its path"
	case errors.Is(err, storage.ErrAltered):
		return exitAltered, "guzheng verify ID shows which check fails"
	case errors.Is(err, storage.ErrUnavailable):
		return exitStorage, "what was captured is kept: guzheng resume, when the store answers again"
	case errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrShorten):
		return exitStorage, "guzheng resume goes on when the store is in order"
	}
	var p *fs.PathError
	if errors.As(err, &p) && !errors.Is(err, fs.ErrNotExist) {
		return exitStorage, "check free space and permissions under GUZHENG_HOME, then: guzheng resume"
	}
	return exitFailure, ""
}

// report tells the reader about err and returns the exit code. Messages go
// to stderr; with --json the last line on stdout is an object.
func (s streams) report(ctx context.Context, err error, asJSON bool) int {
	code, hint := classify(ctx, err)
	if err == nil || errors.Is(err, errTold) {
		return code
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		fmt.Fprintf(s.err, "guzheng: %s\n", plain(line))
	}
	if hint != "" {
		fmt.Fprintf(s.err, "guzheng: hint: %s\n", hint)
	}
	if asJSON {
		writeLine(s.out, map[string]any{"type": "error", "exit": code, "error": err.Error(), "hint": hint})
	}
	return code
}

// streams are the ends of the program that a test replaces.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// writeLine writes one JSON object on one line. A closed stdout is the
// reader's decision; the exit code still tells the outcome.
func writeLine(w io.Writer, value any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(value)
}

func wantsJSON(args []string) bool {
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}
