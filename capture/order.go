package capture

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// OrderFormat names the version of the order's JSON form.
const OrderFormat = "guzheng-order/1"

// KindWeb is the kind of an order that visits web pages.
const KindWeb = "web"

// ErrOrder is wrapped by every complaint about an order's content.
var ErrOrder = errors.New("order not usable")

// An Order says what is to be captured, why, for whom and within which
// limits. It is plain JSON of about 1 KB and is written to disk before
// anything is fetched; the same bytes travel through a queue verbatim.
type Order struct {
	Format  string    `json:"format"`
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	URL     string    `json:"url"`
	Created time.Time `json:"created"`

	Case     string    `json:"case,omitempty"`     // case or task number
	Cause    string    `json:"cause,omitempty"`    // cause of action
	Purpose  string    `json:"purpose,omitempty"`  // fact to be proved (administrative evidence rules art. 12)
	Officers []Officer `json:"officers,omitempty"` // two are required by the Administrative Penalty Law art. 42
	Party    string    `json:"party,omitempty"`    // the party the evidence is about
	Place    string    `json:"place,omitempty"`    // where the operator sat
	Witness  string    `json:"witness,omitempty"`  // who watched, if anyone

	AllowPrivate bool     `json:"allow_private,omitempty"` // loopback and private addresses may be dialled
	NoSandbox    bool     `json:"no_sandbox,omitempty"`    // the browser's own sandbox was switched off on demand
	Viewport     Viewport `json:"viewport"`
	Visitor      Visitor  `json:"visitor"`
	Limits       Limits   `json:"limits"`

	AcceptInvalidTLS bool   `json:"accept_invalid_tls,omitempty"` // a second, flagged try when the certificate did not hold
	SecondLook       bool   `json:"second_look,omitempty"`        // load the page once more and compare
	Wire             bool   `json:"wire,omitempty"`               // keep the bytes of every connection, with the TLS secrets
	NoPrint          bool   `json:"no_print,omitempty"`           // leave out the browser's own PDF of the page, the dearest of all files
	Proxy            string `json:"proxy,omitempty"`              // http://host:port that every connection goes through
	CredentialsFile  string `json:"credentials_file,omitempty"`   // its first line answers Basic authentication of the page's own host: user:password

	ClientCertificate *ClientCertificate `json:"client_certificate,omitempty"` // for TLS; nil presents none
}

// A ClientCertificate is presented to the one server that the order names,
// when that server asks for one (RFC 8446 section 4.3.2). The guard proxy then
// ends the TLS of the connections to that server itself: the browser has no
// store of such certificates. The key is in the file, and in nothing that is
// kept.
type ClientCertificate struct {
	File    string `json:"file"`    // path on the capturing machine: PEM, the chain and its private key
	SHA256  string `json:"sha256"`  // of the certificate in DER, hex
	Subject string `json:"subject"` // as in RFC 4514
	Host    string `json:"host"`    // host:port of the page's own address; no other is offered it
}

// A Visitor is whom the browser says it is. The zero value is the browser
// itself on a desktop.
type Visitor struct {
	Mobile    bool      `json:"mobile,omitempty"`     // touch, mobile viewport rules
	UserAgent string    `json:"user_agent,omitempty"` // empty is the browser's own
	Languages string    `json:"languages,omitempty"`  // Accept-Language; empty is zh-CN,zh
	Location  *Location `json:"location,omitempty"`   // answered to pages that may ask; nil refuses
}

// A Location is a place on WGS 84 in degrees, with its accuracy in metres.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Accuracy  float64 `json:"accuracy"`
}

// An Officer is a law-enforcement officer with the number of the
// enforcement certificate.
type Officer struct {
	Name    string `json:"name"`
	Licence string `json:"licence"`
}

// Viewport is the size of the browser window in CSS pixels and the number
// of device pixels per CSS pixel.
type Viewport struct {
	Width  int     `json:"width"`
	Height int     `json:"height"`
	Scale  float64 `json:"scale"`
}

