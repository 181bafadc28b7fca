package warc

import (
	"regexp"
	"sort"
	"strings"

	"github.com/nlnwa/whatwg-url/url"
)

var wwwPrefix = regexp.MustCompile(`^(https?://)www\d*\.`)

// SURT is the sort-friendly form of a URI that index keys have: the host
// reversed and without www, everything in lower case, the query sorted. What
// is not http or https, or cannot be parsed, stays as it is, but never holds
// a space or line break.
func SURT(uri string) string {
	if !strings.HasPrefix(uri, "https:") && !strings.HasPrefix(uri, "http:") {
		return escapeURI(uri)
	}
	u, err := url.Parse(strings.ToLower(wwwPrefix.ReplaceAllString(uri, "$1")))
	if err != nil {
		return escapeURI(uri)
	}
	host := strings.Split(u.Hostname(), ".")
	var b strings.Builder
	for i := len(host) - 1; i >= 0; i-- {
		b.WriteString(host[i])
		if i > 0 {
			b.WriteByte(',')
		}
	}
	if p := u.Port(); p != "" {
		b.WriteString(":" + p)
	}
	b.WriteString(")" + u.Pathname())
	if q := u.Search(); q != "" {
		args := strings.Split(strings.TrimPrefix(q, "?"), "&")
		sort.Strings(args)
		b.WriteString("?" + strings.Join(args, "&"))
	}
	return escapeURI(b.String())
}
