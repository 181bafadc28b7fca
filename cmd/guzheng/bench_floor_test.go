package main

import (
	"bytes"
	"context"
	order "encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"guzheng/capture/practice"
)

// The floors are what a browser has to do in any case, done with chromedp in
// the way its documentation shows: one browser, a fresh context for each page,
// in the same sandbox as ours, as another user when we are root. What everyone
// does (F1, F2) runs with chromedp's own switches. Loading alone and the same
// content (F0, F4) are the hard floors: they run with those that make ours
// fast.
const (
	toolLoad  = "F0" // load only
	toolNaive = "F1" // what everyone does: Navigate, FullScreenshot
	toolFast  = "F2" // the same with the fast PNG encoder
	toolSame  = "F4" // the same content as ours: lazy pictures awaited, fast PNG
	toolOurs  = "G"  // Guzheng, full evidence, sealed
	toolPeer  = "P"  // single-file-cli
)

// Size of the window in CSS pixels, the same for every tool.
const windowWidth, windowHeight = 1280, 800

// A floor is a browser that pages are loaded in.
type floor struct {
	job  job
	ctx  context.Context
	stop func()
}

func newFloor(ctx context.Context, j job) (visitor, error) {
	f := &floor{job: j}
	if err := f.launch(ctx); err != nil {
		return visitor{}, err
	}
	return visitor{visit: f.visit, close: func() error { f.stop(); return nil }}, nil
}

// launch starts the browser and waits until it answers.
func (f *floor) launch(ctx context.Context) error {
	profile, err := os.MkdirTemp(f.job.Dir, "profile-")
	if err != nil {
		return err
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(f.job.Browser),
		chromedp.UserDataDir(profile),
		chromedp.WindowSize(windowWidth, windowHeight),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", f.job.SPKI),
		chromedp.Flag("no-sandbox", false),
		chromedp.NoInheritEnv,
		chromedp.Env("HOME="+profile, "TMPDIR="+profile, "PATH=/usr/bin:/bin", "LANG=zh_CN.UTF-8"),
	)
	if f.job.Tool == toolLoad || f.job.Tool == toolSame {
		opts = append(opts, chromedp.Flag("disable-gpu", true), chromedp.Flag("in-process-gpu", true))
	}
	cred, err := unprivileged(profile)
	if err != nil {
		return err
	}
	opts = append(opts, chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
		cmd.Dir = profile
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: cred}
	}))
	alloc, cancel := chromedp.NewExecAllocator(ctx, opts...)
	silent := func(string, ...any) {}
	browser, end := chromedp.NewContext(alloc, chromedp.WithErrorf(silent), chromedp.WithLogf(silent))
	f.ctx, f.stop = browser, func() { end(); cancel() }
	if err := chromedp.Do(browser); err != nil {
		f.stop()
		return fmt.Errorf("starting %s: %w", f.job.Browser, err)
	}
	return nil
}

// unprivileged returns the credential that the browser runs with when we are
// root: its sandbox refuses root.
func unprivileged(profile string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	id := 61184 + rand.IntN(4000)
	return &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}, os.Chown(profile, id, id)
}

// visit loads one page and takes its picture.
func (f *floor) visit(ctx context.Context, c call) (string, error) {
	tab, cancel := chromedp.NewContext(f.ctx, chromedp.WithNewBrowserContext())
	defer cancel()
	tab, end := context.WithTimeout(tab, 60*time.Second)
	defer end()
	defer context.AfterFunc(ctx, end)()
	traffic := &traffic{}

	if f.job.Tool == toolSame {
		if err := chromedp.Listen(tab, traffic.hear); err != nil {
			return "", err
		}
	}
	if err := chromedp.Do(tab, chromedp.Navigate(c.URL)); err != nil {
		return "", fmt.Errorf("loading: %w", err)
	}
	var picture []byte
	var err error
	switch f.job.Tool {
	case toolLoad:
		return "", nil
	case toolNaive:
		picture, err = chromedp.Run(tab, chromedp.FullScreenshot(100))
	case toolFast:
		picture, err = chromedp.Run(tab, fastPicture(true))
	case toolSame:
		if err := traffic.unfold(tab); err != nil {
			return "", err
		}
		picture, err = chromedp.Run(tab, fastPicture(false))
	default:
		return "", fmt.Errorf("no tool is called %q", f.job.Tool)
	}
	if err != nil {
		return "", fmt.Errorf("taking the picture: %w", err)
	}
	name := filepath.Join(f.job.Dir, c.Visit+".png")
	return name, os.WriteFile(name, picture, 0o600)
}

