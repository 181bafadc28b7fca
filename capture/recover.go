package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Recover closes the take in the directory path after the process that made
// it died. Files whose digest the journal recorded are entered as they are;
// files without a recorded digest, and files whose bytes no longer have it,
// are entered as remains. The take is partial with the reason "interrupted",
// or failed when no whole artefact is there. Files that
// the source made from the remains before, such as the readable part of a
// cut WARC, are given in made and entered as such. A take that is already
// closed is returned unchanged, so Recover may run twice.
func Recover(path string, order Order, now func() time.Time, made ...File) (Take, error) {
	t, err := ReadTake(path)
	if err == nil {
		return t, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return Take{}, err
	}
	if err := setCutLineAside(path); err != nil {
		return Take{}, err
	}
	journal := filepath.Join(path, filepath.FromSlash(journalPath))
	entries, _, err := readJournalFile(journal)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Take{}, err
	}
	known := closedFiles(entries)
	for _, f := range made {
		known[f.Path] = f
	}
	if _, ok := known[orderPath]; !ok {
		// Killed before the order was in the take: it is known all the same.
		if known[orderPath], err = restoreOrder(path, order, now); err != nil {
			return Take{}, err
		}
	}
	files, err := recoverFiles(path, known, now)
	if err != nil {
		return Take{}, err
	}
	state, reasons := closedState(entries)
	if !slices.ContainsFunc(files, func(f File) bool { return f.Kind != FileOrder && f.Kind != FileRemains }) {
		state = Failed
	}
	reasons = append(reasons, Reason{Code: "interrupted",
		Detail: "the capturing process ended before the take was closed; recovered " + now().UTC().Format(time.RFC3339)})
	jf, err := recoverJournal(journal, entries, state, reasons, now)
	if err != nil {
		return Take{}, err
	}
	t = Take{Format: TakeFormat, Order: order.ID, State: state, Reasons: reasons, Files: append(files, jf), Finished: now().UTC(), Started: order.Created.UTC()}
	if len(entries) > 0 {
		t.Started, t.Finished = entries[0].Time, entries[len(entries)-1].Time
	}
	return t, writeTake(path, t)
}

// closedState returns what the journal last said of the take. Nothing better
// than partial comes out of an interruption.
func closedState(entries []Entry) (State, []Reason) {
	state, reasons := Partial, []Reason(nil)
	for _, e := range entries {
		if e.Code != "take.closed" {
			continue
		}
		if e.Data["state"] == string(Failed) {
			state = Failed
		}
		list, _ := e.Data["reasons"].([]any)
		for _, item := range list {
			r, _ := item.(map[string]any)
			code, _ := r["code"].(string)
			detail, _ := r["detail"].(string)
			if code != "" {
				reasons = append(reasons, Reason{Code: code, Detail: detail})
			}
		}
	}
	return state, reasons
}

// recoverFiles enters every file of the take but the journal.
func recoverFiles(path string, known map[string]File, now func() time.Time) ([]File, error) {
	names, err := filesBelow(path, func(p string) bool { return p != journalPath })
	if err != nil {
		return nil, err
	}
	var files []File
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), ".tmp-") {
			// Left by WriteFile, which had not given it a name yet.
			if err := os.Remove(filepath.Join(path, filepath.FromSlash(name))); err != nil {
				return nil, fmt.Errorf("recovering take: %w", err)
			}
			continue
		}
		f, err := recoverFile(path, name, known, now)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// restoreOrder writes the order into a take that lacks it.
func restoreOrder(path string, order Order, now func() time.Time) (File, error) {
	b, err := order.Encode()
	if err != nil {
		return File{}, err
	}
	name := filepath.Join(path, filepath.FromSlash(orderPath))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return File{}, fmt.Errorf("recovering take: %w", err)
	}
	if err := WriteFile(name, b); err != nil {
		return File{}, err
	}
	h := NewHasher()
	_, _ = h.Write(b)
	return File{Path: orderPath, Kind: FileOrder, MediaType: "application/json", Written: now().UTC(), Digest: h.Digest()}, nil
}

// closedFiles collects what the journal says about finished files.
func closedFiles(entries []Entry) map[string]File {
	known := map[string]File{}
	for _, e := range entries {
		if e.Kind != EntryFile {
			continue
		}
		str := func(k string) string { s, _ := e.Data[k].(string); return s }
		n, _ := e.Data["bytes"].(float64)
		known[str("path")] = File{Path: str("path"), Kind: str("kind"), MediaType: str("media_type"), Written: e.Time,
			Digest: Digest{Bytes: int64(n), SHA256: str("sha256"), SM3: str("sm3")}}
	}
	return known
}

func recoverFile(dir, name string, known map[string]File, now func() time.Time) (File, error) {
	if f, ok := known[name]; ok {
		g, err := digestFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return File{}, err
		}
		if g == f.Digest {
			return f, nil
		}
	}
	if strings.HasPrefix(name, "evidence/remains/") {
		g, err := digestFile(filepath.Join(dir, filepath.FromSlash(name)))
		return File{Path: name, Kind: FileRemains, MediaType: "application/octet-stream", Written: now().UTC(), Digest: g}, err
	}
	to := "evidence/remains/" + strings.ReplaceAll(strings.TrimSuffix(name, partSuffix), "/", "-")
	return adopt(dir, name, to, now)
}

// recoverJournal appends the account of the recovery to the journal. It
// expects setCutLineAside to have run.
func recoverJournal(name string, entries []Entry, state State, reasons []Reason, now func() time.Time) (File, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return File{}, fmt.Errorf("recovering journal: %w", err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return File{}, fmt.Errorf("recovering journal: %w", err)
	}
	j := NewJournal(&hashedFile{f: f, h: NewHasher()}, now, nil)
	if n := len(entries); n > 0 {
		j.seq = entries[n-1].Seq + 1
		j.start = j.start.Add(-now().Sub(entries[0].Time))
	}
	j.Anomaly("take.interrupted")
	j.Step("take.closed", "state", state, "reasons", reasons)
	if err := j.Close(); err != nil {
		return File{}, err
	}
	g, err := digestFile(name)
	return File{Path: journalPath, Kind: FileJournal, MediaType: "application/jsonl", Written: now().UTC(), Digest: g}, err
}

// setCutLineAside moves a last journal line that the crash cut off into a
// file of its own, so that the journal stays one JSON value per line and the
// cut bytes are kept.
func setCutLineAside(dir string) error {
	name := filepath.Join(dir, filepath.FromSlash(journalPath))
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recovering journal: %w", err)
	}
	end := bytes.LastIndexByte(b, '\n') + 1
	if end == len(b) {
		return nil
	}
	remains := filepath.Join(dir, "evidence", "remains")
	if err := os.MkdirAll(remains, 0o755); err != nil {
		return fmt.Errorf("recovering journal: %w", err)
	}
	if err := WriteFile(filepath.Join(remains, "journal-cut-line"), b[end:]); err != nil {
		return err
	}
	return WriteFile(name, b[:end])
}
