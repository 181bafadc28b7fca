package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"guzheng/preserve/tlog/ledger"
	"guzheng/preserve/tlog/remote"
)

// Pace of a node and of those who ask it.
const (
	anchorEvery = 10 * time.Minute // how often a node looks whether a stamp is due
	openTimeout = 10 * time.Second // of a worker's first question
)

// here refuses what only the machine with the log can do.
func (h *home) here() error {
	if h.cfg.Log.URL == "" {
		return nil
	}
	return fail(exitFailure, "ask there", "the log is at %s", h.cfg.Log.URL)
}

// openRemote uses the log of another machine. One that does not answer is no
// reason not to capture: the seal is pending then.
func (h *home) openRemote(ctx context.Context) error {
	token, err := firstLine("log token", h.cfg.Log.TokenFile)
	if err != nil {
		return err
	}
	l := &remote.Log{URL: h.cfg.Log.URL, Token: string(token), State: filepath.Join(h.dir, "log-node"), Key: h.cfg.Log.Key}
	ask, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err = l.Open(ask)
	switch {
	case errors.Is(err, ledger.ErrShrank), errors.Is(err, ledger.ErrForked):
		return fail(exitLog, "nothing was written. Have the log put right where it is. If it was given up there for another one, keep "+l.State+" and move it aside", "%w", err)
	case errors.Is(err, remote.ErrNode):
		fmt.Fprintf(h.err, "guzheng: %s (guzheng seal --pending, later)\n", plain(err.Error()))
	case err != nil:
		return fail(exitStorage, "", "%w", err)
	}
	h.log = l
	return nil
}

func logServeVerb(s streams) *cobra.Command {
	var listen, tokenFile, conf string
	c := &cobra.Command{
		Use:   "serve --listen ADDRESS --token-file FILE",
		Short: "Share the log with other machines",
		Long: `serve takes events from other machines (log.url in their settings) into the log
of this one and answers with proofs. Whoever has the token, the first line of
FILE, can add events. It passes unencrypted: listen on loopback or in a network
of your own. Interrupt it to end it.`,
		Args: args(cobra.NoArgs),
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:7070", "`address` to listen on")
	c.Flags().StringVar(&tokenFile, "token-file", "", "`file` with the token in its first line")
	c.Flags().StringVar(&conf, "config", "", "configuration `file` instead of config.yaml")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if tokenFile == "" {
			return fail(exitUsage, "guzheng log serve --help", "log serve needs --token-file")
		}
		token, err := firstLine("log token", tokenFile)
		if err != nil {
			return err
		}
		h, err := openHome(s, conf)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		if err := h.here(); err != nil {
			return err
		}
		if _, err := h.keeper(c.Context()); err != nil {
			return err
		}
		ln, err := net.Listen("tcp", listen)
		if err != nil {
			return fail(exitFailure, "", "listening: %w", err)
		}
		fmt.Fprintf(s.out, "http://%s\n", ln.Addr())
		return h.serveLog(c.Context(), ln, string(token))
	}
	return c
}

// serveLog serves until ctx ends, and has checkpoints stamped when they are
// due.
func (h *home) serveLog(ctx context.Context, ln net.Listener, token string) error {
	srv := &http.Server{Handler: &remote.Server{Log: h.log, Dir: h.logDir(), Token: token}, ReadHeaderTimeout: openTimeout, ReadTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	due := time.NewTicker(anchorEvery)
	defer due.Stop()
	for {
		select {
		case err := <-ended:
			return fail(exitFailure, "", "serving the log: %w", err)
		case <-due.C:
			h.anchor(ctx)
		case <-ctx.Done():
			// What is under way is answered first.
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), openTimeout)
			defer cancel()
			return srv.Shutdown(end)
		}
	}
}
