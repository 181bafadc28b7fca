package wacz

import (
	"encoding/binary"
	"math"
	"time"
)

// A package is a ZIP file (APPNOTE 6.3.10) in one canonical form: entries are
// stored, in directory order, without gaps; local and central headers agree
// and hold no extra fields or comments, but for the 64-bit sizes of large
// files; there are no data descriptors. Everything but names, sizes,
// checksums and one time stamp is fixed, so writer and reader share the
// functions of this file.

const (
	localSignature     = 0x04034b50
	centralSignature   = 0x02014b50
	endSignature       = 0x06054b50
	end64Signature     = 0x06064b50
	locator64Signature = 0x07064b50

	localSize     = 30
	centralSize   = 46
	endSize       = 22
	end64Size     = 56
	locator64Size = 20

	flagUTF8     = 0x0800         // names are UTF-8
	madeBy       = 3<<8 | 45      // Unix, version 4.5
	fileMode     = 0o100644 << 16 // external attributes
	max32        = math.MaxUint32 // stands for "see the 64-bit field"
	max16        = math.MaxUint16 // likewise
	extra64      = 0x0001         // id of the 64-bit extra field
	version20    = 20             // needed to read
	version45    = 45             // needed to read 64-bit fields
	maxNameBytes = 1024           // longest path
	maxEntries   = 50_000         // most files in a package
	maxDirectory = 64 << 20       // longest central directory, in bytes
	maxFileSize  = math.MaxInt64 / 4
)

// entry is one file of the ZIP.
type entry struct {
	name   string
	crc    uint32
	size   int64
	offset int64 // of the local header
}

// stamp is a time in MS-DOS form: UTC, even seconds, from 1980 to 2107.
type stamp struct{ date, time uint16 }

func stampOf(t time.Time) stamp {
	t = t.UTC()
	if t.Year() < 1980 || t.Year() > 2107 {
		return stamp{date: 1<<5 | 1}
	}
	return stamp{
		date: uint16((t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day()),
		time: uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2),
	}
}

func low32(n int64) uint32 { return uint32(min(n, max32)) }

// localHeader is what stands before the bytes of a file.
func localHeader(e entry, s stamp) []byte {
	le := binary.LittleEndian
	var extra []byte
	version := uint16(version20)
	if e.size >= max32 {
		version = version45
		extra = le.AppendUint16(extra, extra64)
		extra = le.AppendUint16(extra, 16)
		extra = le.AppendUint64(extra, uint64(e.size))
		extra = le.AppendUint64(extra, uint64(e.size))
	}
	b := make([]byte, 0, localSize+len(e.name)+len(extra))
	b = le.AppendUint32(b, localSignature)
	b = le.AppendUint16(b, version)
	b = appendCommon(b, e, s, len(extra))
	b = append(b, e.name...)
	return append(b, extra...)
}

// appendCommon appends what local and central headers share.
func appendCommon(b []byte, e entry, s stamp, extra int) []byte {
	le := binary.LittleEndian
	b = le.AppendUint16(b, flagUTF8)
	b = le.AppendUint16(b, 0) // stored
	b = le.AppendUint16(b, s.time)
	b = le.AppendUint16(b, s.date)
	b = le.AppendUint32(b, e.crc)
	b = le.AppendUint32(b, low32(e.size))
	b = le.AppendUint32(b, low32(e.size))
	b = le.AppendUint16(b, uint16(len(e.name)))
	return le.AppendUint16(b, uint16(extra))
}

// centralHeader is the entry's line in the directory.
func centralHeader(e entry, s stamp) []byte {
	le := binary.LittleEndian
	var extra []byte
	if e.size >= max32 {
		extra = le.AppendUint64(extra, uint64(e.size))
		extra = le.AppendUint64(extra, uint64(e.size))
	}
	if e.offset >= max32 {
		extra = le.AppendUint64(extra, uint64(e.offset))
	}
	version := uint16(version20)
	if len(extra) > 0 {
		version = version45
		head := le.AppendUint16(le.AppendUint16(nil, extra64), uint16(len(extra)))
		extra = append(head, extra...)
	}
	b := make([]byte, 0, centralSize+len(e.name)+len(extra))
	b = le.AppendUint32(b, centralSignature)
	b = le.AppendUint16(b, madeBy)
	b = le.AppendUint16(b, version)
	b = appendCommon(b, e, s, len(extra))
	b = le.AppendUint16(b, 0) // comment
	b = le.AppendUint16(b, 0) // disk
	b = le.AppendUint16(b, 0) // internal attributes
	b = le.AppendUint32(b, fileMode)
	b = le.AppendUint32(b, low32(e.offset))
	b = append(b, e.name...)
	return append(b, extra...)
}

// endRecords is what stands behind the directory.
func endRecords(count int, size, offset int64) []byte {
	le := binary.LittleEndian
	var b []byte
	if count >= max16 || size >= max32 || offset >= max32 {
		at := offset + size
		b = le.AppendUint32(b, end64Signature)
		b = le.AppendUint64(b, end64Size-12)
		b = le.AppendUint16(b, madeBy)
		b = le.AppendUint16(b, version45)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, uint64(count))
		b = le.AppendUint64(b, uint64(count))
		b = le.AppendUint64(b, uint64(size))
		b = le.AppendUint64(b, uint64(offset))
		b = le.AppendUint32(b, locator64Signature)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, uint64(at))
		b = le.AppendUint32(b, 1)
	}
	b = le.AppendUint32(b, endSignature)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, uint16(min(count, max16)))
	b = le.AppendUint16(b, uint16(min(count, max16)))
	b = le.AppendUint32(b, low32(size))
	b = le.AppendUint32(b, low32(offset))
	return le.AppendUint16(b, 0) // comment
}
