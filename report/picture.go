package report

import (
	"errors"
	"fmt"
	"io"

	"guzheng/capture/raster"
)

// errNotOpen means that a View has no package to read from.
var errNotOpen = errors.New("the package is not open")

// A Picture is one of the package's pictures, or the whole that tiles make,
// while it is read, row by row from the top. Its size is that of the rows it
// gives; Original is that of what is in the package.
type Picture struct {
	raster.Source
	Original raster.Header
	file     io.Closer
}

// Picture opens one of the package's pictures. One that is wider or higher
// than the given pixels is made smaller, in its proportions, while it is
// read; 0 sets no limit.
func (v View) Picture(path string, width, height int) (*Picture, error) {
	if v.Open == nil {
		return nil, errNotOpen
	}
	file, err := v.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening picture %s: %w", path, err)
	}
	rows, err := raster.NewRows(file)
	if err != nil {
		_ = file.Close() // the error before it is reported
		return nil, fmt.Errorf("reading picture %s: %w", path, err)
	}
	return shown(rows, file, width, height), nil
}

// shown makes rows smaller where they are more than the given pixels.
func shown(rows raster.Source, file io.Closer, width, height int) *Picture {
	p := &Picture{Source: rows, Original: rows.Header(), file: file}
	if to := fit(p.Original, width, height); to < p.Original.Width {
		p.Source = raster.NewScaled(rows, to)
	}
	return p
}

// fit returns the width to which a picture must be made smaller.
func fit(h raster.Header, width, height int) int {
	to := h.Width
	if width > 0 {
		to = min(to, width)
	}
	if height > 0 && h.Height > height {
		to = min(to, max(1, h.Width*height/h.Height))
	}
	return to
}

// Close closes the file, or the tiles.
func (p *Picture) Close() error { return p.file.Close() }
