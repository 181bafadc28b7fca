// Package sheet prints one piece of evidence as the record of extraction
// that a case handler attaches to the file and a party signs, with its list
// of files, in the words of a catalogue.
//
// Life of a sheet: Write takes a View; the parts follow each other as the
// official forms have them (who and why, source, method and environment,
// process, notes, verification, list, pictures, time stamps, confirmations);
// what was not given stays a blank to be filled in by hand; headers and
// footers come last, when the number of pages is known.
//
// Trust: the sheet says what the View says and nothing more. It is made
// after the evidence and proves nothing by itself: it carries the digests
// by which the package can be checked, the verdict with what could not be
// told, and every weakness the view knows of. A printed picture is a
// derivative; the original is in the package. Of a tall page the originals
// are tiles, put together while it is printed: each part names those it is
// from, and none of the page is printed when one of them cannot be read.
package sheet
