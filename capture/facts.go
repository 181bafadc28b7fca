package capture

import "time"

// FactsFormat names the version of the facts' JSON form.
const FactsFormat = "guzheng-facts/1"

// Facts is what was observed around a page: where it came from, over which
// connections, with which browser on which machine and by which clock. It
// holds observations only; a field that could not be observed is empty and
// the journal says why.
type Facts struct {
	Format       string `json:"format"`
	RequestedURL string `json:"requested_url"`
	FinalURL     string `json:"final_url"`           // of the last document that a server answered
	ShownURL     string `json:"shown_url,omitempty"` // what the page's script made of the address, if anything else
	Redirects    []Hop  `json:"redirects,omitempty"`
	Status       int    `json:"status"`
	StatusText   string `json:"status_text,omitempty"`
	Protocol     string `json:"protocol,omitempty"` // h2, http/1.1
	RemoteIP     string `json:"remote_ip,omitempty"`
	RemotePort   int    `json:"remote_port,omitempty"`
	ContentType  string `json:"content_type,omitempty"`
	Title        string `json:"title"`

	PageID   string    `json:"page_id"`   // WARC-Page-ID of the visit's records
	PageTime time.Time `json:"page_time"` // WARC-Date of the document's response; zero when there was none

	Charset  Charset        `json:"charset"`
	TLS      []TLSHost      `json:"tls,omitempty"`
	DNS      []DNSAnswer    `json:"dns,omitempty"`
	Viewport Viewport       `json:"viewport"`
	Page     Size           `json:"page"`             // whole page, CSS pixels
	Tiles    []Tile         `json:"tiles,omitempty"`  // of a page too tall for one picture, from top to bottom
	Frames   []FramePicture `json:"frames,omitempty"` // that the picture of the page leaves blank
	Fonts    *Fonts         `json:"fonts,omitempty"`
	Second   *SecondLook    `json:"second_look,omitempty"`

	UserAgent string   `json:"user_agent"` // as sent
	Languages string   `json:"languages"`  // navigator.languages, comma separated
	Browser   Browser  `json:"browser"`
	Tool      Tool     `json:"tool"`
	Machine   Machine  `json:"machine"`
	Proxy     ProxyUse `json:"proxy"`
	HostsFile Hosts    `json:"hosts_file"`
	Clock     Clock    `json:"clock"`

	Counts  Counts    `json:"counts"`
	Refused []Refusal `json:"refused,omitempty"`
	Failed  []Failure `json:"failed,omitempty"`
}

// SecondLook is how the page compared when it was loaded once more, right
// after the artefacts were taken. Its records have a page id of their own.
type SecondLook struct {
	PageID     string    `json:"page_id"`
	At         time.Time `json:"at"`
	Status     int       `json:"status"`
	Similarity float64   `json:"similarity"`      // of the texts, 0 to 1; 1 is the same but for white space
	Gone       []string  `json:"gone,omitempty"`  // lines of the first text only, the first of them
	Come       []string  `json:"come,omitempty"`  // lines of the second text only, the first of them
	Pixels     int64     `json:"pixels"`          // of the window that differ
	Error      string    `json:"error,omitempty"` // why there was nothing to compare
}

// Hop is one redirect. Client is true when the page itself moved on (script
// or meta refresh) and no HTTP redirect was sent.
type Hop struct {
	URL    string `json:"url"`
	Status int    `json:"status,omitempty"`
	To     string `json:"to"`
	Client bool   `json:"client,omitempty"`
}

// Charset is what the page said about its encoding and what the browser
// made of it.
type Charset struct {
	Header string `json:"header,omitempty"` // Content-Type
	Meta   string `json:"meta,omitempty"`   // <meta charset> or http-equiv
	Used   string `json:"used,omitempty"`   // document.characterSet

	// Sniffed is what the bytes themselves look like, whatever was declared,
	// and Why is the reason in one word: bom, ascii, utf-8, nul, escapes,
	// letters or none. Certain means that nothing else is possible.
	Sniffed string `json:"sniffed,omitempty"`
	Why     string `json:"sniffed_why,omitempty"`
	Certain bool   `json:"sniffed_certain,omitempty"`
}

