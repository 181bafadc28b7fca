package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/domsnapshot"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	read "guzheng/capture/web/reading"
)

// alike is how alike the texts of capture and replay must be at least.
const alike = 0.98

// replayed shows the package in a tab of its own and wants every exchange of
// the capture to be answered from it, no request of the page to go beyond it,
// and the text to be the one that was captured.
func (h *heavy) replayed(t *testing.T, v *viewer, browser context.Context) {
	ctx, cancel := chromedp.NewContext(browser)
	defer cancel()
	r := &replay{ctx: ctx, kept: h.kept}
	a := &answers{asked: map[network.RequestID]string{}, said: map[string]string{}}
	if err := chromedp.Listen(ctx, a.hear); err != nil {
		t.Fatal(err)
	}
	defer func() { // also when waiting was in vain
		missing, bad := a.lacking(h)
		if n := len(missing); n > 0 {
			t.Errorf("page %s: %d of %d exchanges were not replayed: %q", h.page.Name, n, len(h.sent), missing[:min(n, 5)])
		}
		if n := len(bad); n > 0 {
			t.Errorf("page %s: the package lacks what the page asks for: %q", h.page.Name, bad[:min(n, 5)])
		}
	}()
	v.open(t, r)
	beacon := false
	r.await(t, striding, func(f frame) bool {
		missing, bad := a.lacking(h)
		if len(bad) > 0 {
			return true
		}
		if f.Waiting > 0 || len(f.Broken) > 0 || f.Images == 0 {
			return false
		}
		if !beacon && len(missing) <= 1 {
			beacon = true
			h.beacon(t, ctx)
		}
		return len(missing) == 0
	})
	if !t.Failed() {
		h.sameText(t, ctx)
	}
}

// beacon sends what the page handed to navigator.sendBeacon: the viewer takes
// the place of that function and sends nothing.
func (h *heavy) beacon(t *testing.T, ctx context.Context) {
	t.Helper()
	for address := range h.sent {
		if !strings.HasSuffix(address, counting) {
			continue
		}
		script := fmt.Sprintf(`%s((w, doc) => {
  const body = JSON.stringify({ page: new URL(%q).pathname, title: doc.title, width: w.innerWidth });
  if (doc.documentElement.dataset.count) w.fetch(%q, { method: "POST", body });
  return true;
})`, descend, h.page.URL, address+"?v="+h.visit)
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[[]bool](script)); err != nil {
			t.Fatalf("sending the beacon: %v", err)
		}
	}
}

// sameText reads the replayed page as a capture does and compares.
func (h *heavy) sameText(t *testing.T, ctx context.Context) {
	t.Helper()
	snap, err := chromedp.Call(ctx, domsnapshot.CaptureSnapshot, read.Params())
	if err != nil {
		t.Fatal(err)
	}
	replayed := withoutHeadings(read.Read([]read.Layer{{Snapshot: &snap}}).Text)
	captured := withoutHeadings(string(h.file(t, "evidence/text.txt")))
	if len(captured) < 3000 {
		t.Errorf("page %s: only %d bytes of text were captured", h.page.Name, len(captured))
	}
	if s := read.Similarity(replayed, captured); s < alike {
		t.Errorf("page %s: the text is %.4f alike, want at least %.2f; see %s", h.page.Name, s, alike, t.ArtifactDir())
		for name, text := range map[string]string{"replayed.txt": replayed, "captured.txt": captured} {
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name), []byte(text), 0o600); err != nil {
				t.Error(err)
			}
		}
	}
}

// frameHeading is the line before the text of a frame: its address, which the
// viewer changes.
var frameHeading = regexp.MustCompile(`(?m)^\[https?://\S+\]$`)

func withoutHeadings(text string) string { return frameHeading.ReplaceAllString(text, "") }

// answers are what the viewer answered to the requests of a replayed page, by
// the addresses as they were captured.
type answers struct {
	mu    sync.Mutex
	asked map[network.RequestID]string
	said  map[string]string // answered when there was a good answer, or why not
	bad   []string          // answers that the package does not hold
}

const answered = "answered"

// replayedAddress finds the address as captured in one of the viewer's:
// …/w/COLLECTION/:DIGEST/TIMEmp_/https://….
var replayedAddress = regexp.MustCompile(`/replay/w/.+?/[0-9]*[a-z]{2}_/(https?://.*)$`)

// original returns the address as captured, or nothing.
func original(address string) string {
	if m := replayedAddress.FindStringSubmatch(address); m != nil {
		return m[1]
	}
	return ""
}

// notOfPage are addresses that need no package: what stands in the address
// itself, and the script that the viewer puts into pages.
var notOfPage = regexp.MustCompile(`^(data:|blob:|http://127\.0\.0\.1:[0-9]+/replay/static/)`)

// hear notes an event of the network, when a replayed document is concerned:
// the viewer itself asks for icons that pages do not have.
func (a *answers) hear(event any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	note := func(id network.RequestID, text string) {
		if address := a.asked[id]; address != "" && a.said[address] != answered {
			a.said[address] = text
		}
	}
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		switch {
		case original(e.DocumentURL) == "" || notOfPage.MatchString(e.Request.URL):
		case original(e.Request.URL) == "":
			a.bad = append(a.bad, "asked beyond the package: "+e.Request.URL)
		default:
			a.asked[e.RequestID] = original(e.Request.URL)
		}
	case *network.EventResponseReceived:
		text := answered
		if e.Response.Status < 200 || e.Response.Status > 299 {
			text = fmt.Sprintf("status %d", e.Response.Status)
			if address := a.asked[e.RequestID]; address != "" {
				a.bad = append(a.bad, text+" for "+address)
			}
		}
		note(e.RequestID, text)
	case *network.EventLoadingFailed:
		note(e.RequestID, e.ErrorText)
	}
}

// lacking tells which exchanges of the capture have no answer yet, and what
// is wrong whatever comes.
func (a *answers) lacking(h *heavy) (missing, bad []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for address := range h.sent {
		if s := a.said[address+"?v="+h.visit]; s != answered {
			missing = append(missing, strings.TrimSpace(address+" "+s))
		}
	}
	return missing, a.bad
}
