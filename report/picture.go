package report

import (
	"errors"
	"fmt"
	"io"

	"guzheng/capture/raster"
)

// A Picture is one of the package's pictures while it is read, row by row
// from the top. Its size is that of the rows it gives; Original is that of
// the file.
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
		return nil, errors.New("the package is not open")
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
	p := &Picture{Source: rows, Original: rows.Header(), file: file}
	if to := fit(p.Original, width, height); to < p.Original.Width {
		p.Source = raster.NewScaled(rows, to)
	}
	return p, nil
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

// Close closes the file.
func (p *Picture) Close() error { return p.file.Close() }
