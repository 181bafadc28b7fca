package ordeal

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// nesting is how deep the frames of frames-deep go. No browser follows.
const nesting = 100_000

// levels is how deep the elements of dom-deep-parsed go.
const levels = 5000

// load lists pages that take processor or memory.
func load() []Case {
	return []Case{
		// 37: while(1): the renderer is ended, what had come is kept.
		{Number: 37, Name: "spin-at-once", State: Partial, Or: Failed, Reasons: stuck(), Heavy: true},
		{Number: 37, Name: "spin-later", State: Partial, Or: Failed, Reasons: stuck(), Heavy: true},
		// 38: 64 workers that spin: captured as long as the main thread lives.
		{Number: 38, Name: "worker-storm", State: Partial, Or: Complete, Reasons: append(stuck(), "target.unrecorded"), Heavy: true},
		// 39: memory bombs: the crash is noticed, FAILED, the next is fine.
		{Number: 39, Name: "memory-arrays", State: Failed, Or: Partial, Reasons: stuck(), Heavy: true},
		{Number: 39, Name: "canvas-huge", State: Complete, Or: Partial, Reasons: stuck(), Heavy: true},
		{Number: 39, Name: "million-nodes", State: Partial, Or: Complete, Reasons: append(stuck(), "limit.height"), Heavy: true},
		// 40: crash of the renderer, or of the graphics: the same. Half a
		// gigabyte of text or 100,000 nested elements end Blink's renderer.
		{Number: 40, Name: "renderer-crash", State: Failed, Or: Partial, Reasons: codes("deadline.artefact", "deadline.total", "page.crashed", "browser.crashed", "limit.memory"), Heavy: true},
		{Number: 40, Name: "crash-by-size", State: Failed, Or: Partial, Reasons: stuck(), Heavy: true},
		{Number: 40, Name: "context-lost", State: Complete, Text: "context"},
		// 41: debugger and loops against it: no effect.
		{Number: 41, Name: "debugger-loop", State: Complete, Text: "not debugged"},
		// 42: animation without end: pictured at the deadline.
		{Number: 42, Name: "endless-animation", State: Complete, Text: "moving"},
		{Number: 42, Name: "endless-counter", State: Complete, Anomaly: "page.changed"},
		// 43: 100,000 nested frames, an element 5,000 levels deep: capped.
		{Number: 43, Name: "frames-deep", Path: "/43/frames-deep/0", State: Partial, Or: Complete,
			Reasons: append(stuck(), "limit.frames", "limit.foreign", "limit.requests", "request.unanswered", "artefact.missing"), Heavy: true},
		{Number: 43, Name: "frames-many", State: Partial, Or: Complete, Reasons: append(stuck(), "limit.foreign", "limit.height"), Heavy: true},
		// The parser stops nesting at 512 levels; what a script nests deeper
		// ends the renderer as soon as it is laid out.
		{Number: 43, Name: "dom-deep", State: Partial, Or: Failed, Reasons: stuck(), Heavy: true},
		{Number: 43, Name: "dom-deep-parsed", State: Complete, Or: Partial, Reasons: stuck(), Text: "level 5000"},
	}
}

// routeLoad hangs what is no file into mux.
func routeLoad(mux *http.ServeMux) {
	mux.HandleFunc("GET /43/dom-deep-parsed", page("<!doctype html><title>deep</title>"+strings.Repeat("<div>", levels)+"level 5000"))
	mux.HandleFunc("GET /43/frames-deep/{depth}", func(w http.ResponseWriter, r *http.Request) {
		depth, err := strconv.Atoi(r.PathValue("depth"))
		inner := ""
		if err == nil && depth < nesting {
			inner = fmt.Sprintf(`<iframe src="/43/frames-deep/%d"></iframe>`, depth+1)
		}
		write(w, fmt.Sprintf("<!doctype html><title>depth %d</title><p>depth %d</p>%s", depth, depth, inner))
	})
}
