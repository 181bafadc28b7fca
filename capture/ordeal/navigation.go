package ordeal

import (
	"fmt"
	"net/http"
	"strconv"
)

// Lengths of the chains.
const (
	redirects = 40 // more than any browser follows
	refreshes = 5
)

// navigation lists the ways not to arrive at a page.
func navigation() []Case {
	return []Case{
		// 1: redirect loop: FAILED redirect-loop, all hops recorded.
		{Number: 1, Name: "redirect-loop", State: Failed, Reasons: codes("redirect.loop"), Anomaly: "redirect.loop", Asked: codes("/1/redirect-loop/again")},
		// 2: 31+ redirects: FAILED at the cap.
		{Number: 2, Name: "redirect-chain", Path: "/2/redirect-chain/0", State: Failed, Reasons: codes("redirect.loop"), Asked: codes("/2/redirect-chain/15"), Unasked: codes("/2/redirect-chain/39")},
		// 3: redirect to a private address or a file: refused, hop recorded.
		{Number: 3, Name: "redirect-private", State: Failed, Reasons: codes("address.refused"), Anomaly: "request.refused"},
		{Number: 3, Name: "redirect-metadata", State: Failed, Reasons: codes("address.refused"), Anomaly: "request.refused"},
		{Number: 3, Name: "redirect-file", State: Failed, Reasons: codes("scheme.refused", "address.refused", "navigate.failed")},
		// 4: meta refresh 0 s chain: followed five times, recorded. A page
		// that leaves at once may take its body with it.
		{Number: 4, Name: "refresh-chain", Path: "/4/refresh-chain/0", State: Complete, Or: Partial, Reasons: codes("body.truncated"), Anomaly: "page.moved", Title: "refresh 5", Asked: codes("/4/refresh-chain/5")},
		// 5: meta refresh each second to itself: one stable state and a warning.
		{Number: 5, Name: "refresh-self", State: Complete, Or: Partial, Reasons: codes("page.restless", "body.truncated"), Text: "refreshed each second"},
		{Number: 5, Name: "refresh-restless", State: Partial, Or: Complete, Reasons: codes("page.restless"), Anomaly: "page.restless"},
		// 6: location changed by script after load: both addresses recorded.
		{Number: 6, Name: "moves-later", State: Complete, Or: Partial, Reasons: codes("page.mixed"), Anomaly: "page.moved", Title: "moved", Asked: codes("/6/moves-later/there")},
		// 7: pushState storm: ignored.
		{Number: 7, Name: "pushstate-storm", State: Complete, Text: "pushed"},
		// 8: beforeunload prompt: accepted and noted. Without a person's
		// gesture the browser asks nothing, and the page moves on.
		{Number: 8, Name: "beforeunload", State: Complete, Or: Partial, Reasons: codes("page.mixed"), Anomaly: "page.moved", Title: "left", Asked: codes("/8/beforeunload/left")},
		// 9: loop of dialogs: dismissed, the text of the first 20 stored.
		{Number: 9, Name: "dialog-storm", State: Complete, Anomaly: "dialog", Text: "60 dialogs answered"},
		{Number: 9, Name: "dialog-endless", State: Partial, Or: Failed, Reasons: stuck(), Anomaly: "dialog", Heavy: true},
		// 10: storm of windows, target=_blank: blocked, addresses listed.
		{Number: 10, Name: "popup-storm", State: Complete, Anomaly: "popup", Unasked: codes("/10/popup-storm/opened")},
		// 11: attachment in place of a page: stored, no picture claimed.
		{Number: 11, Name: "attachment", State: Partial, Reasons: codes("page.download"), Anomaly: "page.download"},
		// 12: PDF in place of a page: its bytes stored.
		{Number: 12, Name: "pdf-page", State: Partial, Or: Complete, Reasons: codes("page.download")},
		// 13: 204: FAILED no-content.
		{Number: 13, Name: "no-content", State: Failed, Reasons: codes("no.content"), Anomaly: "no.content"},
		{Number: 13, Name: "reset-content", State: Failed, Reasons: codes("no.content"), Anomaly: "no.content"},
		// 14: 304 to a request without validators: FAILED.
		{Number: 14, Name: "not-modified", State: Failed, Reasons: codes("no.content", "navigate.failed", "page.blank")},
		// 15: 103 Early Hints: the final answer recorded.
		{Number: 15, Name: "early-hints", State: Complete, Text: "after the hints"},
		{Number: 15, Name: "early-hints-h2", Place: Secure, State: Complete, Text: "after the hints"},
		// 16: 200 with no byte: OK with a warning.
		{Number: 16, Name: "empty-page", State: Complete, Anomaly: "page.blank"},
		// 17: 4xx and 5xx with a page: captured, the status shown.
		{Number: 17, Name: "missing-page", State: Complete, Anomaly: "status.error", Text: "status 404"},
		{Number: 17, Name: "broken-page", State: Complete, Anomaly: "status.error", Text: "status 500"},
		// 18: custom schemes: blocked and recorded.
		{Number: 18, Name: "scheme-by-script", State: Complete, Anomaly: "scheme.refused", Text: "still here"},
		{Number: 18, Name: "scheme-by-redirect", State: Failed, Reasons: codes("scheme.refused", "navigate.failed")},
	}
}

