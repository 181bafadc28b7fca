// Command guzheng turns the address of a web page into sealed evidence and a
// Chinese evidence sheet.
//
// Life of a command: main hands arguments and streams to run; the verb's
// file parses its flags; wire.go opens the parts that the verb needs under
// GUZHENG_HOME; exit.go turns the error, if any, into a message, a hint and
// an exit code.
//
// Trust: whoever runs this command on this machine decides what is captured
// and is trusted for nothing after sealing; see the table in the README.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // a second Ctrl-C ends the program at once; resume goes on
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves must not end a capture
	code := run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return s.report(ctx, err, wantsJSON(args))
}
