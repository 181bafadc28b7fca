package corpus

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"text/template"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/goregular"
)

//go:embed site
var site embed.FS

// words are what pages are written with, from site/words.json.
type words struct {
	Titles    map[string]string `json:"titles"`
	Goods     []string          `json:"goods"`
	Kinds     []string          `json:"kinds"`
	Places    []string          `json:"places"`
	Sentences []string          `json:"sentences"`
	Labels    []string          `json:"labels"`
	Menu      []string          `json:"menu"`
	States    []string          `json:"states"`
}

// A builder makes one page and what belongs to it.
type builder struct {
	hosts    []string
	contents map[string]*content
	words    words
	rng      *rand.Rand
	design   design
	page     Page
	drawn    int                 // pictures so far; they go to the picture hosts in turn
	pictures map[string]*picture // by host:port and path; drawn at the end, all pages at once
}

// build makes all pages and fills contents.
func build(hosts []string, vue string, contents map[string]*content) ([]Page, error) {
	text, err := site.ReadFile("site/words.json")
	if err != nil {
		return nil, fmt.Errorf("reading the corpus's words: %w", err)
	}
	var w words
	if err := json.Unmarshal(text, &w); err != nil {
		return nil, fmt.Errorf("reading the corpus's words: %w", err)
	}
	var pages []Page
	pictures := map[string]*picture{}
	for _, d := range designs() {
		if d.vue && vue == "" {
			continue
		}
		sum := fnv.New64a()
		_, _ = sum.Write([]byte(d.name))
		b := &builder{hosts: hosts, contents: contents, words: w, design: d, pictures: pictures,
			rng: rand.New(rand.NewPCG(sum.Sum64(), 2)), page: Page{Name: d.name, Height: d.height}}
		if err := b.build(vue); err != nil {
			return nil, fmt.Errorf("making page %s of the corpus: %w", d.name, err)
		}
		pages = append(pages, b.page)
	}
	if err := draw(pictures, contents); err != nil {
		return nil, err
	}
	for _, p := range pages {
		for i, r := range p.Resources {
			p.Resources[i].Bytes = len(contents[strings.TrimPrefix(r.URL, "https://")].plain)
		}
	}
	return pages, nil
}

// draw draws the pictures on all cores. The seed is the path, not the host
// with its port, so that pictures are the same in every run.
func draw(pictures map[string]*picture, contents map[string]*content) error {
	type job struct {
		at string
		p  *picture
	}
	jobs := make(chan job)
	var done sync.WaitGroup
	var mu sync.Mutex
	var first error
	for range runtime.GOMAXPROCS(0) {
		done.Go(func() {
			for j := range jobs {
				_, path, _ := strings.Cut(j.at, "/")
				body, err := j.p.draw(path)
				c := newContent(j.p.kind, body)
				mu.Lock()
				if err != nil && first == nil {
					first = err
				}
				contents[j.at] = c
				mu.Unlock()
			}
		})
	}
	for at, p := range pictures {
		jobs <- job{at, p}
	}
	close(jobs)
	done.Wait()
	return first
}

// list enters an address as one that belongs to the page and returns it as
// it stands in contents, for the visit to be put in.
func (b *builder) list(host int, path, kind string, lazy bool) string {
	address := "https://" + b.hosts[host] + path
	b.page.Resources = append(b.page.Resources, Resource{URL: address, Type: kind, Lazy: lazy})
	return address + "?" + visitKey + "=" + visitPlace
}

// add enters an address with its content. What pages share is made once.
func (b *builder) add(host int, path, kind string, lazy bool, body []byte) string {
	at := b.hosts[host] + path
	if b.contents[at] == nil {
		b.contents[at] = newContent(kind, body)
	}
	return b.list(host, path, kind, lazy)
}

// picture enters a picture that is drawn later.
func (b *builder) picture(name string, lazy bool, p picture) string {
	suffix := map[string]string{"image/jpeg": ".jpg", "image/png": ".png", "image/svg+xml": ".svg"}[p.kind]
	host := pictureHost + b.drawn%4
	b.drawn++
	path := "/" + b.design.name + "/" + name + suffix
	b.pictures[b.hosts[host]+path] = &p
	return b.list(host, path, p.kind, lazy)
}

