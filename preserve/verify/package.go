package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"guzheng/capture"
	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
	"guzheng/preserve/wacz"
)

// Options say against what a package is verified.
type Options struct {
	// Seal is the seal's bytes. When nil, SealPath is read; when that is
	// empty too, the newest seal beside the package.
	Seal     []byte
	SealPath string
	Trust    Trust
	// Beside are the seals and evidence records beside the package. When nil,
	// they are read from its directory.
	Beside []File
	// At is as of when evidence records are looked at. The zero time asks
	// only whether they held when their newest stamp was made.
	At time.Time

	name string // of the package's file
}

// Package makes the verdict on the package in the file path. The error is
// about reading files or the end of ctx; whatever is wrong with what was read
// is in the verdict.
func Package(ctx context.Context, path string, opt Options) (Verdict, error) {
	f, err := os.Open(path)
	if err != nil {
		return Verdict{}, fmt.Errorf("verifying package: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Verdict{}, fmt.Errorf("verifying package: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Verdict{}, fmt.Errorf("verifying package: %s is not a file", path)
	}
	if opt.Seal == nil {
		if opt.Seal, err = readSeal(path, opt.SealPath); err != nil {
			return Verdict{}, fmt.Errorf("verifying package: %w", err)
		}
	}
	if opt.Beside == nil {
		if opt.Beside, err = ReadBeside(path); err != nil {
			return Verdict{}, fmt.Errorf("verifying package: %w", err)
		}
	}
	opt.name = filepath.Base(path)
	return Read(ctx, f, info.Size(), opt)
}

// Read makes the verdict on a package of the given size in bytes, wherever it
// lies. Of opt the seal is opt.Seal, nil for none, and what lies beside it is
// opt.Beside; SealPath is not looked at.
// The package is read twice, and its traffic once more; never is more than a
// few of its files held in memory. The error is as that of Package.
func Read(ctx context.Context, r io.ReaderAt, size int64, opt Options) (Verdict, error) {
	v := &visit{ctx: ctx, trust: opt.Trust, digests: map[string]capture.Digest{}}
	if opt.Seal == nil {
		if p := openForeign(r, size); p != nil {
			v.foreign(p)
			if err := ctx.Err(); err != nil {
				return Verdict{}, fmt.Errorf("verifying package: %w", err)
			}
			return v.verdict, nil
		}
	}
	// The two read the same bytes and take about as long.
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { v.digest, err = capture.DigestOf(&ctxReader{ctx, io.NewSectionReader(r, 0, size)}) })
	v.inside(r, size)
	wg.Wait()
	if err != nil {
		return Verdict{}, fmt.Errorf("verifying package: %w", err)
	}
	v.verdict.Package = v.digest
	v.beside(opt.Seal)
	if err := v.evidence(r, size, opt); err != nil {
		return Verdict{}, fmt.Errorf("verifying package: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return Verdict{}, fmt.Errorf("verifying package: %w", err)
	}
	return v.verdict, nil
}

// A visit is one verification under way: what has been read so far and what
// was found.
type visit struct {
	ctx     context.Context
	trust   Trust
	verdict Verdict

	pkg     *wacz.Package // nil when the ZIP is not sound
	about   wacz.Datapackage
	signer  []byte                    // SubjectPublicKeyInfo of the package's signature
	digests map[string]capture.Digest // of the files inside, as found
	take    capture.Take
	digest  capture.Digest // of the whole package, as found
	sums    map[tsa.Hash][]byte
}

func (v *visit) add(name, subject string, o Outcome, code, format string, args ...any) {
	v.verdict.Checks = append(v.verdict.Checks, Check{Name: name, Subject: subject, Outcome: o, Code: code, Detail: fmt.Sprintf(format, args...)})
}

func (v *visit) pass(name, format string, args ...any) { v.add(name, "", Passed, "", format, args...) }

func (v *visit) fail(name, code, format string, args ...any) {
	v.add(name, "", Failed, code, format, args...)
}

func (v *visit) unknown(name, code, format string, args ...any) {
	v.add(name, "", Unknown, code, format, args...)
}

// inside checks the package itself.
func (v *visit) inside(r io.ReaderAt, size int64) {
	p, err := wacz.Open(r, size)
	if err != nil {
		v.fail("zip", zipCode(err), "%v", err)
		for _, name := range []string{"datapackage", "files.sha256", "files.sm3", "take", "raw.root", "warc", "index", "pages", "package.signature"} {
			v.unknown(name, "zip.unreadable", "")
		}
		return
	}
	v.pkg = p
	v.pass("zip", "%d files", len(p.Files()))
	v.hashFiles()
	v.checkDatapackage()
	v.checkFiles()
	v.checkTake()
	v.checkRaw()
	v.checkTraffic()
	v.checkPages()
	v.checkPackageSignature()
}

// zipCode names what Open complained about.
func zipCode(err error) string {
	for _, c := range []struct {
		err  error
		code string
	}{
		{wacz.ErrPath, "zip.path"}, {wacz.ErrDuplicate, "zip.duplicate"}, {wacz.ErrCaseFold, "zip.case"},
		{wacz.ErrCompressed, "zip.compressed"}, {wacz.ErrOverlap, "zip.overlap"}, {wacz.ErrGap, "zip.gap"},
		{wacz.ErrTooMany, "zip.too_many"}, {wacz.ErrNotZip, "zip.end"}, {wacz.ErrForm, "zip.form"},
	} {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return "zip.unreadable"
}

// hashFiles hashes every file inside, in the order of the package. A file
// that cannot be read to its end has no digest.
func (v *visit) hashFiles() {
	for _, f := range v.pkg.Files() {
		r, err := v.pkg.Open(f.Path)
		if err != nil {
			continue
		}
		h := capture.NewHasher()
		_, err = io.Copy(h, &ctxReader{v.ctx, r})
		if err == nil || errors.Is(err, wacz.ErrChecksum) {
			v.digests[f.Path] = h.Digest()
		}
		if err != nil {
			v.add("zip", f.Path, Failed, "zip.checksum", "%v", err)
		}
	}
}

// readSeal reads the seal that was asked for, or the newest beside the
// package. No seal beside it is not an error.
func readSeal(pkg, path string) ([]byte, error) {
	if path == "" {
		var err error
		if path, err = NewestSeal(pkg); err != nil || path == "" {
			return nil, err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading seal: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, seal.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading seal: %w", err)
	}
	if b == nil {
		b = []byte{}
	}
	return b, nil
}

var sealName = regexp.MustCompile(`^\.seal(?:-([1-9][0-9]{0,8}))?\.json$`)

// NewestSeal returns the path of the seal beside a package: NAME.seal-N.json
// with the highest N, else NAME.seal.json, for NAME.wacz. It returns "" when
// there is none.
func NewestSeal(pkg string) (string, error) {
	dir, base := filepath.Split(pkg)
	if dir == "" {
		dir = "."
	}
	stem := strings.TrimSuffix(base, ".wacz")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("looking for seals: %w", err)
	}
	best, newest := -1, ""
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), stem)
		m := sealName.FindStringSubmatch(rest)
		if !ok || m == nil {
			continue
		}
		n, _ := strconv.Atoi(m[1]) // "" is 0: the first seal
		if n > best {
			best, newest = n, filepath.Join(dir, e.Name())
		}
	}
	return newest, nil
}

// ctxReader ends reading when the context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
