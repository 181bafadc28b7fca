package tsa

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Limits of an exchange over HTTP.
const (
	MaxResponse    = 256 << 10 // bytes of a TimeStampResp
	DefaultTimeout = 15 * time.Second
	maxHeader      = 64 << 10 // bytes of the header fields of an answer
)

// Media types of RFC 3161 section 3.4.
const (
	mediaQuery = "application/timestamp-query"
	mediaReply = "application/timestamp-reply"
)

// Remote is a time-stamping authority reached over HTTP (RFC 3161 section
// 3.4).
type Remote struct {
	URL     string           // http or https; credentials in it are sent but never stored
	Client  *http.Client     // nil: no redirects, no proxy, whatever the environment says
	Now     func() time.Time // this machine's clock, required
	Timeout time.Duration    // of the whole exchange; 0: DefaultTimeout
	Policy  string           // policy to ask for, dotted; "" leaves it to the authority
	Hash    Hash             // of the imprint; "" is SHA256

	// Trust is what is known of this very authority. A token that does not
	// fit it is refused at once; the zero value leaves that to whoever
	// verifies.
	Trust Trust

	// Revocation gets what is told of the token's certificates; nil gets
	// nothing. Without roots in Trust it does nothing either.
	Revocation *Fetcher
}

var _ Authority = Remote{}

// Name returns the URL without user name and password.
func (r Remote) Name() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return "invalid URL"
	}
	u.User = nil
	return u.String()
}

// Stamp is StampDigests for what is known by its SHA-256 value alone. With
// SM3 as Hash it fails, and says so in the stamp.
func (r Remote) Stamp(ctx context.Context, imprint [32]byte) Stamp {
	return r.StampDigests(ctx, Digests{SHA256: imprint})
}

// StampDigests asks the authority once, with the digest by Hash. Every way to
// fail ends in Stamp.Error; an answer that was refused is kept in
// Stamp.Response as well.
func (r Remote) StampDigests(ctx context.Context, d Digests) Stamp {
	if r.Hash == "" {
		r.Hash = SHA256
	}
	s, err := begin(r.Name(), r.Hash, d, r.Policy)
	if r.Now == nil {
		return s.fail(time.Time{}, errNoClock)
	}
	if err != nil {
		return s.fail(r.Now(), err)
	}
	s.Response, err = r.exchange(ctx, s.Request)
	if err != nil {
		return s.fail(r.Now(), err)
	}
	now := r.Now()
	// Before anybody else is asked about it; what a chain lacks may come then.
	before := r.Trust
	before.Roots = nil
	if s := s.arrived(now, d, before); s.Pending() {
		return s
	}
	s = r.Revocation.Complete(ctx, s, r.Trust)
	return s.arrived(now, d, r.Trust)
}

func (r Remote) exchange(ctx context.Context, query []byte) ([]byte, error) {
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(query))
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", r.Name(), bare(err))
	}
	req.Header.Set("Content-Type", mediaQuery)
	req.Header.Set("Accept", mediaReply)
	client := r.Client
	if client == nil {
		client = direct(&net.Dialer{})
		defer client.CloseIdleConnections()
	}
	b, media, err := fetch(client, req, MaxResponse)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", r.Name(), err)
	}
	if t, _, err := mime.ParseMediaType(media); err != nil || t != mediaReply {
		return nil, fmt.Errorf("asking %s: content type %q, want %s", r.Name(), media, mediaReply)
	}
	return b, nil
}

// direct returns a client that asks the very server of a URL: it follows no
// redirect and no proxy variable, and unpacks nothing.
func direct(d *net.Dialer) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{Proxy: nil, DialContext: d.DialContext, DisableCompression: true,
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader, ForceAttemptHTTP2: true},
	}
}

// fetch makes one exchange and returns the body, of at most limit bytes, and
// its media type.
func fetch(client *http.Client, req *http.Request, limit int64) (body []byte, media string, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", bare(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("status %d", resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, "", fmt.Errorf("reading the answer: %w", bare(err))
	}
	if int64(len(b)) > limit {
		return nil, "", fmt.Errorf("reading the answer: more than %d bytes", limit)
	}
	return b, resp.Header.Get("Content-Type"), nil
}

// bare takes off the layer that repeats the URL, which may hold credentials.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
