package pdf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A cut is a piece of a document that another takes the place of: the rest
// of an image object from its length on.
type cut struct {
	from, to int
	head     string
	data     []byte
}

// cutEnd follows the data of a stream.
const cutEnd = "\nendstream"

func (c cut) grows() int { return len(c.head) + len(c.data) + len(cutEnd) - (c.to - c.from) }

// splice writes the document b with the pictures in the places of their
// stand-ins, and with the offsets of its cross-reference table moved by what
// that adds (PDF 32000-1 sections 7.3.8 and 7.5.4).
func splice(w io.Writer, b []byte, pictures [][]byte) error {
	if len(pictures) == 0 {
		_, err := w.Write(b)
		return err
	}
	cuts, err := findCuts(b, pictures)
	if err != nil {
		return err
	}
	table, tail, err := moveOffsets(b, cuts)
	if err != nil {
		return err
	}
	at := 0
	for _, c := range cuts {
		for _, part := range [][]byte{b[at:c.from], []byte(c.head), c.data, []byte(cutEnd)} {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		at = c.to
	}
	if _, err := w.Write(b[at:table]); err != nil {
		return err
	}
	_, err = io.WriteString(w, tail)
	return err
}

// findCuts finds the stand-in of every picture, in the order of the document.
func findCuts(b []byte, pictures [][]byte) ([]cut, error) {
	var out []cut
	for i, data := range pictures {
		text := standIn(i)
		mark := []byte(fmt.Sprintf("/Length %d>>\nstream\n%s%s", len(text), text, cutEnd))
		at := bytes.Index(b, mark)
		if at < 0 || bytes.Contains(b[at+1:], mark) {
			return nil, fmt.Errorf("placing picture %d of %d: it has not one place", i+1, len(pictures))
		}
		out = append(out, cut{at, at + len(mark), fmt.Sprintf("/Length %d>>\nstream\n", len(data)), data})
	}
	slices.SortFunc(out, func(a, b cut) int { return a.from - b.from })
	return out, nil
}

// startMark stands before the line that says where the cross-reference table
// begins (ISO 32000-1 section 7.5.5).
const startMark = "\nstartxref\n"

// moveOffsets returns where the cross-reference table begins, and the text of
// the table and of all that follows it with the offsets that hold after the
// cuts.
func moveOffsets(b []byte, cuts []cut) (int, string, error) {
	table, err := tablePlace(b)
	if err != nil {
		return 0, "", err
	}
	lines := strings.SplitAfter(string(b[table:]), "\n")
	count := 0
	if n, err := fmt.Sscanf(strings.Join(lines[:min(2, len(lines))], ""), "xref\n0 %d\n", &count); n != 1 || err != nil || count+2 > len(lines) {
		return 0, "", fmt.Errorf("reading cross-reference table at %d: it has not one section", table)
	}
	var out strings.Builder
	for i, line := range lines {
		offset, used := strings.CutSuffix(line, " 00000 n \n")
		switch {
		case i >= 2 && i < 2+count && used:
			n, err := strconv.Atoi(offset)
			if err != nil {
				return 0, "", fmt.Errorf("reading cross-reference table: %w", err)
			}
			fmt.Fprintf(&out, "%010d 00000 n \n", moved(n, cuts))
		case i > 0 && lines[i-1] == startMark[1:]:
			fmt.Fprintf(&out, "%d\n", moved(table, cuts))
		default:
			out.WriteString(line)
		}
	}
	return table, out.String(), nil
}

// tablePlace reads where the cross-reference table begins.
func tablePlace(b []byte) (int, error) {
	end := bytes.LastIndex(b, []byte(startMark))
	if end < 0 {
		return 0, errors.New("looking for the cross-reference table: the document does not say where it is")
	}
	number, _, _ := strings.Cut(string(b[end+len(startMark):]), "\n")
	table, err := strconv.Atoi(number)
	if err != nil || table < 0 || table >= len(b) {
		return 0, fmt.Errorf("reading cross-reference table at %q", number)
	}
	return table, nil
}

// moved is where a place of the document is after the cuts before it.
func moved(place int, cuts []cut) int {
	to := place
	for _, c := range cuts {
		if c.from < place {
			to += c.grows()
		}
	}
	return to
}
