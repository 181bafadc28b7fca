package practice

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// drip is the pause between two bytes of the answer that never ends.
const drip = 250 * time.Millisecond

// routeHostile hangs the fixtures for tests into mux.
func routeHostile(mux *http.ServeMux, s *site) {
	// These misbehave in the browser, not on the wire.
	for _, name := range []string{
		"endless", "slow", "dialogs", "internal", "spin", "names", "post",
		"frames", "frames-inner", "overlap", "tall", "index",
	} {
		at := "/hostile/" + strings.Replace(name, "-", "/", 1)
		if name == "index" {
			at = "/hostile/{$}"
		}
		mux.Handle("GET "+at, hostileFile(name+".html"))
	}
	half := s.paths["/pic/zaojun.jpg"].plain
	half = half[:len(half)/2]
	mux.HandleFunc("GET /hostile/slow/stuck.jpg", func(w http.ResponseWriter, r *http.Request) { stuck(w, r, half) })
	mux.HandleFunc("GET /hostile/slow/drip.jpg", func(w http.ResponseWriter, r *http.Request) { dripping(w, r, half) })
	mux.HandleFunc("GET /hostile/endless/more", moreRows())
	mux.HandleFunc("GET /hostile/status/{code}", statusPage())
	mux.HandleFunc("GET /hostile/blank", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", html)
		w.Header().Set("Content-Length", "0")
	})
	mux.Handle("GET /hostile/loop", http.RedirectHandler("/hostile/loop/again", http.StatusFound))
	mux.Handle("GET /hostile/loop/again", http.RedirectHandler("/hostile/loop", http.StatusFound))
	list := hostileFile("download.csv")
	mux.HandleFunc("GET /hostile/download", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="prices.csv"`)
		list.ServeHTTP(w, r)
	})
}

// hostileFile prepares site/hostile/name; a missing file is a mistake of ours.
func hostileFile(name string) answer {
	b, err := files.ReadFile("site/hostile/" + name)
	if err != nil {
		panic("practice: " + err.Error())
	}
	a, err := newAnswer(mediaType(name), b)
	if err != nil {
		panic("practice: " + err.Error())
	}
	return a
}

// stuck promises more than half, sends half and then nothing until the caller
// or the shop goes away.
func stuck(w http.ResponseWriter, r *http.Request, half []byte) {
	w.Header().Set("Content-Type", mediaType(".jpg"))
	w.Header().Set("Content-Length", strconv.Itoa(2*len(half)))
	_, _ = w.Write(half)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// dripping sends one byte per drip and never ends by itself.
func dripping(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Type", mediaType(".jpg"))
	out := http.NewResponseController(w)
	tick := time.NewTicker(drip)
	defer tick.Stop()
	for i := 0; ; i++ {
		if _, err := w.Write(body[i%len(body) : i%len(body)+1]); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// moreRows answers every page number with the next rows of a list without end.
func moreRows() http.HandlerFunc {
	var names []string
	if err := load("hostile/endless.json", &names); err != nil {
		panic("practice: " + err.Error())
	}
	return func(w http.ResponseWriter, r *http.Request) {
		page, err := strconv.Atoi(r.URL.Query().Get("page"))
		if err != nil || page < 0 {
			http.Error(w, "page is not a number", http.StatusBadRequest)
			return
		}
		var buf bytes.Buffer
		for i, name := range names {
			sep := ','
			if i == 0 {
				sep = '['
			}
			fmt.Fprintf(&buf, "%c%q", sep, fmt.Sprintf("%d %s", page*len(names)+i+1, name))
		}
		buf.WriteString("]\n")
		a, err := newAnswer(mediaType(".json"), buf.Bytes())
		if err != nil {
			http.Error(w, "list not packed", http.StatusInternalServerError)
			return
		}
		a.ServeHTTP(w, r)
	}
}

// statusPage answers /hostile/status/503 with that status and a page. Codes
// outside 200 to 599 are not found; 204 and 304 have no page, as HTTP says.
func statusPage() http.HandlerFunc {
	t, err := template.ParseFS(files, "site/hostile/status.html")
	if err != nil {
		panic("practice: " + err.Error())
	}
	return func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil || code < 200 || code > 599 {
			http.NotFound(w, r)
			return
		}
		if code == http.StatusNoContent || code == http.StatusNotModified {
			w.WriteHeader(code)
			return
		}
		var buf bytes.Buffer
		if err := t.Execute(&buf, code); err != nil {
			http.Error(w, "page not rendered", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", html)
		w.WriteHeader(code)
		_, _ = w.Write(buf.Bytes())
	}
}