// bare returns an address without the visit, for scripts that add it.
func bare(address string) string { return strings.TrimSuffix(address, "?"+visitKey+"="+visitPlace) }

// build makes the page's document after everything that it names.
func (b *builder) build(vue string) error {
	host := shopHost
	if b.design.brand {
		host = brandHost
	}
	v, err := b.view(vue)
	if err != nil {
		return err
	}
	document, err := render("site/page.html", v)
	if err != nil {
		return err
	}
	path := "/" + b.design.name + "/"
	b.page.URL = bare(b.add(host, path, "text/html; charset=utf-8", false, document))
	if !b.design.vue {
		b.add(host, "/api/visit", "application/json", true, []byte(`{"ok":true}`))
	}
	return nil
}

// count enters the address that counts visits and answers nothing.
func (b *builder) count() string {
	path := "/" + b.design.name + "/count"
	url := b.add(countHost, path, "text/plain", true, nil)
	b.contents[b.hosts[countHost]+path].status = http.StatusNoContent
	return bare(url)
}

func render(name string, data any) ([]byte, error) {
	t, err := template.ParseFS(site, name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var buf bytes.Buffer
	if err := t.Execute(&buf, data); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	return buf.Bytes(), nil
}

// fonts returns the font faces of the page and lists their files.
func (b *builder) fonts() string {
	var css strings.Builder
	for i, ttf := range [][]byte{goregular.TTF, gobold.TTF, goitalic.TTF, gomedium.TTF}[:b.design.fonts] {
		url := b.add(fontHost, fmt.Sprintf("/web%d.ttf", i), "font/ttf", true, ttf)
		fmt.Fprintf(&css, "@font-face { font-family: Web%d; src: url(%q); font-display: swap; }\n", i, url)
	}
	return css.String()
}

// scripts returns the addresses of the page's scripts in order.
func (b *builder) scripts(vue string) ([]string, error) {
	names := []string{"shop.js"}
	out := []string{b.add(scriptHost, "/catalogue.js", "text/javascript", false, catalogue())}
	if b.design.vue {
		names = []string{"app.js"}
		body, err := os.ReadFile(vue)
		if err != nil {
			return nil, fmt.Errorf("reading Vue: %w", err)
		}
		out = append(out, b.add(scriptHost, "/vue.js", "text/javascript", false, body))
	}
	for _, name := range names {
		body, err := site.ReadFile("site/" + name)
		if err != nil {
			return nil, err
		}
		out = append(out, b.add(scriptHost, "/"+name, "text/javascript", false, body))
	}
	return out, nil
}

// catalogue is a script as large as the libraries that shops load, a good
// part of which is run: the sum of many small functions.
func catalogue() []byte {
	rng := rand.New(rand.NewPCG(3, 3))
	var js strings.Builder
	js.WriteString("window.catalogue = (() => {\n\"use strict\";\nconst parts = [];\n")
	for i := range 900 {
		fmt.Fprintf(&js, "parts.push(function part%d(seed) { let sum = seed ^ %d; for (let i = 0; i < %d; i++) { sum = (sum * %d + i) %% 1000003; } return { id: \"part%d\", sum, label: \"p\" + sum.toString(36) }; });\n",
			i, rng.IntN(1<<20), 20+rng.IntN(60), 31+rng.IntN(900), i)
	}
	js.WriteString("return () => parts.map((p, i) => p(i)).reduce((a, b) => (a * 31 + b.sum + b.label.length) % 1000003, 7);\n})();\n")
	return []byte(js.String())
}

// utilities is a style sheet of the many small rules that frameworks bring.
func utilities() []byte {
	var css strings.Builder
	for i := range 600 {
		fmt.Fprintf(&css, ".m-%d { margin: %dpx; } .p-%d { padding: %dpx %dpx; } .w-%d:hover { width: %d%%; }\n", i, i%64, i, i%48, i%32, i, i%100)
	}
	return []byte(css.String())
}
