// Command guzheng-verify checks an evidence package and its seal offline,
// without the program that made them. It is small on purpose: it can be read
// in an evening and built by whoever does not trust us.
//
// Life of a run: read the trust file, have preserve/verify make the verdict,
// print one line per check, exit with the verdict.
//
// Trust: the package and the seal are trusted for nothing. The trust file
// says whom the reader believes, and must come from elsewhere than the
// package. preserve/FORMAT.md says what every check means and how to make it
// with stock tools.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"guzheng/preserve/verify"
)

const usage = `Usage: guzheng-verify [--trust FILE] [--strict] [--json] PACKAGE [SEAL]

Checks a package (.wacz) and its seal offline. Without SEAL the newest seal
beside the package is taken (NAME.seal.json, NAME.seal-2.json, ...). Evidence
records beside the package (NAME.evidence.ers, NAME.evidence-2.ers, ...), which
keep its stamps good, are checked as of now.

  --trust FILE  JSON file that names the signers, logs and time-stamp
                authorities to believe (see preserve/FORMAT.md)
  --strict      whatever cannot be told is reported by exit code 5
  --json        print the verdict as JSON

Exit codes:
  0  nothing failed
  1  a file could not be read
  2  wrong usage
  4  altered: a check failed
  5  cannot verify: no seal, or something cannot be told and --strict
`

// Exit codes, as in the usage text.
const (
	exitSound   = 0
	exitFailure = 1
	exitUsage   = 2
	exitAltered = 4
	exitUnknown = 5
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("guzheng-verify", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	trustFile := flags.String("trust", "", "")
	strict := flags.Bool("strict", false, "")
	asJSON := flags.Bool("json", false, "")
	switch err := flags.Parse(args); {
	case err == flag.ErrHelp:
		fmt.Fprint(stdout, usage)
		return exitSound
	case err != nil:
		fmt.Fprintf(stderr, "guzheng-verify: %v\n\n%s", err, usage)
		return exitUsage
	case flags.NArg() < 1 || flags.NArg() > 2:
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	opt := verify.Options{SealPath: flags.Arg(1), At: time.Now()}
	if *trustFile != "" {
		var err error
		if opt.Trust, err = verify.LoadTrust(*trustFile); err != nil {
			fmt.Fprintf(stderr, "guzheng-verify: %v\n", err)
			return exitFailure
		}
	}
	v, err := verify.Package(ctx, flags.Arg(0), opt)
	if err != nil {
		fmt.Fprintf(stderr, "guzheng-verify: %v\n", err)
		return exitFailure
	}
	if err := tell(stdout, v, *asJSON); err != nil {
		fmt.Fprintf(stderr, "guzheng-verify: writing verdict: %v\n", err)
		return exitFailure
	}
	return codeOf(v, *strict)
}

// tell prints the verdict.
func tell(w io.Writer, v verify.Verdict, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			Outcome verify.Outcome `json:"outcome"`
			verify.Verdict
		}{v.Outcome(), v})
	}
	for _, c := range v.Checks {
		line := fmt.Sprintf("%-11s  %s", c.Outcome, c.Name)
		for _, s := range []string{c.Subject, c.Code, c.Detail} {
			if s != "" {
				line += "  " + printable(s)
			}
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "verdict: %s\n", v.Outcome())
	return err
}

// printable replaces what a package could play tricks on a terminal with.
func printable(s string) string {
	q := strconv.QuoteToGraphic(s)
	if q = q[1 : len(q)-1]; len(q) > 400 {
		q = strings.ToValidUTF8(q[:400], "") + "..."
	}
	return strings.ReplaceAll(q, `\"`, `"`)
}

// codeOf is the exit code of a verdict.
func codeOf(v verify.Verdict, strict bool) int {
	switch v.Outcome() {
	case verify.Failed:
		return exitAltered
	case verify.Unknown:
		for _, c := range v.Checks {
			if strict || c.Name == "seal.present" && c.Outcome == verify.Unknown {
				return exitUnknown
			}
		}
	case verify.Passed:
	}
	return exitSound
}
