package ordeal

import "net/http"

// connections lists certificates that do not hold, HTTP/2 that breaks off,
// and hosts that are not there.
func connections() []Case {
	invalid := codes("certificate.invalid")
	return []Case{
		// 25: invalid, expired, self-signed, for another host: FAILED by
		// default with the certificate stored; an inspector may override
		// that, which is marked.
		{Number: 25, Name: "self-signed", Path: "/plain", Place: SelfSigned, State: Failed, Reasons: invalid, Anomaly: "certificate.invalid"},
		{Number: 25, Name: "expired", Path: "/plain", Place: Expired, State: Failed, Reasons: invalid, Anomaly: "certificate.invalid"},
		{Number: 25, Name: "wrong-host", Path: "/plain", Place: WrongHost, State: Failed, Reasons: invalid, Anomaly: "certificate.invalid"},
		{Number: 25, Name: "expired-accepted", Path: "/plain", Place: Expired, Accept: true, State: Complete, Or: Partial, Reasons: codes("certificate.accepted"), Anomaly: "certificate.accepted", Text: "good manners"},
		// 26: HTTP authentication: captured as it is, without credentials.
		{Number: 26, Name: "basic-auth", State: Complete, Anomaly: "status.error", Text: "members only"},
		// 27: GOAWAY and storms of RST_STREAM: asked once more.
		{Number: 27, Name: "goaway-once", Place: Frames, State: Complete, Text: "after going away"},
		{Number: 27, Name: "goaway-always", Place: Frames, State: Failed, Reasons: codes("navigate.failed")},
		{Number: 27, Name: "refused-once", Place: Frames, State: Complete, Text: "after being refused"},
		{Number: 27, Name: "reset-storm", Place: Frames, State: Complete, Or: Partial, Reasons: codes("body.truncated"), Anomaly: "request.failed", Text: "storm"},
		{Number: 27, Name: "reset-stream", Place: Frames, State: Partial, Or: Failed, Reasons: codes("body.truncated", "navigate.failed", "page.broken")},
		// 34: DNS failure, IPv6 only: FAILED with the reason.
		{Number: 34, Name: "name-unknown", Path: "/", Place: Nowhere, State: Failed, Reasons: codes("navigate.failed")},
		{Number: 34, Name: "port-closed", Path: "/", Place: Closed, State: Failed, Reasons: codes("navigate.failed")},
		{Number: 34, Name: "six-only", Path: "/", Place: SixOnly, State: Failed, Reasons: codes("navigate.failed")},
	}
}

func basicAuth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", html)
	w.Header().Set("WWW-Authenticate", `Basic realm="members"`)
	w.WriteHeader(http.StatusUnauthorized)
	write(w, "<!doctype html><title>members</title><h1>members only</h1>")
}
