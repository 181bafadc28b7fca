package web

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"guzheng/capture"
	"guzheng/capture/ordeal"
	"guzheng/capture/raster"
)

// What one capture of the ordeal may take beyond the limit of its whole: the
// browser's start, the closing of files, and a machine that is busy.
const (
	ordealGrace = 20 * time.Second
	ordealDisk  = 64 << 20 // pictures, MHTML and PDF, beyond the bodies
)

func ordealOrder(s *ordeal.Server, c ordeal.Case) capture.Order {
	o := order(s.Address(c))
	l := &o.Limits
	l.NavigateMS, l.SettleMS, l.StepMS, l.ScrollMS, l.ArtefactMS, l.TotalMS = 4_000, 2_000, 1_000, 4_000, 8_000, 20_000
	if c.Heavy {
		l.ArtefactMS, l.TotalMS = 2_500, 12_000 // they would take whatever there is
	}
	l.BodyBytes, l.TotalBytes, l.PageHeight = 4<<20, 16<<20, 8_000
	l.Requests, l.Frames, l.MemoryBytes = 500, 50, 1<<30
	o.SecondLook, o.AcceptInvalidTLS = c.Twice, c.Accept
	return o
}

// Each of the 64 behaviours of hostile pages comes to a truthful end within
// its time, leaves no process, touches nothing that it may not, and does not
// spoil what is captured after it.
func TestOrdeal(t *testing.T) {
	if testing.Short() {
		t.Skip("short: a hundred captures take minutes")
	}
	s, err := ordeal.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	b := Browser{Allow: s.Hosts(), extra: []string{"ignore-certificate-errors-spki-list=" + s.TrustedKey()}}
	t.Run("cases", func(t *testing.T) {
		for _, c := range ordeal.Cases() {
			t.Run(fmt.Sprintf("%02d-%s", c.Number, c.Name), func(t *testing.T) {
				if !c.Heavy {
					t.Parallel()
				}
				play(t, s, b, c)
				if c.Heavy {
					plain(t, s, b)
				}
			})
		}
	})
	plain(t, s, b)
	if n := s.Victim(); n > 0 {
		t.Errorf("the victim was reached %d times", n)
	}
}

// plain captures a page of good manners.
func plain(t *testing.T, s *ordeal.Server, b Browser) {
	t.Helper()
	got := collect(t, order("http://"+s.Host(ordeal.Plain)+"/plain"), b)
	if got.take.State != capture.Complete {
		t.Errorf("a plain page afterwards is %s: %v", got.take.State, got.take.Reasons)
	}
}

// play captures one case and holds the take against it.
func play(t *testing.T, s *ordeal.Server, b Browser, c ordeal.Case) {
	o := ordealOrder(s, c)
	begin := time.Now()
	got := collect(t, o, b)
	took := time.Since(begin)
	t.Logf("%s in %.1f s: %v", got.take.State, took.Seconds(), got.take.Reasons)
	if most := capture.MS(o.Limits.TotalMS) + ordealGrace; took > most {
		t.Errorf("took %v, %v at most", took, most)
	}
	state := string(got.take.State)
	if state != c.State && (state != c.Or || c.Or == "") {
		t.Errorf("%s, want %s or %q: %v", state, c.State, c.Or, got.take.Reasons)
	}
	because := slices.ContainsFunc(got.take.Reasons, func(r capture.Reason) bool { return slices.Contains(c.Reasons, r.Code) })
	if state != ordeal.Complete && !because {
		t.Errorf("%s, but none of %v: %v", state, c.Reasons, got.take.Reasons)
	}
	if c.Anomaly != "" && !slices.ContainsFunc(got.entries, func(e capture.Entry) bool { return e.Code == c.Anomaly }) {
		t.Errorf("journal lacks %s", c.Anomaly)
	}
	if state != ordeal.Failed {
		readsAs(t, got, c)
	}
	if c.Anomaly == "picture.frames" {
		drawn(t, got)
	}
	if got.facts.Status != 0 && len(got.recorded(t)[o.URL]) == 0 {
		t.Errorf("the answer of %s is not recorded", o.URL)
	}
	if c.Place == ordeal.SelfSigned || c.Place == ordeal.Expired || c.Place == ordeal.WrongHost {
		if !slices.ContainsFunc(got.facts.TLS, func(h capture.TLSHost) bool { return len(h.Chain) == 1 }) {
			t.Errorf("the certificate is not kept: %+v", got.facts.TLS)
		}
	}
	served := s.Served()
	for _, path := range c.Asked {
		if served[path] == 0 {
			t.Errorf("%s was not asked for", path)
		}
	}
	for _, path := range c.Unasked {
		if served[path] > 0 {
			t.Errorf("%s was asked for", path)
		}
	}
	if n := diskUse(t, got.dir); n > o.Limits.TotalBytes+ordealDisk {
		t.Errorf("%d bytes on disk", n)
	}
	if n := s.Victim(); n > 0 {
		t.Errorf("the victim was reached %d times", n)
	}
	gone(t, got)
}

