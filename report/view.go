// Package report speaks to people: a View gathers what one evidence package
// says and what its verification found; the packages below turn a View into
// paper (sheet) in the words of a catalogue (words).
//
// Life of a view: the command opens a package, verifies it, and fills the
// View; everything here only reads. The picture of a page too tall for one is
// in the package as tiles, and is one picture only while somebody looks at it:
// Tiles says where they lie, Tiles.Joined gives their rows.
//
// Trust: a View says what the package says. Whoever built the View from an
// unverified package could print lies, so the Verdict travels with it and is
// printed. Where tiles lie is the package's own word; what contradicts itself
// or the files is refused, and no tile of the package is left out.
package report

import (
	"io"
	"time"

	"guzheng/capture"
	"guzheng/preserve/seal"
	"guzheng/preserve/verify"
	"guzheng/storage"
)

// A View is everything a sheet or a console page shows of one piece of
// evidence.
type View struct {
	Order   capture.Order
	Take    capture.Take
	Facts   capture.Facts
	Journal []capture.Entry
	Lines   capture.Lines

	Package capture.Digest // of the package file
	Members []Member       // files of the package, for the list
	Seal    seal.Seal
	Stamps  []StampView
	Raw     RawView
	Entry   storage.Entry
	Object  storage.Object
	Proof   *storage.Proof // what the store was seen to enforce; nil: it was not tried
	Verdict verify.Verdict

	// Open returns the bytes of a file of the package, by its path.
	Open func(path string) (io.ReadCloser, error)
}

// A Member is one file of the package.
type Member struct {
	Path      string
	Kind      string // a capture.File constant, or "" for files made in packaging
	MediaType string
	Written   time.Time
	capture.Digest
}

// A StampView is what a time stamp says, read from its token.
type StampView struct {
	TSA      string
	Practice bool // this machine's own clock, no third party
	Time     time.Time
	Serial   string
	Policy   string
	Error    string // why there is none
}

// RawView is the stamp over the raw files, made before packaging.
type RawView struct {
	Root   string // Merkle root over the raw files, hex
	Stamps []StampView
}
