package warc

import "strings"

// packedTypes are media types whose bytes are compressed already. To compress
// them once more takes time and saves nothing.
var packedTypes = [...]string{
	"image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/apng", "image/webp", "image/avif", "image/gif",
	"image/heic", "image/heif", "image/jxl",
	"font/woff", "font/woff2", "application/font-woff", "application/font-woff2", "application/x-font-woff",
	"application/pdf", "application/zip", "application/x-zip-compressed", "application/java-archive",
	"application/vnd.android.package-archive", "application/gzip", "application/x-gzip", "application/zstd",
	"application/x-bzip2", "application/x-xz", "application/x-7z-compressed", "application/vnd.rar",
	"application/x-rar-compressed", "application/ogg", "application/mp4",
}

// packedPrefixes are beginnings of such types.
var packedPrefixes = [...]string{
	"video/", "audio/", "application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument.",
}

// plainTypes are those below a packed prefix that are not compressed: sound
// as it is, and lists of files to play.
var plainTypes = [...]string{
	"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/basic", "audio/aiff", "audio/x-aiff", "audio/midi", "audio/l16",
	"audio/mpegurl", "audio/x-mpegurl", "video/vnd.mpegurl",
}

// packed reports whether a body with this header gains nothing by
// compression: its encoding is a compression, or its media type.
func packed(header []Field, decoded bool) bool {
	if enc := firstField(header, "Content-Encoding"); !decoded && enc != "" && !strings.EqualFold(enc, "identity") {
		return true
	}
	return packedType(firstField(header, "Content-Type"))
}

// packedType is the same for a media type, which may have parameters.
func packedType(mediaType string) bool {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	for _, t := range plainTypes {
		if mediaType == t {
			return false
		}
	}
	for _, t := range packedTypes {
		if mediaType == t {
			return true
		}
	}
	for _, p := range packedPrefixes {
		if strings.HasPrefix(mediaType, p) {
			return true
		}
	}
	return strings.HasSuffix(mediaType, "+zip")
}