// drawn wants something to be seen in the two frames of another origin, which
// lie below the window.
func drawn(t *testing.T, got taken) {
	t.Helper()
	if n := len(got.facts.Frames); n != 2 {
		t.Errorf("%d pictures of frames, want 2", n)
	}
	for _, f := range got.facts.Frames {
		if blank, err := raster.OneColour(bytes.NewReader(got.read(t, f.Path))); blank || err != nil {
			t.Errorf("the picture of %s is blank: %v", f.URL, err)
		}
	}
}

// readsAs compares title and text; shadow trees stand in the lines only.
func readsAs(t *testing.T, got taken, c ordeal.Case) {
	t.Helper()
	if !strings.HasPrefix(got.facts.Title, c.Title) {
		t.Errorf("title %.80q, want %q", got.facts.Title, c.Title)
	}
	var text []byte
	for _, kind := range []string{capture.FileText, capture.FileLines} {
		if f, ok := got.take.File(kind); ok {
			text = append(text, got.read(t, f.Path)...)
		}
	}
	// The lines are JSON, where < and > are escaped.
	if !bytes.Contains(text, []byte(c.Text)) {
		t.Errorf("text lacks %q: %.400s", c.Text, text)
	}
	if c.NoText != "" && bytes.Contains(text, []byte(c.NoText)) {
		t.Errorf("text has %q: %.400s", c.NoText, text)
	}
}

func diskUse(t *testing.T, dir string) int64 {
	t.Helper()
	var n int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		i, err := e.Info()
		n += i.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// gone waits a moment for the last process of the capture's browser to end.
func gone(t *testing.T, got taken) {
	t.Helper()
	if h := got.facts.Browser.Limits; h == nil || h.Memory == "" || h.Processes == "" || h.End == "" {
		t.Errorf("the facts do not say by what the browser was held: %+v", h)
	}
	uid, profile := -1, ""
	if n, ok := strings.CutPrefix(got.facts.Browser.User, "uid "); ok {
		if id, err := strconv.Atoi(n); err == nil {
			uid = id
		}
	}
	for _, f := range got.facts.Browser.Flags {
		if at := strings.Index(f, "user-data-dir="); at >= 0 {
			profile = f[at+len("user-data-dir="):]
		}
	}
	if profile == "" {
		t.Errorf("no profile among the flags %q", got.facts.Browser.Flags)
		return
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(5 * time.Second); ; {
		left := alive(t, uid, profile)
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Errorf("processes left: %q", left)
			return
		}
	}
}

// alive lists the processes of the user, or with the profile among their
// arguments. Those that ended and wait to be reaped are not among them.
func alive(t *testing.T, uid int, profile string) []string {
	t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range procs {
		line, err := os.ReadFile(filepath.Join(p, "cmdline"))
		if err != nil || len(line) == 0 {
			continue // ended, or the kernel's own
		}
		st, err := os.Stat(p)
		if err != nil {
			continue
		}
		sys, ok := st.Sys().(*syscall.Stat_t)
		if ok && uid > 0 && int(sys.Uid) == uid || bytes.Contains(line, []byte(profile)) {
			out = append(out, p+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return out
}
