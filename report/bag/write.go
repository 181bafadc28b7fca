package bag

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Names of tag files (RFC 8493 section 2).
const (
	declarationFile = "bagit.txt"
	infoFile        = "bag-info.txt"
	payloadDir      = "data/"
	tagPrefix       = "tagmanifest-"
)

// declaration is all of bagit.txt (section 2.1.1).
const declaration = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"

// algorithms name the manifests, strongest first.
var algorithms = [...]string{"sha512", "sha256"}

// ErrName is wrapped when a file cannot have the name that it is given.
var ErrName = errors.New("name not usable in a bag")

// A Field is one line of bag-info.txt (section 2.2.2). Lines may repeat.
type Field struct{ Name, Value string }

// A Summary tells what is in a bag.
type Summary struct {
	Files  int    // of the payload
	Bytes  int64  // of the payload
	Digest string // SHA-256 value of tagmanifest-sha256.txt, hex: it stands for the whole bag
}

// sums are the digests of one file, by algorithm.
type sums struct {
	name  string
	bytes int64
	hash  [len(algorithms)]string
}

// A Writer is a bag that is being written. It is for one goroutine.
type Writer struct {
	sink   sink
	target string
	date   time.Time
	files  []sums
	taken  map[string]bool
}

// Create begins a bag that Close will name target: a ZIP file when that ends
// in .zip, else a directory. A target that exists is refused (fs.ErrExist).
// The date, of which the day counts, is that of bagging.
func Create(target string, date time.Time) (*Writer, error) {
	abs, err := reserve(target)
	if err != nil {
		return nil, fmt.Errorf("making bag: %w", err)
	}
	w := &Writer{target: abs, date: time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, time.UTC), taken: map[string]bool{}}
	if strings.HasSuffix(strings.ToLower(target), ".zip") {
		w.sink, err = newArchive(abs, w.date)
	} else {
		w.sink, err = newFolder(abs)
	}
	if err != nil {
		return nil, fmt.Errorf("making bag %s: %w", target, err)
	}
	return w, nil
}

// usable are names that every system and every unpacker gives back as they
// are. Others would not be found by the name in the manifest.
var usable = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$`)

// Add writes a file. Below data/ it is payload, elsewhere a tag file. It
// returns the SHA-256 value of what was written, hex. Mode is 0o644, or 0o755
// for programs.
func (w *Writer) Add(name string, mode fs.FileMode, r io.Reader) (string, error) {
	if folded := strings.ToLower(name); !usable.MatchString(name) || w.taken[folded] {
		return "", fmt.Errorf("adding %q to bag: %w", name, ErrName)
	}
	s, err := w.put(name, mode, r)
	if err != nil {
		return "", fmt.Errorf("adding %s to bag: %w", name, err)
	}
	return s.hash[slices.Index(algorithms[:], "sha256")], nil
}

func (w *Writer) put(name string, mode fs.FileMode, r io.Reader) (sums, error) {
	out, err := w.sink.create(name, mode)
	if err != nil {
		return sums{}, err
	}
	w.taken[strings.ToLower(name)] = true
	s, err := sum(name, io.TeeReader(r, out))
	if err == nil {
		w.files = append(w.files, s)
	}
	return s, err
}

// sum reads r to its end.
func sum(name string, r io.Reader) (sums, error) {
	long, short := sha512.New(), sha256.New()
	n, err := io.Copy(io.MultiWriter(long, short), r)
	return sums{name: name, bytes: n, hash: [...]string{hex.EncodeToString(long.Sum(nil)), hex.EncodeToString(short.Sum(nil))}}, err
}

// Close completes the bag with bag-info.txt, to which it adds Bagging-Date
// and Payload-Oxum, and the manifests; makes it durable, checks every byte of
// it and gives it its name. After an error there is nothing under the name.
func (w *Writer) Close(info []Field) (Summary, error) {
	s, err := w.close(info)
	if err != nil {
		w.sink.discard()
		return Summary{}, fmt.Errorf("completing bag %s: %w", w.target, err)
	}
	return s, nil
}

func (w *Writer) close(info []Field) (Summary, error) {
	slices.SortFunc(w.files, func(a, b sums) int { return strings.Compare(a.name, b.name) })
	payload := Summary{}
	for _, f := range w.files {
		if strings.HasPrefix(f.name, payloadDir) {
			payload.Files++
			payload.Bytes += f.bytes
		}
	}
	info = append(slices.Clone(info), Field{"Bagging-Date", w.date.Format(time.DateOnly)}, Field{"Payload-Oxum", fmt.Sprintf("%d.%d", payload.Bytes, payload.Files)})
	for _, tag := range []struct{ name, text string }{
		{declarationFile, declaration}, {infoFile, fields(info)},
	} {
		if _, err := w.put(tag.name, 0o644, strings.NewReader(tag.text)); err != nil {
			return Summary{}, err
		}
	}
	for _, tags := range []bool{false, true} {
		if err := w.manifests(tags); err != nil {
			return Summary{}, err
		}
	}
	if err := w.sink.finish(); err != nil {
		return Summary{}, err
	}
	fsys, closer, err := w.sink.open()
	if err != nil {
		return Summary{}, err
	}
	defer closer.Close()
	found, err := Check(fsys)
	if err != nil {
		return Summary{}, err
	}
	if found.Files != payload.Files || found.Bytes != payload.Bytes {
		return Summary{}, fmt.Errorf("wrote %d files of %d bytes, found %d of %d", payload.Files, payload.Bytes, found.Files, found.Bytes)
	}
	return found, w.sink.name(w.target)
}

// manifests writes those of the payload, or those of the tag files.
func (w *Writer) manifests(tags bool) error {
	prefix := ""
	if tags {
		prefix = tagPrefix[:len(tagPrefix)-len("manifest-")]
	}
	var texts [len(algorithms)]strings.Builder
	slices.SortFunc(w.files, func(a, b sums) int { return strings.Compare(a.name, b.name) })
	for _, f := range w.files {
		if strings.HasPrefix(f.name, payloadDir) == tags {
			continue
		}
		for i := range algorithms {
			fmt.Fprintf(&texts[i], "%s  %s\n", f.hash[i], f.name)
		}
	}
	for i, a := range algorithms {
		if _, err := w.put(prefix+"manifest-"+a+".txt", 0o644, strings.NewReader(texts[i].String())); err != nil {
			return err
		}
	}
	return nil
}

// fields is the text of bag-info.txt. A value cannot begin another line.
func fields(info []Field) string {
	var b strings.Builder
	for _, f := range info {
		if v := strings.Join(strings.Fields(f.Value), " "); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", f.Name, v)
		}
	}
	return b.String()
}

// Discard removes an unfinished bag. After Close it must not be called.
func (w *Writer) Discard() { w.sink.discard() }
