package bag

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// ErrInvalid is wrapped by every complaint about a bag.
var ErrInvalid = errors.New("bag is not valid")

// maxTag bounds a tag file that is read into memory, in bytes.
const maxTag = 64 << 20

// Check reads the bag in fsys to its last byte and wants it to be as Close
// made it: every file of the payload in every manifest and unchanged, no file
// in a manifest absent, every tag file but the tag manifests likewise in the
// tag manifests, and the Payload-Oxum true. It is stricter than RFC 8493,
// which lets tag files go unlisted.
func Check(fsys fs.FS) (Summary, error) {
	c := check{fsys: fsys, listed: map[string]sums{}}
	text, err := c.read(declarationFile)
	if err != nil {
		return Summary{}, err
	}
	if text != declaration {
		return Summary{}, fmt.Errorf("%s is %q: %w", declarationFile, text, ErrInvalid)
	}
	for i, a := range algorithms {
		for _, name := range []string{"manifest-" + a + ".txt", tagPrefix + a + ".txt"} {
			if err := c.manifest(name, i); err != nil {
				return Summary{}, err
			}
		}
	}
	if err := fs.WalkDir(fsys, ".", c.visit); err != nil {
		return Summary{}, fmt.Errorf("checking bag: %w", err)
	}
	for name := range c.listed {
		return Summary{}, fmt.Errorf("%s is listed and not there: %w", name, ErrInvalid)
	}
	info, err := c.read(infoFile)
	if err != nil {
		return Summary{}, err
	}
	if oxum := fmt.Sprintf("Payload-Oxum: %d.%d", c.sum.Bytes, c.sum.Files); !slices.Contains(strings.Split(info, "\n"), oxum) {
		return Summary{}, fmt.Errorf("payload is %q, %s says otherwise: %w", oxum, infoFile, ErrInvalid)
	}
	tags, err := c.read(tagPrefix + "sha256.txt")
	d := sha256.Sum256([]byte(tags))
	c.sum.Digest = hex.EncodeToString(d[:])
	return c.sum, err
}

type check struct {
	fsys   fs.FS
	listed map[string]sums // what the manifests say, until it is found
	sum    Summary
}

// read returns a tag file.
func (c *check) read(name string) (string, error) {
	f, err := c.fsys.Open(name)
	if err != nil {
		return "", fmt.Errorf("checking bag: %w: %w", err, ErrInvalid)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTag+1))
	if err != nil {
		return "", fmt.Errorf("checking bag: reading %s: %w", name, err)
	}
	if len(b) > maxTag {
		return "", fmt.Errorf("checking bag: %s is longer than %d bytes: %w", name, maxTag, ErrInvalid)
	}
	return string(b), nil
}

// manifest reads what a manifest says of each file.
func (c *check) manifest(name string, algorithm int) error {
	text, err := c.read(name)
	if err != nil {
		return err
	}
	lines, err := parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, l := range lines {
		if strings.HasPrefix(l.name, payloadDir) == strings.HasPrefix(name, tagPrefix) {
			return fmt.Errorf("%s lists %s: %w", name, l.name, ErrInvalid)
		}
		s := c.listed[l.name]
		if s.hash[algorithm] != "" {
			return fmt.Errorf("%s lists %s twice: %w", name, l.name, ErrInvalid)
		}
		s.hash[algorithm] = l.hash
		c.listed[l.name] = s
	}
	return nil
}

// A line is one line of a manifest.
type line struct{ hash, name string }

// parse reads a manifest (RFC 8493 section 2.1.3) in the form that Close
// writes: lower-case hex, two spaces, a usable name, a line feed.
func parse(text string) ([]line, error) {
	var out []line
	sc := bufio.NewScanner(strings.NewReader(text))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		hash, name, ok := strings.Cut(sc.Text(), "  ")
		if b, err := hex.DecodeString(hash); err != nil || !ok || len(b) == 0 || hex.EncodeToString(b) != hash || !usable.MatchString(name) {
			return nil, fmt.Errorf("line %d is no line of a manifest: %w", len(out)+1, ErrInvalid)
		}
		out = append(out, line{hash, name})
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w: %w", len(out)+1, err, ErrInvalid)
	}
	return out, nil
}

// visit compares one file with what the manifests say of it.
func (c *check) visit(name string, d fs.DirEntry, err error) error {
	if err != nil || d.IsDir() {
		return err
	}
	if !d.Type().IsRegular() {
		return fmt.Errorf("%s is no file: %w", name, ErrInvalid)
	}
	if slices.ContainsFunc(algorithms[:], func(a string) bool { return name == tagPrefix+a+".txt" }) {
		return nil // no manifest lists itself
	}
	want, ok := c.listed[name]
	if !ok {
		return fmt.Errorf("%s is not listed: %w", name, ErrInvalid)
	}
	delete(c.listed, name)
	f, err := c.fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := sum(name, f)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if got.hash != want.hash {
		return fmt.Errorf("%s is %s, listed as %s: %w", name, got.hash[1], want.hash[1], ErrInvalid)
	}
	if strings.HasPrefix(name, payloadDir) {
		c.sum.Files++
		c.sum.Bytes += got.bytes
	}
	return nil
}