// TLSHost is the TLS state of the connections to one host and the chain the
// server sent on them. The browser keeps nothing of a certificate that it
// refused: Error is then its reason, and protocol, cipher and chain are of a
// connection that this program made by itself right after, to the same
// address and without a request.
type TLSHost struct {
	Host     string        `json:"host"`
	Protocol string        `json:"protocol,omitempty"`
	Cipher   string        `json:"cipher,omitempty"`
	Chain    []Certificate `json:"chain,omitempty"`
	Error    string        `json:"error,omitempty"`

	OwnConnection bool `json:"own_connection,omitempty"`

	Guard *GuardTLS `json:"guard,omitempty"` // nil where the browser spoke TLS with the server itself
}

// GuardTLS says that the guard proxy ended the TLS of the connections to a
// host, because a client certificate was ordered. Protocol, cipher and chain
// are then those of its own handshakes with the server, and what was recorded
// of that host was decrypted by this program. The browser was shown a
// certificate that was made for this capture.
type GuardTLS struct {
	Connections int    `json:"connections"`     // handshakes in which the server sent this chain
	Asked       int    `json:"asked"`           // of them, in which it asked for a client certificate
	Presented   int    `json:"presented"`       // of them, in which it was given one, or was about to be when it broke
	Certificate string `json:"certificate"`     // SHA-256 of the client certificate, hex; of the order
	BrowserKey  string `json:"browser_key"`     // SHA-256 of the public key (SPKI) that the browser was shown, base64
	Roots       string `json:"roots"`           // that the server's chain had to lead to: "system", or the environment variables that named others
	Error       string `json:"error,omitempty"` // how TLS with the server ended, when not in good order
}

// Certificate is one certificate of a chain; File is its DER form inside
// the take.
type Certificate struct {
	File      string    `json:"file"`
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SHA256    string    `json:"sha256"`
}

// DNSAnswer is one name resolution by the guard proxy and the address that
// was then dialled. The browser resolves nothing itself. Check marks a name
// that was resolved only to refuse private addresses: an upstream proxy was
// in use, and what address it reached is not known.
type DNSAnswer struct {
	Host      string        `json:"host"`
	Addresses []string      `json:"addresses"`
	Dialled   string        `json:"dialled,omitempty"`
	At        time.Time     `json:"at"`
	Source    string        `json:"source,omitempty"` // "hosts" when the hosts file names the host, else "dns"
	Error     string        `json:"error,omitempty"`
	Check     bool          `json:"check,omitempty"`
	Server    string        `json:"server,omitempty"`  // host:port of the name server
	Rcode     string        `json:"rcode,omitempty"`   // its answer, NOERROR or NXDOMAIN (RFC 6895 section 2.3)
	TookMS    float64       `json:"took_ms,omitempty"` // the whole resolution
	Records   []string      `json:"records,omitempty"` // every record of the answers, as lines of a zone file
	Exchanges []DNSExchange `json:"exchanges,omitempty"`
}

// DNSExchange is one query to a name server with the messages as they passed
// (RFC 1035 section 4).
type DNSExchange struct {
	Server  string    `json:"server"`  // host:port
	Network string    `json:"network"` // udp or tcp
	At      time.Time `json:"at"`
	TookMS  float64   `json:"took_ms"`
	Query   []byte    `json:"query,omitempty"`
	Reply   []byte    `json:"reply,omitempty"`
	Strays  int       `json:"strays,omitempty"` // messages that did not answer the query, forged or late
	Error   string    `json:"error,omitempty"`
}

