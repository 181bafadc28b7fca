package web

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"guzheng/capture"
	"guzheng/capture/warc"
)

// Recover closes a take whose capturing process died. The records of the
// WARC that are whole are copied into the take's archive; the cut file itself
// is kept beside it as it was found. It may run twice.
func Recover(dir string, order capture.Order, now func() time.Time) (capture.Take, error) {
	cut := filepath.Join(dir, "archive", "data.warc.gz.part")
	if _, err := os.Stat(cut); errors.Is(err, fs.ErrNotExist) {
		// A recovery that was interrupted itself may have moved it already.
		cut = filepath.Join(dir, "evidence", "remains", "archive-data.warc.gz")
	}
	whole := filepath.Join(dir, "archive", "data.warc.gz")
	if _, err := capture.ReadTake(dir); err == nil {
		return capture.Recover(dir, order, now)
	}
	made, err := salvage(cut, whole, now)
	if err != nil {
		return capture.Take{}, fmt.Errorf("recovering take %s: %w", order.ID, err)
	}
	return capture.Recover(dir, order, now, made...)
}

// salvage copies the whole records of cut to whole.
func salvage(cut, whole string, now func() time.Time) ([]capture.File, error) {
	f, err := os.Open(cut)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, records, err := warc.Salvage(f)
	if err != nil || records <= 1 { // a warcinfo record alone is no traffic
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, n))
	if err != nil {
		return nil, err
	}
	if err := capture.WriteFile(whole, b); err != nil {
		return nil, err
	}
	h := capture.NewHasher()
	_, _ = h.Write(b)
	return []capture.File{{Path: "archive/data.warc.gz", Kind: capture.FileWARC, MediaType: "application/warc+gzip",
		Written: now().UTC(), Digest: h.Digest()}}, nil
}
