// Package pdf is the one place that talks to the PDF library. It offers what
// a printed form needs (text, lines, rectangles, tables, pictures, QR codes)
// on A4 pages and hides what the library does wrong with Chinese.
//
// Life of a document: New loads the embedded fonts; a Flow sets paragraphs
// and tables into a frame and begins pages as they fill; Each draws headers
// and footers last, when the number of pages is known; Output writes the
// file. The same calls give the same bytes.
//
// Trust: text comes from web pages and may try to deceive the reader of the
// paper. Clean makes characters visible that would be invisible, reorder the
// text or have no glyph; Wrap loses no character; the text layer holds what
// the eye sees, also for characters beyond U+FFFF, which the library cannot
// write and which are drawn as outlines. The library's own MultiCell and
// SplitText drop characters and are never called.
package pdf