// Limits bound a capture. Reaching one makes the take partial and says so;
// it never discards what was already captured. Durations are in
// milliseconds so that the JSON form needs no own notation.
type Limits struct {
	StartMS     int64 `json:"start_ms"`     // browser start
	NavigateMS  int64 `json:"navigate_ms"`  // navigation until the load event
	SettleMS    int64 `json:"settle_ms"`    // waiting for quiet after the load event
	StepMS      int64 `json:"step_ms"`      // waiting for the requests of one scroll step
	ScrollMS    int64 `json:"scroll_ms"`    // the whole scroll
	ArtefactMS  int64 `json:"artefact_ms"`  // each picture, MHTML, PDF
	TotalMS     int64 `json:"total_ms"`     // the whole capture
	BodyBytes   int64 `json:"body_bytes"`   // one response body
	TotalBytes  int64 `json:"total_bytes"`  // all response bodies
	PageHeight  int64 `json:"page_height"`  // CSS pixels scrolled and pictured
	ScrollSteps int   `json:"scroll_steps"` // steps of the scroll
	Dialogs     int   `json:"dialogs"`      // JavaScript dialogs and popups that are noted one by one
	ClockMS     int64 `json:"clock_ms"`     // the query of all NTP servers
	Requests    int   `json:"requests"`     // recorded; what comes after is refused
	Frames      int   `json:"frames"`       // messages of one WebSocket or event stream that are kept
	MemoryBytes int64 `json:"memory_bytes"` // resident memory of the browser's processes for this capture; see Holding
	Processes   int   `json:"processes"`    // of the browser; in a control group 64 threads for each
}

// DefaultLimits returns the limits of an order that names none.
func DefaultLimits() Limits {
	return Limits{
		StartMS: 20_000, NavigateMS: 20_000, SettleMS: 5_000, StepMS: 3_000,
		ScrollMS: 20_000, ArtefactMS: 20_000, TotalMS: 60_000,
		BodyBytes: 200 << 20, TotalBytes: 500 << 20, PageHeight: 40_000,
		ScrollSteps: 200, Dialogs: 20, ClockMS: 3_000,
		Requests: 5_000, Frames: 1_000, MemoryBytes: 2 << 30, Processes: 40,
	}
}

// MS turns a limit in milliseconds into a duration.
func MS(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// Beijing is the zone of every date printed for people. China has kept
// UTC+8 without daylight saving since 1991, so no zone data is needed.
var Beijing = time.FixedZone("Asia/Shanghai", 8*60*60)

// NewID returns a new order number such as GZ-20261123-7KQ4M2XD: the Beijing
// date and 40 random bits. It does not imitate a document number.
func NewID(now time.Time) string {
	var b [5]byte
	// crypto/rand.Read never returns an error (Go 1.24 and later).
	_, _ = rand.Read(b[:])
	enc := base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)
	return "GZ-" + now.In(Beijing).Format("20060102") + "-" + enc.EncodeToString(b[:])
}

