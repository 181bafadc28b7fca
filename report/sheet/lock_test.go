package sheet_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"guzheng/report/sheet"
	"guzheng/report/words"
	"guzheng/storage"
)

// TestLockIsWhatWasProved wants the sheet to claim no more than a trial has
// shown, and to say where nothing was tried.
func TestLockIsWhatWasProved(t *testing.T) {
	c, err := words.New("en")
	if err != nil {
		t.Fatal(err)
	}
	proof := func(refused ...string) *storage.Proof {
		p := &storage.Proof{Time: time.Date(2026, 11, 24, 4, 0, 0, 0, time.UTC)}
		for _, name := range []string{storage.TrialCreateOnly, storage.TrialChecksum, storage.TrialDelete, storage.TrialShorten, storage.TrialHold} {
			p.Trials = append(p.Trials, storage.Trial{Name: name, Held: slices.Contains(refused, name)})
		}
		return p
	}
	const locked, open = "the store refuses removal and change", "removal is not prevented"
	for name, s := range map[string]struct {
		lock      storage.Lock
		proof     *storage.Proof
		want, not []string
	}{
		"directory":       {storage.LockHash, nil, []string{open}, []string{"tried", locked}},
		"directory tried": {storage.LockHash, proof(), []string{open}, []string{locked}},
		"bucket":          {storage.LockStore, nil, []string{locked, "not tried"}, []string{open}},
		"bucket tried": {storage.LockStore, proof("create-only", "checksum", "delete", "shorten", "hold"),
			[]string{locked, "the store refused: ", "removal before the date"}, []string{open, "did not refuse", "not tried"}},
		"hold ends with the date": {storage.LockStore, proof("create-only", "checksum", "delete", "shorten"),
			[]string{locked, "the store did not refuse: removal after the date, under a hold"}, []string{open}},
		"lock refuted": {storage.LockStore, proof("create-only", "checksum"), []string{open, "did not refuse: removal before the date"}, []string{locked}},
	} {
		v := quickView()
		v.Object = storage.Object{Key: "k", Lock: s.lock, Version: "v-1", Mode: "COMPLIANCE", Hold: true}
		v.Proof = s.proof
		text := sheet.Kept(v, c)
		for _, w := range append(s.want, "version v-1", "COMPLIANCE", "on legal hold") {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %q in %q", name, w, text)
			}
		}
		for _, w := range s.not {
			if strings.Contains(text, w) {
				t.Errorf("%s: %q in %q", name, w, text)
			}
		}
		weak := slices.Contains(sheet.Weaknesses(v, c), c.T("note.lock.hash"))
		if claims := strings.Contains(text, locked); claims == weak {
			t.Errorf("%s: claims a lock: %v, names the lack of one: %v", name, claims, weak)
		}
	}
}
