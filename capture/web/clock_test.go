package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"guzheng/capture"
)

// hourBack is a reading of the clock with the wall clock set back an hour and
// the monotonic clock going on, as on a machine whose clock was set.
func hourBack(t *testing.T, at time.Time) time.Time {
	t.Helper()
	before := at
	v := (*struct { // time.Time: a bit, 33 bits of seconds, 30 bits of nanoseconds; monotonic; location
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&at))
	v.wall -= 3600 << 30
	if at.Sub(before) != 0 || at.Round(0).Sub(before.Round(0)) != -time.Hour {
		t.Error("package time has another layout")
	}
	return at
}

// The clock jumps back an hour while the page is loaded: the capture goes on,
// and journal and facts tell it.
func TestClockSetDuringCapture(t *testing.T) {
	var set atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		set.Store(true)
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!DOCTYPE html><title>t</title><p>text</p>")
	}))
	defer srv.Close()
	o := order(srv.URL)
	o.AllowPrivate, o.NoPrint = true, true
	got := collect(t, o, Browser{Now: func() time.Time {
		now := capture.Now()
		if set.Load() {
			now = hourBack(t, now)
		}
		return now
	}})
	if got.take.State != capture.Complete {
		t.Errorf("%s: %+v", got.take.State, got.take.Reasons)
	}
	if !got.has(capture.EntryAnomaly, "clock.jumped") || len(got.facts.Clock.Jumps) != 1 || got.facts.Clock.Jumps[0].ByMS > -3_599_000 {
		t.Errorf("jumps %+v", got.facts.Clock.Jumps)
	}
	last := 0.0
	for _, e := range got.entries {
		if e.Mono < last {
			t.Errorf("the monotonic clock goes back: %+v", e)
		}
		last = e.Mono
	}
}

func TestHostsFile(t *testing.T) {
	for line, want := range map[string]bool{
		"127.0.0.1 localhost":              false,
		"127.0.1.1 thisone":                false,
		"::1 ip6-localhost ip6-loopback":   false,
		"ff02::1 ip6-allnodes":             false,
		"127.0.0.1 localhost-shop.example": true,
		"127.0.0.1 shop.example":           true,
		"10.0.0.5 thisone":                 true,
		"192.0.2.7 localhost":              true,
		"not-an-address localhost":         true,
	} {
		f := strings.Fields(line)
		if got := foreign(f[0], f[1:], "thisone"); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
	if !names([]string{"10.0.0.5 a Shop.Example"}, "shop.example:8080") || names([]string{"10.0.0.5 a"}, "shop.example") {
		t.Error("names")
	}
}