// routeNavigation hangs their answers into mux.
func routeNavigation(mux *http.ServeMux, s *Server) {
	mux.Handle("GET /1/redirect-loop", http.RedirectHandler("/1/redirect-loop/again", http.StatusFound))
	mux.Handle("GET /1/redirect-loop/again", http.RedirectHandler("/1/redirect-loop", http.StatusFound))
	mux.HandleFunc("GET /2/redirect-chain/{hop}", func(w http.ResponseWriter, r *http.Request) {
		hop, err := strconv.Atoi(r.PathValue("hop"))
		if err != nil || hop >= redirects {
			write(w, "<!doctype html><title>arrived</title><p>arrived")
			return
		}
		http.Redirect(w, r, fmt.Sprintf("/2/redirect-chain/%d", hop+1), http.StatusFound)
	})
	for path, to := range map[string]string{
		"/3/redirect-private":    s.victim.url + "/admin",
		"/3/redirect-metadata":   "http://169.254.169.254/latest/meta-data/",
		"/3/redirect-file":       "file:///etc/passwd",
		"/18/scheme-by-redirect": "taobao://item.taobao.com/item.htm?id=1",
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		})
	}
	mux.HandleFunc("GET /4/refresh-chain/{hop}", func(w http.ResponseWriter, r *http.Request) {
		hop, err := strconv.Atoi(r.PathValue("hop"))
		onward := ""
		if err == nil && hop < refreshes {
			onward = fmt.Sprintf(`<meta http-equiv=refresh content="0;url=/4/refresh-chain/%d">`, hop+1)
		}
		write(w, fmt.Sprintf("<!doctype html><title>refresh %d</title>%s<p>refresh %d", hop, onward, hop))
	})
	mux.HandleFunc("GET /6/moves-later/there", page("<!doctype html><title>moved</title><p>moved here"))
	mux.HandleFunc("GET /8/beforeunload/left", page("<!doctype html><title>left</title><p>left for here"))
	mux.HandleFunc("GET /10/popup-storm/opened", page("<!doctype html><title>opened</title><p>a window"))
	mux.HandleFunc("GET /11/attachment", attachment)
	mux.HandleFunc("GET /12/pdf-page", pdfPage)
	for path, status := range map[string]int{
		"/13/no-content": http.StatusNoContent, "/13/reset-content": http.StatusResetContent, "/14/not-modified": http.StatusNotModified,
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	mux.HandleFunc("GET /15/early-hints", earlyHints)
	mux.HandleFunc("GET /15/early-hints-h2", earlyHints)
	mux.HandleFunc("GET /15/hinted.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css")
		write(w, "p { color: #203040 }")
	})
	mux.HandleFunc("GET /16/empty-page", page(""))
	mux.HandleFunc("GET /17/missing-page", statusPage(http.StatusNotFound))
	mux.HandleFunc("GET /17/broken-page", statusPage(http.StatusInternalServerError))
}

func attachment(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="prices.csv"`)
	write(w, "goods,price\nvinegar,39.90\n")
}

// earlyHints announces its style sheet by a 103 answer (RFC 8297) first.
func earlyHints(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Link", "</15/hinted.css>; rel=preload; as=style")
	w.WriteHeader(http.StatusEarlyHints)
	write(w, `<!doctype html><title>hints</title><link rel=stylesheet href="/15/hinted.css"><p>after the hints`)
}

func statusPage(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", html)
		w.WriteHeader(status)
		write(w, fmt.Sprintf("<!doctype html><title>status %d</title><h1>status %d</h1>", status, status))
	}
}

// pdfPage sends one A4 page that says so (ISO 32000-1 section 7.5).
func pdfPage(w http.ResponseWriter, _ *http.Request) {
	text := "BT /F1 24 Tf 72 720 Td (a PDF in place of a page) Tj ET"
	out := "%PDF-1.4\n"
	var at []int
	for i, object := range []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(text), text),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	} {
		at = append(at, len(out))
		out += fmt.Sprintf("%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	start := len(out)
	out += fmt.Sprintf("xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, offset := range at {
		out += fmt.Sprintf("%010d 00000 n \n", offset)
	}
	out += fmt.Sprintf("trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, start)
	w.Header().Set("Content-Type", "application/pdf")
	write(w, out)
}
