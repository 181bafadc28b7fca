// Package raster works on pictures of pages row by row: PNG (PNG
// Specification, third edition) as Chrome writes it, in memory that does not
// grow with the height of the page. It knows the format only, not browsers,
// takes or sheets.
//
// Life of a picture: a page too tall for one screenshot is pictured in
// tiles, and the tiles are what is kept. Seams compares the rows that
// neighbours share, at a fraction of the cost of putting them together. Whoever
// looks at the page later reads them through Join as one picture, or has
// Stitch write that as one PNG. OneColour, Thumbnail and Diff read a picture
// through Rows; Bands hands parts of it to the printer in one pass, made
// smaller by Scaled where it is wider than paper can show. The tiles are the
// masters: they are never written again, and whatever this package writes is
// a derivative.
//
// Trust: the bytes come from a browser that ran the page's scripts, or out of
// a package that somebody else made. Rows takes one kind of PNG and refuses
// every other; it checks all CRCs and the Adler-32 of the pixels, allocates
// by the width and never by a length that the file states, and its limits
// bound what a small file can unfold to. A page can still show different
// things in the rows that two tiles share, because it was alive between the
// two screenshots: the Report says where and how much. Seams does not read the
// last tile to its end; whether it is whole is found by who reads it.
package raster
