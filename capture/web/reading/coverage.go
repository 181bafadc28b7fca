package reading

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// A Coverage knows which characters the installed fonts have glyphs for. It
// does not change and may be used by several goroutines.
type Coverage struct {
	fonts map[string]ranges // by PostScript name, and by family name
	all   ranges
}

// ranges are sorted and do not touch.
type ranges [][2]rune

func (r ranges) has(c rune) bool {
	i, found := slices.BinarySearchFunc(r, c, func(x [2]rune, c rune) int {
		switch {
		case x[1] < c:
			return -1
		case x[0] > c:
			return 1
		}
		return 0
	})
	return found && i < len(r)
}

// LoadCoverage asks fontconfig (fc-list) for the fonts that the browser
// finds: those of the system, without those of any user, because the browser
// has a home of its own. It takes some 50 ms; the answer is good as long as
// no font is installed or removed.
func LoadCoverage(ctx context.Context) (*Coverage, error) {
	cmd := exec.CommandContext(ctx, "fc-list", "--format", `%{postscriptname}\t%{family}\t%{charset}\n`)
	cmd.Env = []string{"HOME=/nonexistent", "PATH=/usr/bin:/bin"}
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the installed fonts: %w", err)
	}
	return parseCoverage(string(out))
}

// parseCoverage reads the lines "name TAB families TAB ranges" of fc-list.
func parseCoverage(list string) (*Coverage, error) {
	c := &Coverage{fonts: map[string]ranges{}}
	known := map[string]ranges{} // the faces of a collection share their ranges
	for line := range strings.Lines(list) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			return nil, fmt.Errorf("reading the installed fonts: line of %d fields", len(f))
		}
		r, ok := known[f[2]]
		if !ok {
			var err error
			if r, err = parseRanges(f[2]); err != nil {
				return nil, fmt.Errorf("reading the characters of font %q: %w", f[0], err)
			}
			known[f[2]] = r
			c.all = union(c.all, r)
		}
		for _, name := range append(strings.Split(f[1], ","), f[0]) {
			if name != "" {
				c.fonts[name] = union(c.fonts[name], r)
			}
		}
	}
	if len(c.all) == 0 {
		return nil, errors.New("reading the installed fonts: none are listed")
	}
	return c, nil
}

// parseRanges reads hexadecimal numbers and ranges between blanks.
func parseRanges(s string) (ranges, error) {
	var r ranges
	for part := range strings.FieldsSeq(s) {
		from, to, two := strings.Cut(part, "-")
		if !two {
			to = from
		}
		a, err := strconv.ParseUint(from, 16, 31)
		b, err2 := strconv.ParseUint(to, 16, 31)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		r = append(r, [2]rune{rune(a), rune(b)})
	}
	return union(nil, r), nil
}

func union(a, b ranges) ranges {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y [2]rune) int { return cmp.Compare(x[0], y[0]) })
	out := all[:0]
	for _, r := range all {
		if n := len(out); n > 0 && r[0] <= out[n-1][1]+1 {
			out[n-1][1] = max(out[n-1][1], r[1])
		} else {
			out = append(out, r)
		}
	}
	return out
}

// Has reports whether some installed font can draw a character, as itself or
// put together from its parts (Unicode normalization form D).
func (c *Coverage) Has(r rune) bool { return draws(c.all, r) }

func draws(have ranges, r rune) bool {
	if !drawn(r) || have.has(r) {
		return true
	}
	parts := norm.NFD.PropertiesString(string(r)).Decomposition()
	if len(parts) == 0 {
		return false
	}
	for _, p := range string(parts) {
		if p == r || !have.has(p) {
			return false
		}
	}
	return true
}

// of returns the characters of a font that the browser named.
func (c *Coverage) of(postscript, family string) (ranges, bool) {
	if r, ok := c.fonts[postscript]; ok {
		return r, true
	}
	r, ok := c.fonts[family]
	return r, ok
}
