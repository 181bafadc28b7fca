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

	Charset  Charset     `json:"charset"`
	TLS      []TLSHost   `json:"tls,omitempty"`
	DNS      []DNSAnswer `json:"dns,omitempty"`
	Viewport Viewport    `json:"viewport"`
	Page     Size        `json:"page"` // whole page, CSS pixels

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
}

// TLSHost is the TLS state of the connections to one host and the chain the
// server sent on them.
type TLSHost struct {
	Host     string        `json:"host"`
	Protocol string        `json:"protocol,omitempty"`
	Cipher   string        `json:"cipher,omitempty"`
	Chain    []Certificate `json:"chain,omitempty"`
	Error    string        `json:"error,omitempty"`
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
// was then dialled. The browser resolves nothing itself.
type DNSAnswer struct {
	Host      string    `json:"host"`
	Addresses []string  `json:"addresses"`
	Dialled   string    `json:"dialled,omitempty"`
	At        time.Time `json:"at"`
	Source    string    `json:"source,omitempty"` // "hosts" when the hosts file names the host, else "dns"
	Error     string    `json:"error,omitempty"`
}

// Size is in CSS pixels.
type Size struct {
	Width  int `json:"width"`
	Height int `json:"height"`
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
// variables that were set and not used.
type ProxyUse struct {
	Guard       string   `json:"guard"`
	Environment []string `json:"environment,omitempty"`
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
	Servers  []ClockReading `json:"servers,omitempty"`
	Answered int            `json:"answered"`
	OffsetMS float64        `json:"offset_ms"`
}

// ClockReading is one server's answer. A positive offset means this
// machine's clock is behind the server.
type ClockReading struct {
	Server   string  `json:"server"`
	OffsetMS float64 `json:"offset_ms"`
	DelayMS  float64 `json:"delay_ms"`
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
}

// Line is one text run; X, Y, W and H are its box in CSS pixels from the
// top left corner of the page.
type Line struct {
	X    float64 `json:"x"`
	Y    float64 `json:"y"`
	W    float64 `json:"w"`
	H    float64 `json:"h"`
	Text string  `json:"text"`
}
