package ordeal

import "net/http"

// gates lists pages that stand before the page that was asked for.
func gates() []Case {
	return []Case{
		// 35: 429 or 403 against robots, captcha, slider: recognised, never
		// shown as the shop's page.
		{Number: 35, Name: "too-many-requests", State: Complete, Anomaly: "page.gate"},
		{Number: 35, Name: "captcha", State: Complete, Anomaly: "page.gate"},
		{Number: 35, Name: "slider", State: Complete, Anomaly: "page.gate"},
		// 36: login wall, cookie wall: captured as they are.
		{Number: 36, Name: "login-wall", State: Complete, Anomaly: "page.gate", Asked: codes("/36/login")},
		{Number: 36, Name: "cookie-wall", State: Complete, Text: "cookies"},
	}
}

// routeGates hangs what is no file into mux.
func routeGates(mux *http.ServeMux, s *Server) {
	mux.HandleFunc("GET /26/basic-auth", basicAuth)
	for name, status := range map[string]int{"too-many-requests": http.StatusTooManyRequests, "captcha": http.StatusForbidden} {
		mux.HandleFunc("GET /35/"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "3600")
			r.SetPathValue("name", name)
			s.pageWith(w, r, status)
		})
	}
	mux.Handle("GET /36/login-wall", http.RedirectHandler("/36/login?from=/36/login-wall", http.StatusFound))
}