// Size is in CSS pixels.
type Size struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// Tile is a part of the picture of a whole page, a file of the take, and
// where it lies in it, all in device pixels. Overlap is how many of its first
// rows the tile above shows as well; the whole shows those of the tile above.
type Tile struct {
	Path    string `json:"path"`
	Y       int    `json:"y"` // of its first row in the whole
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Overlap int    `json:"overlap"`
}

// FramePicture is a picture of a frame of another site, or of a part of one,
// a file of the take: the picture of the whole page leaves the frame blank.
// Where it lies on the page is in CSS pixels.
type FramePicture struct {
	Path   string `json:"path"`
	Frame  int    `json:"frame"` // which frame, from 1; a tall one has several pictures
	URL    string `json:"url"`   // of the frame's document, at most 2,000 characters
	X      int    `json:"x"`
	Y      int    `json:"y"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Pixels Size   `json:"pixels"` // of the picture, device pixels
}

// Browser is the program that opened the page. Executable, SHA256 and Flags
// are of the running process, as the kernel tells them.
type Browser struct {
	Product    string   `json:"product"`
	Path       string   `json:"path"` // as started
	Executable string   `json:"executable"`
	SHA256     string   `json:"sha256"`
	Flags      []string `json:"flags"`
	Sandbox    bool     `json:"sandbox"`
	User       string   `json:"user"`      // operating-system user of the process
	TimeZone   string   `json:"time_zone"` // as the page saw it

	Started time.Time `json:"started"` // the process; it may have served other captures before, each in a context of its own
	Context string    `json:"context"` // the browser context of this capture, new and empty
	Opened  time.Time `json:"opened"`  // the context

	Limits *Holding `json:"limits,omitempty"` // nil when no browser ran
}

// Holding says by what the browser was held to its limits of memory and
// processes, and what was there to end all of it: "cgroup" is the kernel, at
// every moment; "proc" is this program, which looks at the processes twice a
// second. It looks in any case. Why says what was in the way of a control
// group altogether.
type Holding struct {
	Memory    string `json:"memory"`
	Processes string `json:"processes"` // cgroup: 64 threads for each that is allowed
	End       string `json:"end"`
	Why       string `json:"why,omitempty"`
}

// Tool is this program.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	Go      string `json:"go"`
}

// Machine is the computer that captured.
type Machine struct {
	Hostname  string   `json:"hostname"`
	OS        string   `json:"os"`
	Kernel    string   `json:"kernel"`
	Arch      string   `json:"arch"`
	TimeZone  string   `json:"time_zone"`
	Account   string   `json:"account"`             // operating-system account, and the one behind sudo
	Addresses []string `json:"addresses,omitempty"` // own addresses other than loopback
	Resolvers []string `json:"resolvers,omitempty"`
}

// ProxyUse says whether anything stood between this machine and the net.
// Guard is our own loopback proxy, always in use; Environment lists proxy
// variables that were set and not used. Upstream is the proxy that was
// ordered: the addresses that connections reached are then its secret.
type ProxyUse struct {
	Guard       string   `json:"guard"`
	Environment []string `json:"environment,omitempty"`
	Upstream    string   `json:"upstream,omitempty"`
}

// Hosts is the state of the hosts file. Entries are the lines that map
// anything other than this machine's own names.
type Hosts struct {
	Path    string   `json:"path"`
	SHA256  string   `json:"sha256,omitempty"`
	Entries []string `json:"entries,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// Clock compares this machine's clock with the configured NTP servers.
// OffsetMS is the median of the answers; it means nothing when Answered is
// zero.
type Clock struct {
	At       time.Time      `json:"at,omitzero"` // this machine's clock when they were asked, UTC
	Servers  []ClockReading `json:"servers,omitempty"`
	Answered int            `json:"answered"`
	OffsetMS float64        `json:"offset_ms"`
	Jumps    []Jump         `json:"jumps,omitempty"` // the clock was set, or the machine slept, during the capture
	After    *Clock         `json:"after,omitempty"` // the servers' answers after a jump
}

// ClockReading is one server's answer. A positive offset means this
// machine's clock is behind the server.
type ClockReading struct {
	Server   string  `json:"server"`
	OffsetMS float64 `json:"offset_ms"`
	DelayMS  float64 `json:"delay_ms"`
	ErrorMS  float64 `json:"error_ms,omitempty"` // root distance: bound of the answer's error (RFC 5905 appendix A.5.5.2)
	Stratum  int     `json:"stratum,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// Counts sums up the traffic and the pictures of the page.
type Counts struct {
	Requests       int   `json:"requests"`
	Responses      int   `json:"responses"`
	Failed         int   `json:"failed"`
	Refused        int   `json:"refused"`
	Unanswered     int   `json:"unanswered"` // had no end when the capture ended
	Truncated      int   `json:"truncated"`
	BodyBytes      int64 `json:"body_bytes"`
	Images         int   `json:"images"`
	ImagesUnloaded int   `json:"images_unloaded"`
	ScrollSteps    int   `json:"scroll_steps"`
}

// Refusal is a connection the guard proxy refused to make.
type Refusal struct {
	Host   string    `json:"host"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Failure is a request that got no complete response.
type Failure struct {
	URL    string `json:"url"`
	Reason string `json:"reason"`
}

// TextFormat names the version of the text lines' JSON form.
const TextFormat = "guzheng-lines/1"

// Lines holds the place of every visible text run of the page, as painted.
// The evidence sheet uses it to cut the full-page picture between lines.
type Lines struct {
	Format string `json:"format"`
	Page   Size   `json:"page"`
	Lines  []Line `json:"lines"`

	Frames       []string `json:"frames,omitempty"`       // address of each document; the page is the first
	Hidden       []Line   `json:"hidden,omitempty"`       // runs that are not painted where they stand, with the reason
	Alternatives []Line   `json:"alternatives,omitempty"` // alternative texts of the pictures in view
}

// Line is one text run; X, Y, W and H are its box in CSS pixels from the
// top left corner of the page.
type Line struct {
	X    float64 `json:"x"`
	Y    float64 `json:"y"`
	W    float64 `json:"w"`
	H    float64 `json:"h"`
	Text string  `json:"text"`

	Frame  int     `json:"frame,omitempty"`  // index into Lines.Frames
	Node   int64   `json:"node,omitempty"`   // the browser's backend node id: equal for the runs of one node
	Size   float64 `json:"size,omitempty"`   // font size, CSS pixels
	Kind   string  `json:"kind,omitempty"`   // empty for text of the document, else generated, marker, value, placeholder or alt
	Hidden string  `json:"hidden,omitempty"` // why the run is not, or perhaps not, seen
}

// Fonts says which fonts the browser really drew the text of a page with and
// which characters had no glyph, that is, were drawn as empty boxes.
type Fonts struct {
	Used    []Font  `json:"used"`
	Missing []Glyph `json:"missing,omitempty"`

	Styles  int    `json:"styles"`            // distinct font styles of the text
	Asked   int    `json:"asked"`             // text nodes for which the browser named the fonts
	Unknown string `json:"unknown,omitempty"` // why it cannot be told whether glyphs were missing
}

// Font is one font. Glyphs counts those drawn with it in the text nodes that
// were asked about, not on the whole page.
type Font struct {
	Family     string `json:"family"`
	PostScript string `json:"postscript,omitempty"`
	Web        bool   `json:"web,omitempty"` // sent by the page's servers
	Glyphs     int    `json:"glyphs"`
}

// Glyph is a character without a glyph in the installed fonts. Web means that
// a web font was in use where it stands, which may have drawn it.
type Glyph struct {
	Code  string `json:"code"` // U+2A6D7
	Count int    `json:"count"`
	Web   bool   `json:"web,omitempty"`
}
