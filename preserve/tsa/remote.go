package tsa

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// Limits of an exchange over HTTP.
const (
	MaxResponse    = 256 << 10 // bytes of a TimeStampResp
	DefaultTimeout = 15 * time.Second
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
	Client  *http.Client     // nil: http.DefaultTransport, no redirects
	Now     func() time.Time // this machine's clock, required
	Timeout time.Duration    // of the whole exchange; 0: DefaultTimeout
	Policy  string           // policy to ask for, dotted; "" leaves it to the authority
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

// Stamp asks the authority once. Every way to fail ends in Stamp.Error; a
// refusal in the protocol's own form is kept in Stamp.Response as well.
func (r Remote) Stamp(ctx context.Context, imprint [32]byte) Stamp {
	s, err := begin(r.Name(), imprint, r.Policy)
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
	return s.arrived(r.Now(), imprint)
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
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", r.Name(), bare(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking %s: status %d", r.Name(), resp.StatusCode)
	}
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || t != mediaReply {
		return nil, fmt.Errorf("asking %s: content type %q, want %s", r.Name(), resp.Header.Get("Content-Type"), mediaReply)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, MaxResponse+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", r.Name(), bare(err))
	}
	if len(b) > MaxResponse {
		return nil, fmt.Errorf("reading the answer of %s: more than %d bytes", r.Name(), MaxResponse)
	}
	return b, nil
}

// bare takes off the layer that repeats the URL, which may hold credentials.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
