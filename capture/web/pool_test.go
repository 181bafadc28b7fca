package web

import (
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"guzheng/capture"
)

// Captures that want a browser while it is being started share it, and each
// of them learns that it did not start.
func TestPoolSharesStart(t *testing.T) {
	p := NewPool(Browser{Path: "/bin/false", TempDir: t.TempDir()}, 10)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			take, err := p.Collect(t.Context(), order("http://shop.example/"), filepath.Join(dir, strconv.Itoa(i)))
			if err != nil || take.State != capture.Failed || len(take.Reasons) != 1 || take.Reasons[0].Code != "browser.start" {
				t.Errorf("capture %d: %s %v %v", i, take.State, take.Reasons, err)
			}
		})
	}
	wg.Wait()
	p.Close()
}
