package s3

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"guzheng/storage"
)

// TestSourceHoldsBack wants the last block of content that is not what is
// wanted never to go out.
func TestSourceHoldsBack(t *testing.T) {
	good := bytes.Repeat([]byte("0123456789abcdef"), 3*blockBytes/16)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	snapped := errors.New("line snapped")
	for name, c := range map[string]struct {
		content io.Reader
		want    storage.Want
		whole   bool
	}{
		"as wanted":        {bytes.NewReader(good), wantOf(good), true},
		"in single bytes":  {iotest.OneByteReader(bytes.NewReader(good)), wantOf(good), true},
		"not whole blocks": {bytes.NewReader(good[:len(good)-7]), wantOf(good[:len(good)-7]), true},
		"last byte other":  {bytes.NewReader(flipped), wantOf(good), false},
		"one byte more":    {io.MultiReader(bytes.NewReader(good), strings.NewReader("x")), wantOf(good), false},
		"one byte less":    {bytes.NewReader(good[:len(good)-1]), wantOf(good), false},
		"without end":      {endless{}, wantOf(good), false},
		"error at the end": {io.MultiReader(bytes.NewReader(good), iotest.ErrReader(snapped)), wantOf(good), false},
	} {
		body, src := newSource(t.Context(), c.content, c.want)
		n, err := io.Copy(io.Discard, struct{ io.Reader }{body})
		if (err == nil) != c.whole || (n == c.want.Bytes) != c.whole {
			t.Errorf("%s: %d of %d bytes went out, %v", name, n, c.want.Bytes, err)
		}
		if ferr := src.finish(); (ferr == nil) != c.whole {
			t.Errorf("%s: finish = %v", name, ferr)
		}
		if s, ok := body.(io.Seeker); ok && !c.whole {
			if _, err := s.Seek(0, io.SeekStart); err == nil {
				t.Errorf("%s: refused content can be sent again", name)
			}
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestSourceAgain sends content a second time, from where it stood at first.
func TestSourceAgain(t *testing.T) {
	content := strings.NewReader("before content")
	if _, err := io.CopyN(io.Discard, content, 7); err != nil {
		t.Fatal(err)
	}
	body, src := newSource(t.Context(), content, wantOf([]byte("content")))
	for i := range 3 {
		if b, err := io.ReadAll(io.LimitReader(body, int64(4+i*2))); err != nil || !strings.HasPrefix("content", string(b)) {
			t.Errorf("read %q, %v", b, err)
		}
		if _, err := body.(io.Seeker).Seek(0, io.SeekStart); err != nil {
			t.Error(err)
		}
	}
	if err := src.finish(); err != nil {
		t.Error(err)
	}
}

func TestWhole(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-24T08:00:00Z": "2026-11-24T08:00:00Z", "2026-11-24T08:00:00.000000001Z": "2026-11-24T08:00:01Z",
		"2026-11-24T16:00:00.5+08:00": "2026-11-24T08:00:01Z",
	} {
		d, err := time.Parse(time.RFC3339Nano, in)
		if got := whole(d).Format(time.RFC3339Nano); err != nil || got != want {
			t.Errorf("whole(%s) = %s, want %s", in, got, want)
		}
	}
	if !whole(time.Time{}).IsZero() {
		t.Error("no date became one")
	}
}

func TestPartSize(t *testing.T) {
	for _, bytes := range []int64{1, maxSingle, 160_000 << 20, 5 << 40} {
		if size := partSize(bytes); (bytes+size-1)/size > maxParts || size < partBytes {
			t.Errorf("%d bytes in parts of %d", bytes, size)
		}
	}
}
