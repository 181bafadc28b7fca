package ordeal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"strconv"
	"time"
)

// layout lists pages that are hard to picture or to read.
func layout() []Case {
	return []Case{
		// 44: scroll without end: stopped at the cap, told to be unfinished.
		{Number: 44, Name: "endless-scroll", State: Partial, Reasons: codes("limit.height", "limit.steps", "deadline.scroll"), Text: "goods 1"},
		// 45: pictures that load when they come near: scrolled in, what is
		// not loaded is counted.
		{Number: 45, Name: "lazy-pictures", State: Complete, Asked: codes("/picture/45001", "/picture/45012")},
		{Number: 45, Name: "lazy-missing", State: Complete, Anomaly: "images.unloaded"},
		// 46: sections of 100vh and sticky headers: one clean picture.
		{Number: 46, Name: "sticky-sections", State: Complete, Text: "section 5"},
		// 47: 100,000 pixels: capped.
		{Number: 47, Name: "tall-page", State: Partial, Reasons: codes("limit.height"), Anomaly: "limit.height"},
		// 48: overflow to the side, right to left, viewport meta: the width
		// is recorded.
		{Number: 48, Name: "wide-page", State: Partial, Reasons: codes("limit.width"), Anomaly: "limit.width"},
		{Number: 48, Name: "right-to-left", State: Complete, Text: "far to the left"},
		{Number: 48, Name: "viewport-meta", State: Complete, Text: "fixed at 3000"},
		// 49: shadow DOM, open and closed: its text is there.
		{Number: 49, Name: "shadow-open", State: Complete, Text: "in the open shadow"},
		{Number: 49, Name: "shadow-closed", State: Complete, Text: "in the closed shadow"},
		// 50: text on a canvas: a picture only, and told so.
		{Number: 50, Name: "canvas-text", State: Complete, Anomaly: "text.absent"},
		// 51: font with swapped glyphs, where the eye sees another price
		// than the text says: the font is stored.
		{Number: 51, Name: "swapped-font", State: Complete, Text: "123", Asked: codes("/51/swapped.ttf")},
		{Number: 51, Name: "private-font", State: Complete, Asked: codes("/51/private.ttf")},
		// 52: sound and film by ranges: poster and requests are stored, no
		// endless download.
		{Number: 52, Name: "media-ranges", State: Complete, Or: Partial, Reasons: codes("body.truncated", "request.unanswered", "limit.body", "limit.total"), Asked: codes("/52/sound.wav", "/picture/52001")},
		{Number: 52, Name: "media-endless", State: Partial, Or: Complete, Reasons: append(cut(), "request.unanswered"), Asked: codes("/52/endless.wav")},
		// 53: frames of the same and of another site, nested, sandboxed,
		// srcdoc: all recorded, and pictured below the window too.
		{Number: 53, Name: "frames-all", State: Complete, Text: "frame of another site", Anomaly: "picture.frames", Asked: codes("/53/frame-same", "/53/frame-other", "/53/frame-inner", "/53/frame-sandboxed")},
		// 54: print, full screen, notification, place, clipboard: denied and
		// noted.
		// The browser refuses them and does not tell that it was asked.
		{Number: 54, Name: "permissions", State: Complete, NoText: "granted"},
		// 55: an advertisement over the licence: pictured as it is.
		{Number: 55, Name: "overlay", State: Complete, Text: "licence"},
	}
}

// routeLayout hangs what is no file into mux.
func routeLayout(mux *http.ServeMux) {
	for name, font := range map[string][]byte{"swapped": swappedFont('0'), "private": swappedFont(0xE000)} {
		mux.HandleFunc("GET /51/"+name+".ttf", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "font/ttf")
			_, _ = w.Write(font)
		})
	}
	mux.HandleFunc("GET /52/sound.wav", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "audio/wav")
		http.ServeContent(w, r, "", time.Time{}, &sound{})
	})
	mux.HandleFunc("GET /52/endless.wav", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "audio/wav")
		_, _ = w.Write(waveHeader())
		pieces(w, r, gush, make([]byte, 16<<10))
	})
}

// picture answers with the drawing that the path numbers.
func picture(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	_, _ = w.Write(drawing(n))
}

// drawing returns a PNG of 120 by 80 pixels, another one for each n.
func drawing(n int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, 120, 80))
	for y := range 80 {
		for x := range 120 {
			img.Set(x, y, color.RGBA{R: uint8(n*37 + x), G: uint8(n*61 + y), B: uint8(n * 89), A: 255})
		}
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		panic("ordeal: " + err.Error()) // writing to memory
	}
	return buf.Bytes()
}

// The length of the sound: 100 MB, 8 bits at 44.1 kHz.
const soundBytes = 100 << 20

// waveHeader returns the header of a WAVE file with PCM in it.
func waveHeader() []byte {
	const rate = 44100
	h := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, soundBytes-8)...)
	h = append(h, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...)
	h = binary.LittleEndian.AppendUint32(h, rate)
	h = binary.LittleEndian.AppendUint32(h, rate)
	h = append(h, "\x01\x00\x08\x00data"...)
	return binary.LittleEndian.AppendUint32(h, soundBytes-44)
}

// A sound is a file of 100 MB that is made up while it is read.
type sound struct{ at int64 }

func (s *sound) Read(p []byte) (int, error) {
	if s.at >= soundBytes {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), soundBytes-s.at)]
	head := waveHeader()
	for i := range p {
		if at := s.at + int64(i); at < int64(len(head)) {
			p[i] = head[at]
		} else {
			p[i] = byte(at % 101)
		}
	}
	s.at += int64(len(p))
	return len(p), nil
}

func (s *sound) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += soundBytes
	}
	if offset < 0 {
		return 0, errors.New("seeking in the sound: before its start")
	}
	s.at = offset
	return offset, nil
}
