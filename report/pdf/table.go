package pdf

import "math"

// A Cell is one cell of a table.
type Cell struct {
	Text  string
	Style Style
	Align Align
	Span  int  // columns, 0 means 1
	Join  bool // no line towards the cell above
}

// A Group is rows that are kept on one page if a page can hold them.
type Group [][]Cell

// A Table has columns with fixed widths. Head is repeated on every page.
// Texts are wrapped inside their cells and rows that are higher than the
// rest of the page are split between lines.
type Table struct {
	Columns []float64 // millimetres; their sum is the table's width
	Head    []Cell
	Groups  []Group
	Pad     float64 // space inside a cell, left and right; 0 means 1.2
}

const ruleWidth = 0.2

// Rows makes one group of each row.
func Rows(rows ...[]Cell) []Group {
	out := make([]Group, len(rows))
	for i, r := range rows {
		out[i] = Group{r}
	}
	return out
}

// a setRow is a row with its texts wrapped.
type setRow struct {
	cells []setCell
	high  float64
}

type setCell struct {
	Cell
	x, w  float64
	lines []string
}

// Table draws t at the left edge of the frame.
func (f *Flow) Table(t Table) {
	if t.Pad == 0 {
		t.Pad = 1.2
	}
	head := f.setRow(t, t.Head)
	begun := false
	begin := func() {
		if len(t.Head) > 0 {
			f.drawRow(t, head)
			f.rule(t)
		}
		begun = true
	}
	set, highs := f.setGroups(t)
	for i, rows := range set {
		need := highs[i]
		if i+1 < len(set) && (i == 0 || i == len(set)-2) {
			need += highs[i+1] // no lone row at the foot or the head of a page
		}
		if !begun {
			need += head.high
		}
		if f.crowded(need) {
			if begun {
				f.rule(t)
			}
			f.Break()
			begun = false
		}
		if !begun {
			begin()
		}
		for _, r := range rows {
			f.splitRow(t, r, begin)
		}
	}
	if begun {
		f.rule(t)
	}
}

// crowded reports whether what needs so much height begins better on a new
// page: it fits there, or hardly anything is left of this one.
func (f *Flow) crowded(need float64) bool {
	return f.Room() < need && (need <= f.Frame.Bottom-f.Frame.Top || f.Room() < 30) && f.Y > f.Frame.Top
}

// setGroups wraps the cells of all groups and measures the groups.
func (f *Flow) setGroups(t Table) (set [][]setRow, highs []float64) {
	for _, g := range t.Groups {
		rows, high := make([]setRow, len(g)), 0.0
		for i, cells := range g {
			rows[i] = f.setRow(t, cells)
			high += rows[i].high
		}
		set, highs = append(set, rows), append(highs, high)
	}
	return set, highs
}

// rule draws the line below the last row on a page.
func (f *Flow) rule(t Table) {
	w := 0.0
	for _, c := range t.Columns {
		w += c
	}
	f.Doc.Line(f.Frame.Left, f.Y, f.Frame.Left+w, f.Y, ruleWidth)
}

// splitRow draws r, over as many pages as it takes.
func (f *Flow) splitRow(t Table, r setRow, begin func()) {
	for {
		if r.high <= f.Room()+0.001 {
			f.drawRow(t, r)
			return
		}
		now, rest := r.split(f.Room())
		if now == nil {
			if f.Y <= f.Frame.Top+0.001 {
				f.drawRow(t, r) // not even one line fits a whole page
				return
			}
			f.rule(t)
			f.Break()
			begin()
			if now, _ = r.split(f.Room()); now == nil && r.high > f.Room() {
				f.drawRow(t, r)
				return
			}
			continue
		}
		f.drawRow(t, *now)
		r = *rest
		f.rule(t)
		f.Break()
		begin()
	}
}

// setRow wraps the cells of a row.
func (f *Flow) setRow(t Table, cells []Cell) setRow {
	r := setRow{high: rowAir}
	if len(cells) == 0 {
		r.high = 0
	}
	x, col := f.Frame.Left, 0
	for _, c := range cells {
		w := 0.0
		for range max(c.Span, 1) {
			w += t.Columns[col]
			col++
		}
		s := setCell{Cell: c, x: x, w: w}
		s.lines = f.Doc.Wrap(c.Style, c.Text, w-2*t.Pad)
		if c.Text != "" {
			r.high = math.Max(r.high, s.high())
		}
		r.cells = append(r.cells, s)
		x += w
	}
	return r
}

// rowAir is the space above and below the lines of a cell.
const rowAir = 0.9

func (c setCell) leading() float64 { return c.Style.points() * 1.4 * mmPerPoint }

func (c setCell) high() float64 {
	air := 2 * rowAir
	if c.Join {
		air = rowAir * 1.1
	}
	return float64(len(c.lines))*c.leading() + air
}

// split divides r so that the first part is at most room high. The first
// part is nil when not one line of every cell fits.
func (r setRow) split(room float64) (now, rest *setRow) {
	a, b := setRow{}, setRow{}
	for _, c := range r.cells {
		n := int((room - 2*rowAir) / c.leading())
		if n < 1 {
			return nil, nil
		}
		n = min(n, len(c.lines))
		first, second := c, c
		first.lines, second.lines = c.lines[:n], c.lines[n:]
		a.cells, b.cells = append(a.cells, first), append(b.cells, second)
		a.high, b.high = math.Max(a.high, first.high()), math.Max(b.high, second.high())
	}
	return &a, &b
}

func (f *Flow) drawRow(t Table, r setRow) {
	d := f.Doc
	for _, c := range r.cells {
		if !c.Join {
			d.Line(c.x, f.Y, c.x+c.w, f.Y, ruleWidth)
		}
		d.Line(c.x, f.Y, c.x, f.Y+r.high, ruleWidth)
		d.Line(c.x+c.w, f.Y, c.x+c.w, f.Y+r.high, ruleWidth)
		y := f.Y + (r.high-float64(len(c.lines))*c.leading())/2
		for _, line := range c.lines {
			d.aligned(c.x+t.Pad, c.x+c.w-t.Pad, y+baseline(c.Style, c.leading()), c.Align, c.Style, line)
			y += c.leading()
		}
	}
	f.Y += r.high
}
