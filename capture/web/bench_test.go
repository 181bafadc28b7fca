package web

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"guzheng/capture"
	"guzheng/capture/practice"
)

// BenchmarkCollect captures the practice shop's home page and reports how
// many times longer that takes than the floor, measured in the same run and
// in turns: the same browser loads the page and takes one full-page picture,
// and records nothing.
func BenchmarkCollect(b *testing.B) {
	srv := httptest.NewServer(practice.New())
	defer srv.Close()
	allow := []string{strings.TrimPrefix(srv.URL, "http://")}
	var ours, floor time.Duration
	for i := 0; b.Loop(); i++ {
		temp := b.TempDir()
		if os.Getuid() == 0 {
			var err error
			if temp, err = os.MkdirTemp("", "guzheng-bench-"); err != nil {
				b.Fatal(err)
			}
			if err := os.Chmod(temp, 0o711); err != nil {
				b.Fatal(err)
			}
		}
		start := time.Now()
		take, err := Browser{Allow: allow, TempDir: temp}.Collect(b.Context(), order(srv.URL+"/"), filepath.Join(b.TempDir(), "take"))
		if err != nil || take.State != capture.Complete {
			b.Fatal(take.State, take.Reasons, err)
		}
		ours += time.Since(start)
		start = time.Now()
		bare(b, srv.URL+"/")
		floor += time.Since(start)
		if err := os.RemoveAll(temp); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(ours)/float64(floor), "x/floor")
	b.ReportMetric(float64(floor.Milliseconds())/float64(b.N), "floor-ms/op")
}

// bare is the floor: launch, load, one picture, as a program would that wants
// nothing else.
func bare(b *testing.B, address string) {
	path, err := FindChromium("")
	if err != nil {
		b.Fatal(err)
	}
	alloc, cancel := chromedp.NewExecAllocator(b.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox)...)
	defer cancel()
	ctx, stop := chromedp.NewContext(alloc)
	defer stop()
	err = chromedp.Do(ctx, chromedp.Navigate(address), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: new(true)})
		return err
	}))
	if err != nil {
		b.Fatal(err)
	}
}
