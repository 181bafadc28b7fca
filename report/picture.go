package report

import (
	"fmt"
	"image"
	_ "image/png" // the browser's pictures are PNG
	"io"
)

func decodePicture(open func(string) (io.ReadCloser, error), path string) (image.Image, error) {
	r, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("opening picture %s: %w", path, err)
	}
	defer r.Close()
	img, _, err := image.Decode(r)
	if err != nil {
		return nil, fmt.Errorf("decoding picture %s: %w", path, err)
	}
	return img, nil
}
