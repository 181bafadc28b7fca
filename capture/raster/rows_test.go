package raster

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zlib"
)

// A part is a chunk of a PNG made by hand.
type part struct {
	kind string
	body []byte
}

// file puts chunks together with the right CRCs.
func file(parts ...part) []byte {
	b := []byte(signature)
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p.body)))
		sum := crc32.ChecksumIEEE(append([]byte(p.kind), p.body...))
		b = append(append(b, p.kind...), p.body...)
		b = binary.BigEndian.AppendUint32(b, sum)
	}
	return b
}

// ihdr is a header chunk.
func ihdr(width, height uint32, depth, colour, interlace byte) part {
	b := binary.BigEndian.AppendUint32(nil, width)
	b = binary.BigEndian.AppendUint32(b, height)
	return part{typeHeader, append(b, depth, colour, 0, 0, interlace)}
}

// packed deflates filtered rows.
func packed(b []byte) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// refilter writes a picture with a filter drawn for every row, byte by byte
// as the definitions in PNG section 9.2 say, and cuts the data into many
// chunks.
func refilter(rng *rand.Rand, img *image.NRGBA, channels int) []byte {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	at := func(x, y, c int) int {
		if x < 0 || y < 0 {
			return 0
		}
		return int(img.Pix[y*img.Stride+4*x+c])
	}
	var raw []byte
	for y := range h {
		filter := rng.IntN(5)
		raw = append(raw, byte(filter))
		for x := range w {
			for c := range channels {
				left, up, corner := at(x-1, y, c), at(x, y-1, c), at(x-1, y-1, c)
				if x == 0 || y == 0 {
					corner = 0
				}
				guess := 0
				switch filter {
				case filterSub:
					guess = left
				case filterUp:
					guess = up
				case filterAverage:
					guess = (left + up) / 2
				case filterPaeth:
					guess = nearest(left, up, corner)
				}
				raw = append(raw, byte(at(x, y, c)-guess))
			}
		}
	}
	parts := []part{ihdr(uint32(w), uint32(h), 8, map[int]byte{3: 2, 4: 6}[channels], 0), {"pHYs", make([]byte, 9)}}
	for data := packed(raw); len(data) > 0; {
		n := min(len(data), rng.IntN(40))
		parts = append(parts, part{typeData, data[:n]})
		data = data[n:]
	}
	return file(append(parts, part{"tEXt", []byte("a\x00b")}, part{typeEnd, nil})...)
}

func nearest(a, b, c int) int {
	abs := func(n int) int { return max(n, -n) }
	p := a + b - c
	best := a
	if abs(p-b) < abs(p-best) {
		best = b
	}
	if abs(p-c) < abs(p-best) {
		best = c
	}
	return best
}

// all reads a picture to its end, as the image/png package would hold it.
func all(r io.Reader) (*image.NRGBA, error) {
	rows, err := NewRows(r)
	if err != nil {
		return nil, err
	}
	return drain(rows)
}

func drain(src Source) (*image.NRGBA, error) {
	h := src.Header()
	img := image.NewNRGBA(image.Rect(0, 0, h.Width, 0))
	for {
		row, err := src.Next()
		if err == io.EOF {
			img.Rect.Max.Y = len(img.Pix) / img.Stride
			return img, nil
		}
		if err != nil {
			return nil, err
		}
		for ; len(row) > 0; row = row[h.Channels:] {
			a := byte(255)
			if h.Channels == 4 {
				a = row[3]
			}
			img.Pix = append(img.Pix, row[0], row[1], row[2], a)
		}
	}
}

// same fails unless a picture has the given pixels.
func same(t *testing.T, got image.Image, want *image.NRGBA) {
	t.Helper()
	if got.Bounds().Size() != want.Bounds().Size() {
		t.Fatalf("%v, want %v", got.Bounds(), want.Bounds())
	}
	a, b := got.Bounds().Min, want.Bounds().Min
	for y := range want.Rect.Dy() {
		for x := range want.Rect.Dx() {
			g, w := color.NRGBAModel.Convert(got.At(a.X+x, a.Y+y)), want.At(b.X+x, b.Y+y)
			if g != w {
				t.Fatalf("pixel %d, %d is %v, want %v", x, y, g, w)
			}
		}
	}
}

func TestRowsAsImagePNG(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 300 {
		alpha := n%2 == 0
		img := random(rng, 1+rng.IntN(60), 1+rng.IntN(40), alpha)
		var theirs bytes.Buffer
		if err := png.Encode(&theirs, img); err != nil {
			t.Fatal(err)
		}
		channels := 3
		if alpha {
			channels = 4
		}
		for _, b := range [][]byte{theirs.Bytes(), refilter(rng, img, channels)} {
			judged, err := png.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			same(t, judged, img)
			got, err := all(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, img)
		}
	}
}

