package web

import (
	"github.com/chromedp/cdproto/network"

	"guzheng/capture/warc"
)

// metaOf gathers what the browser tells of an exchange beside HTTP.
func metaOf(h *hop) warc.Meta {
	m := warc.Meta{Frame: string(h.sent.FrameID)}
	if i := h.sent.Initiator; i != nil {
		m.Initiator = &warc.Initiator{Type: string(i.Type), URL: i.URL}
		if i.URL != "" {
			m.Initiator.Line = int(i.LineNumber) + 1
		}
		if i.Stack != nil && len(i.Stack.CallFrames) > 0 {
			f := i.Stack.CallFrames[0]
			m.Initiator.URL, m.Initiator.Line = f.URL, int(f.LineNumber)+1
		}
	}
	r := h.response
	if r == nil {
		return m
	}
	m.Transferred = new(max(h.encoded, int64(r.EncodedDataLength)))
	m.ServiceWorker = r.FromServiceWorker
	switch {
	case r.FromPrefetchCache:
		m.Cache = "prefetch"
	case r.FromDiskCache:
		m.Cache = "disk"
	}
	if t := r.Timing; t != nil {
		m.Timing = timingOf(t)
	}
	return m
}

// timingOf turns the browser's marks, milliseconds since one moment and -1
// for what did not take place, into spans.
func timingOf(t *network.ResourceTiming) *warc.Timing {
	span := func(from, to float64) float64 {
		if from < 0 || to < from {
			return 0
		}
		return to - from
	}
	first := t.SendStart
	for _, at := range []float64{t.DNSStart, t.ConnectStart} {
		if at >= 0 {
			first = min(first, at)
		}
	}
	return &warc.Timing{Blocked: max(first, 0), DNS: span(t.DNSStart, t.DNSEnd), Connect: span(t.ConnectStart, t.ConnectEnd),
		TLS: span(t.SslStart, t.SslEnd), Send: span(t.SendStart, t.SendEnd), Wait: span(t.SendEnd, t.ReceiveHeadersStart)}
}