// ValidID reports whether s has the form that NewID gives. Identifiers come
// from command lines and become directory names, so nothing else may pass.
func ValidID(s string) bool {
	rest, ok := strings.CutPrefix(s, "GZ-")
	if !ok || len(rest) != 17 || rest[8] != '-' {
		return false
	}
	for i, c := range rest {
		digit := c >= '0' && c <= '9'
		if i < 8 && !digit || i > 8 && !digit && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// ParseLocation reads "latitude,longitude" in degrees.
func ParseLocation(s string) (Location, error) {
	a, b, ok := strings.Cut(s, ",")
	lat, err := strconv.ParseFloat(strings.TrimSpace(a), 64)
	lon, err2 := strconv.ParseFloat(strings.TrimSpace(b), 64)
	if !ok || err != nil || err2 != nil || math.Abs(lat) > 90 || math.Abs(lon) > 180 {
		return Location{}, fmt.Errorf("location %q is not LATITUDE,LONGITUDE: %w", s, ErrOrder)
	}
	return Location{Latitude: lat, Longitude: lon, Accuracy: 50}, nil
}

// ParseOfficer reads "name:licence".
func ParseOfficer(s string) (Officer, error) {
	name, licence, ok := strings.Cut(strings.Replace(s, "\uff1a", ":", 1), ":")
	name, licence = strings.TrimSpace(name), strings.TrimSpace(licence)
	if !ok || name == "" || licence == "" {
		return Officer{}, fmt.Errorf("officer %q is not NAME:LICENCE: %w", s, ErrOrder)
	}
	return Officer{Name: name, Licence: licence}, nil
}

// Check reports the first thing that makes the order unusable.
func (o Order) Check() error {
	if !ValidID(o.ID) {
		return fmt.Errorf("order number %q: %w", o.ID, ErrOrder)
	}
	if o.Kind != KindWeb {
		return fmt.Errorf("kind %q: %w", o.Kind, ErrOrder)
	}
	if err := o.checkAddress(); err != nil {
		return err
	}
	if o.Wire && o.CredentialsFile != "" {
		return fmt.Errorf("the bytes of the connections would hold the credentials: %w", ErrOrder)
	}
	if len(o.Officers) > 2 {
		return fmt.Errorf("%d officers, two at most: %w", len(o.Officers), ErrOrder)
	}
	for _, s := range []string{o.URL, o.Case, o.Cause, o.Purpose, o.Party, o.Place, o.Witness} {
		if !utf8.ValidString(s) {
			return fmt.Errorf("text %q is not UTF-8: %w", s, ErrOrder)
		}
	}
	if o.Viewport.Width < 200 || o.Viewport.Width > 8000 || o.Viewport.Height < 200 || o.Viewport.Height > 8000 {
		return fmt.Errorf("viewport %dx%d: %w", o.Viewport.Width, o.Viewport.Height, ErrOrder)
	}
	if err := o.checkCertificate(); err != nil {
		return err
	}
	return o.checkProxy()
}

// checkCertificate accepts a client certificate for an https page alone.
func (o Order) checkCertificate() error {
	c := o.ClientCertificate
	switch {
	case c == nil:
		return nil
	case !strings.HasPrefix(strings.ToLower(o.URL), "https://"):
		return fmt.Errorf("client certificate for %q, which is no https address: %w", o.URL, ErrOrder)
	case c.File == "" || len(c.SHA256) != 64 || c.Host == "" || !utf8.ValidString(c.File+c.Subject):
		return fmt.Errorf("client certificate without file, digest or host: %w", ErrOrder)
	}
	return nil
}

// checkAddress accepts http and https only: file:, chrome:, data: and the like
// never reach a browser.
func (o Order) checkAddress() error {
	u, err := url.Parse(o.URL)
	if err != nil {
		return fmt.Errorf("address %q: %w", o.URL, ErrOrder)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("address %q is not an http or https page: %w", o.URL, ErrOrder)
	}
	if u.User != nil {
		return fmt.Errorf("address %q carries a user name or password: %w", u.Redacted(), ErrOrder)
	}
	return nil
}

// checkProxy accepts http://HOST:PORT. A user name or password would be
// printed wherever the order is.
func (o Order) checkProxy() error {
	if o.Proxy == "" {
		return nil
	}
	u, err := url.Parse(o.Proxy)
	if err != nil {
		return fmt.Errorf("proxy address not usable: %w", ErrOrder)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.User != nil:
		return fmt.Errorf("proxy %q carries a user name or password: %w", u.Redacted(), ErrOrder)
	case u.Scheme != "http", u.Hostname() == "", err != nil, port == 0, o.Proxy != "http://"+u.Host:
		return fmt.Errorf("proxy %q is not http://HOST:PORT: %w", o.Proxy, ErrOrder)
	}
	return nil
}

// Encode returns the order's JSON form, the same bytes for the same order.
func (o Order) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding order %s: %w", o.ID, err)
	}
	return append(b, '\n'), nil
}