func TestWriterAsImagePNG(t *testing.T) {
	for _, channels := range []int{3, 4} {
		want, _ := drain(newPage(Header{201, 150, channels}, 100))
		got, err := png.Decode(bytes.NewReader(encode(t, newPage(Header{201, 150, channels}, 100))))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, want)
	}
}

func TestRowsRefuse(t *testing.T) {
	raw := make([]byte, 2*(1+3*2)) // 2×2, black
	good := packed(raw)
	head, end := ihdr(2, 2, 8, 2, 0), part{typeEnd, nil}
	flip := func(b []byte, at int) []byte { b[at] ^= 1; return b }
	bad := packed(raw)
	flip(bad, len(bad)-1)
	unknown := bytes.Clone(raw)
	unknown[0] = 5
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"sound":               {file(head, part{typeData, good}, end), ""},
		"sound, many chunks":  {file(head, part{"gAMA", make([]byte, 4)}, part{typeData, nil}, part{typeData, good[:3]}, part{typeData, good[3:]}, part{typeData, nil}, part{"tIME", nil}, end), ""},
		"nothing":             {nil, "unexpected EOF"},
		"JPEG":                {[]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"), "not a PNG"},
		"palette":             {file(ihdr(2, 2, 8, 3, 0)), "palette"},
		"palette for RGB":     {file(head, part{"PLTE", make([]byte, 3)}), "palette"},
		"transparent colour":  {file(head, part{"tRNS", make([]byte, 6)}), "transparent colour"},
		"transparent late":    {file(head, part{typeData, good}, part{"tRNS", make([]byte, 6)}, end), "transparent colour"},
		"16 bits":             {file(ihdr(2, 2, 16, 2, 0)), "16 bits"},
		"gray":                {file(ihdr(2, 2, 8, 0, 0)), "colour type 0"},
		"interlaced":          {file(ihdr(2, 2, 8, 6, 1)), "interlaced"},
		"no pixels":           {file(ihdr(0, 2, 8, 2, 0)), "0×2"},
		"too wide":            {file(ihdr(MaxWidth+1, 2, 8, 2, 0)), "65536×2"},
		"too high":            {file(ihdr(2, MaxHeight+1, 8, 2, 0)), "2×1000001"},
		"huge":                {file(ihdr(1<<31, 1<<31, 8, 2, 0)), "pixels"},
		"header is missing":   {file(part{typeData, good}, end), "begins with"},
		"header is long":      {file(part{typeHeader, make([]byte, 14)}), "begins with"},
		"header twice":        {file(head, head, part{typeData, good}, end), "IHDR"},
		"unknown and needed":  {file(head, part{"NEED", nil}, part{typeData, good}, end), "NEED"},
		"type of no letters":  {file(head, part{"ID1T", good}, end), "four letters"},
		"no data":             {file(head, end), "IEND before the pixels"},
		"data is short":       {file(head, part{typeData, packed(raw[:8])}, end), "reading row 1"},
		"data is long":        {file(head, part{typeData, packed(append(raw, 0))}, end), "more pixels"},
		"behind the pixels":   {file(head, part{typeData, append(bytes.Clone(good), 0)}, end), "behind the pixels"},
		"data apart":          {file(head, part{typeData, good[:5]}, part{"tEXt", nil}, part{typeData, good[5:]}, end), "unexpected EOF"},
		"data again":          {file(head, part{typeData, good}, part{"tEXt", nil}, part{typeData, nil}, end), "IDAT"},
		"checksum of pixels":  {file(head, part{typeData, bad}, end), "checksum"},
		"no zlib":             {file(head, part{typeData, append([]byte{0x78, 0x02}, good[2:]...)}, end), "not a zlib stream"},
		"another method":      {file(head, part{typeData, append([]byte{0x77, 0x09}, good[2:]...)}, end), "not a zlib stream"},
		"large window":        {file(head, part{typeData, append([]byte{0x88, 0x1c}, good[2:]...)}, end), "not a zlib stream"},
		"dictionary":          {file(head, part{typeData, append([]byte{0x78, 0x20}, good[2:]...)}, end), "not a zlib stream"},
		"checksum is missing": {file(head, part{typeData, good[:len(good)-2]}, end), "unexpected EOF"},
		"filter is not known": {file(head, part{typeData, packed(unknown)}, end), "filter 5"},
		"CRC of header":       {flip(file(head, part{typeData, good}, end), 30), "CRC"},
		"CRC of data":         {flip(file(head, part{typeData, good}, end), 33+8+len(good)), "CRC"},
		"CRC of end":          {flip(file(head, part{typeData, good}, end), 33+12+len(good)+11), "CRC"},
		"CRC of the rest":     {flip(file(head, part{"tEXt", []byte("a")}, part{typeData, good}, end), 33+8), "CRC"},
		"end is not empty":    {file(head, part{typeData, good}, part{typeEnd, []byte("x")}), "not empty"},
		"behind the end":      {append(file(head, part{typeData, good}, end), 'x'), "behind its end"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := all(bytes.NewReader(c.file))
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want it to say %q", err, c.want)
			}
		})
	}
}