// fastPicture takes a picture with the fast encoder; beyond the window, or of
// a window that is as high as the page.
func fastPicture(beyond bool) chromedp.Action[[]byte] {
	return func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		r, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{
			Format: page.CaptureScreenshotFormatPng, OptimizeForSpeed: new(true), FromSurface: new(true),
			CaptureBeyondViewport: new(beyond),
		})
		return r.Data, err
	}
}

// traffic knows the requests that have no answer yet, and when something last
// came. The end of an answer is not waited for: a script that does not read its
// answer keeps it from ending.
type traffic struct {
	mu    sync.Mutex
	under map[network.RequestID]bool
	last  time.Time
}

func (t *traffic) hear(event any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.under == nil {
		t.under = map[network.RequestID]bool{}
	}
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		t.under[e.RequestID] = true
	case *network.EventResponseReceived:
		delete(t.under, e.RequestID)
	case *network.EventLoadingFailed:
		delete(t.under, e.RequestID)
	case *network.EventDataReceived, *network.EventLoadingFinished:
	default:
		return
	}
	t.last = time.Now()
}

// quietFor is how long nothing may be requested before a page counts as quiet.
const quietFor = 100 * time.Millisecond

func (t *traffic) quiet() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.under) == 0 && time.Since(t.last) >= quietFor
}

// pageState is what the page says of itself.
type pageState struct {
	Height   int64 `json:"height"`
	Unloaded int   `json:"unloaded"` // pictures in the layout without pixels
}

const pageStateScript = `({
	height: Math.ceil((document.scrollingElement || document.documentElement).scrollHeight),
	unloaded: [...document.images].filter(i => i.getClientRects().length > 0 && !(i.complete && i.naturalWidth > 0)).length,
})`

// unfold makes the window as high as the page until the page does not grow and
// every picture is there.
func (t *traffic) unfold(ctx context.Context) error {
	height := int64(windowHeight)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(20 * time.Second)
	for first := true; ; first = false {
		if !first && !t.quiet() {
			select {
			case <-tick.C:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		state, err := chromedp.Run(ctx, chromedp.Evaluate[pageState](pageStateScript))
		if err != nil {
			return fmt.Errorf("looking at the page: %w", err)
		}
		switch {
		case state.Height > height:
			height = state.Height
			_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
				Width: windowWidth, Height: height, DeviceScaleFactor: 1})
			if err != nil {
				return fmt.Errorf("making the window %d high: %w", height, err)
			}
		case state.Unloaded == 0 && !first:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d pictures are not loaded", state.Unloaded)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pngHeight reads the height from the head of a PNG file.
func pngHeight(name string) (int, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	height, err := pngHeightOf(f)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return height, nil
}

// pngHeightOf reads the height from the head of a PNG stream, ISO/IEC 15948
// section 11.2.2.
func pngHeightOf(r io.Reader) (int, error) {
	head := make([]byte, 24)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, err
	}
	if !bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")) {
		return 0, errors.New("not a PNG file")
	}
	return int(order.BigEndian.Uint32(head[20:])), nil
}

// barePart is the command that ours is compared with: it serves the practice
// shop as `guzheng run` does, starts a browser, loads the home page, takes one
// picture of the whole page and writes it. Arguments: browser and directory.
func barePart(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: bare BROWSER DIR")
	}
	shop := httptest.NewServer(practice.New())
	defer shop.Close()
	f := &floor{job: job{Tool: toolNaive, Browser: args[0], Dir: args[1], Concurrency: 1}}
	if err := f.launch(ctx); err != nil {
		return err
	}
	defer f.stop()
	name, err := f.visit(ctx, call{URL: shop.URL + "/", Visit: "bare-" + strconv.Itoa(os.Getpid())})
	if err != nil {
		return err
	}
	_, err = pngHeight(name)
	return err
}
