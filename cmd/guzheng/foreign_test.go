package main

import (
	"path/filepath"
	"strings"
	"testing"

	"guzheng/preserve/wacz/wacztest"
)

// TestReplayForeign shows the sample of another program's package in
// ReplayWeb.page: it can be replayed, and the viewer finds the anonymous
// signature good that guzheng verify finds good.
func TestReplayForeign(t *testing.T) {
	v := openViewer(t)
	name, err := filepath.Abs("../../preserve/testdata/foreign/anonymous.wacz")
	if err != nil {
		t.Fatal(err)
	}
	r := v.show(t, kept{Package: name, URL: wacztest.URL})
	r.await(t, still, func(f frame) bool { return strings.Contains(f.Text, "199.00") })
	_, key := wacztest.NewKey(t, 5).Identity()
	r.signedBy(t, key)
}