// TestRowsCutOff fails when a file that ends anywhere before its end is taken
// for whole.
func TestRowsCutOff(t *testing.T) {
	b := encode(t, newPage(Header{9, 7, 4}, 300))
	for n := range b {
		if _, err := all(bytes.NewReader(b[:n])); err == nil {
			t.Errorf("%d of %d bytes are taken", n, len(b))
		}
	}
}

// TestRowsKeepsItsError fails when a reader goes on behind an error.
func TestRowsKeepsItsError(t *testing.T) {
	b := encode(t, newPage(Header{9, 7, 4}, 300))
	rows, err := NewRows(bytes.NewReader(b[:len(b)-20]))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = rows.Next()
	}
	if _, again := rows.Next(); again != err || err == io.EOF {
		t.Errorf("first %v, then %v", err, again)
	}
}

func TestReadHeader(t *testing.T) {
	got, err := ReadHeader(bytes.NewReader(encode(t, newPage(Header{9, 7, 4}, 0))))
	if want := (Header{9, 7, 4}); got != want || err != nil {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

// FuzzRows wants that whatever is taken is a picture for image/png as well,
// with the same pixels. Every input is tried as it is and with its CRCs set
// right, for those would keep nearly all others out.
func FuzzRows(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 6))
	for n := range 6 {
		f.Add(refilter(rng, random(rng, 1+n*3, 1+n*2, n%2 == 0), 3+n%2))
	}
	f.Add(file(ihdr(2, 2, 8, 2, 0), part{typeData, packed(make([]byte, 14))}, part{typeEnd, nil}))
	f.Fuzz(func(t *testing.T, b []byte) {
		judge(t, b)
		judge(t, repair(b))
	})
}

func judge(t *testing.T, b []byte) {
	t.Helper()
	h, err := ReadHeader(bytes.NewReader(b))
	if err != nil || h.Width*h.Height > 1<<20 {
		return
	}
	got, err := all(bytes.NewReader(b))
	if err != nil {
		return
	}
	if got.Rect.Dx() != h.Width || got.Rect.Dy() != h.Height {
		t.Fatalf("%v, header says %v", got.Rect, h)
	}
	judged, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("taken, and not by image/png: %v", err)
	}
	same(t, judged, got)
}

// repair sets the CRCs of all whole chunks.
func repair(b []byte) []byte {
	b = bytes.Clone(b)
	for at := len(signature); at+12 <= len(b); {
		n := int(binary.BigEndian.Uint32(b[at:]))
		if n > len(b)-at-12 {
			break
		}
		binary.BigEndian.PutUint32(b[at+8+n:], crc32.ChecksumIEEE(b[at+4:at+8+n]))
		at += 12 + n
	}
	return b
}

// FuzzPixels wants every filter to give what it gives image/png, or both to
// refuse.
func FuzzPixels(f *testing.F) {
	f.Add(3, true, []byte("\x02abcdefghijkl\x04mnopqrstuvwx\x03\xff\x80\x7f\x01\x00\xfe123456"))
	f.Add(2, false, []byte("\x01\xff\x80\x7f\x01\x00\xfe\x03\xff\x80\x7f\x01\x00\xfe"))
	f.Fuzz(func(t *testing.T, width int, alpha bool, raw []byte) {
		width = width&0x3f + 1
		channels, colour := 3, byte(2)
		if alpha {
			channels, colour = 4, 6
		}
		height := len(raw) / (1 + width*channels)
		if height == 0 {
			return
		}
		raw = raw[:height*(1+width*channels)]
		b := file(ihdr(uint32(width), uint32(height), 8, colour, 0), part{typeData, packed(raw)}, part{typeEnd, nil})
		got, err := all(bytes.NewReader(b))
		judged, theirs := png.Decode(bytes.NewReader(b))
		if (err == nil) != (theirs == nil) {
			t.Fatalf("%v here, %v there", err, theirs)
		}
		if err == nil {
			same(t, judged, got)
		}
	})
}
