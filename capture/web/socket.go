package web

import (
	"strconv"
	"time"

	"github.com/chromedp/cdproto/network"

	"guzheng/capture"
	"guzheng/capture/warc"
)

// A socket is one WebSocket (RFC 6455): its handshake is an exchange, what
// went over it afterwards a list of messages.
type socket struct {
	url       string
	page      string // WARC-Page-ID
	opened    time.Time
	closed    time.Time
	sent      *network.EventWebSocketWillSendHandshakeRequest
	response  *network.WebSocketResponse
	at        time.Time // of the response
	frames    spool     // JSON lines
	count     int
	left      int // messages beyond the limit
	failure   string
	truncated string
}

// socketEvent follows the page's WebSockets. The lock is held.
func (r *recorder) socketEvent(decoded any) {
	switch e := decoded.(type) {
	case *network.EventWebSocketCreated:
		r.noteAsked(e.URL)
		r.sockets[e.RequestID] = &socket{url: e.URL, page: r.page, opened: r.now()}
		r.counts.Requests++
	case *network.EventWebSocketWillSendHandshakeRequest:
		if s := r.sockets[e.RequestID]; s != nil {
			s.sent = e
		}
	case *network.EventWebSocketHandshakeResponseReceived:
		if s := r.sockets[e.RequestID]; s != nil {
			s.response, s.at = e.Response, r.now()
		}
	case *network.EventWebSocketFrameReceived:
		r.message(e.RequestID, e.Response, false)
	case *network.EventWebSocketFrameSent:
		r.message(e.RequestID, e.Response, true)
	case *network.EventWebSocketFrameError:
		if s := r.sockets[e.RequestID]; s != nil {
			s.failure = e.ErrorMessage
		}
	case *network.EventWebSocketClosed:
		if s := r.sockets[e.RequestID]; s != nil {
			r.socketClosed(s, false)
			delete(r.sockets, e.RequestID)
		}
	}
}

// message appends one message of a socket within the limits.
func (r *recorder) message(id network.RequestID, f *network.WebSocketFrame, sent bool) {
	s := r.sockets[id]
	if s == nil || f == nil {
		return
	}
	if s.count >= r.limits.Frames || s.frames.size >= r.limits.BodyBytes || r.counts.BodyBytes >= r.limits.TotalBytes {
		s.left++
		s.truncated = "length"
		return
	}
	line, err := warc.Frame{Time: r.now(), Sent: sent, Opcode: int(f.Opcode), Payload: f.PayloadData}.AppendLine(nil)
	if err == nil {
		err = s.frames.add(r.temp, line)
	}
	if err != nil {
		s.truncated = "unspecified"
		return
	}
	s.count++
	r.counts.BodyBytes += int64(len(line))
}

// socketClosed writes a socket. One that is still open at the end of the
// visit is cut by it, which is in the nature of sockets and no gap.
func (r *recorder) socketClosed(s *socket, open bool) {
	s.closed = r.now()
	if open && s.truncated == "" {
		s.truncated = "time"
	}
	if s.left > 0 {
		r.reason("stream.cut", s.url)
		r.journal.Anomaly("stream.cut", "url", s.url, "kept", strconv.Itoa(s.count), "left", strconv.Itoa(s.left))
	}
	if s.response != nil {
		r.counts.Responses++
	} else {
		r.counts.Failed++
		r.failures = append(r.failures, capture.Failure{URL: s.url, Reason: s.failure})
		r.journal.Anomaly("request.failed", "url", s.url, "reason", s.failure)
	}
	r.writeSocket(s)
	s.frames.drop()
}
