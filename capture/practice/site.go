package practice

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"path"
)

// files holds every word and picture of the shop; the Go code has none.
//
//go:embed site
var files embed.FS

// owner is the invented business behind the shop (site/shop.json).
type owner struct {
	Shop, Name, Code, Type, Head, Address string
	Capital, Founded, Term, Scope         string
	Authority, Food, ICP, Police          string
	Phone, Mail, Hours                    string
}

// good is one article (site/goods.json). Prices are yuan as printed.
type good struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Pic     string   `json:"pic"`
	Kind    string   `json:"kind"`
	Price   string   `json:"price"`
	Was     string   `json:"was"`
	Unit    string   `json:"unit"`
	Stock   int      `json:"stock"`
	Sold    int      `json:"sold"`
	Origin  string   `json:"origin"`
	Grade   string   `json:"grade"`
	Note    string   `json:"note"`
	Reviews []review `json:"reviews"`
}

type review struct {
	Who  string `json:"who"`
	Text string `json:"text"`
}

// tile is a good as it stands in a grid. Eager pictures load with the page,
// the others when they come into view.
type tile struct {
	good
	Eager bool
}

// view is what the page templates are given.
type view struct {
	Title string
	Shop  owner
	Goods []tile
	One   good
	More  []tile
}

// site is the shop as prepared answers by path.
type site struct {
	paths   map[string]answer
	missing answer
}

const (
	html    = "text/html; charset=utf-8"
	eager   = 4 // pictures in the first row of the grid
	offered = 4 // articles in the recommendation block and below an article
)

// mediaType names the type of a file of the site by its ending; the system's
// own table is not used because it differs between machines.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return html
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".json":
		return "application/json"
	case ".csv":
		return "text/csv; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	default:
		return "image/jpeg"
	}
}

// build prepares every ordinary page and file of the shop.
func build() (*site, error) {
	var shop owner
	var goods []good
	if err := load("shop.json", &shop); err != nil {
		return nil, err
	}
	if err := load("goods.json", &goods); err != nil {
		return nil, err
	}
	s := &site{paths: map[string]answer{}}
	for _, dir := range []string{"pic", "static"} {
		if err := s.addDir(dir); err != nil {
			return nil, err
		}
	}
	for at, name := range map[string]string{"/faulty": "faulty.html", "/faulty/item": "faulty-item.html"} {
		if err := s.addFile(at, name, html); err != nil {
			return nil, err
		}
	}
	// The old page declares its encoding in a meta element only.
	if err := s.addFile("/gbk", "gbk.html", "text/html"); err != nil {
		return nil, err
	}
	if err := s.addFile("missing", "missing.html", html); err != nil {
		return nil, err
	}
	s.missing = s.paths["missing"]
	delete(s.paths, "missing")
	if err := s.addPages(shop, goods); err != nil {
		return nil, err
	}
	return s, s.addLate(goods)
}

// load reads a JSON file of the site into v; unknown fields are a mistake.
func load(name string, v any) error {
	b, err := files.ReadFile("site/" + name)
	if err != nil {
		return fmt.Errorf("reading the site: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}

// addPages renders the templates that tell about the shop and its goods.
func (s *site) addPages(shop owner, goods []good) error {
	t, err := template.ParseFS(files, "site/layout.html", "site/home.html", "site/product.html",
		"site/licence.html", "site/returns.html", "site/terms.html")
	if err != nil {
		return fmt.Errorf("reading the pages: %w", err)
	}
	home := view{Shop: shop, Title: shop.Name}
	for i, g := range goods {
		home.Goods = append(home.Goods, tile{good: g, Eager: i < eager})
	}
	var titles map[string]string
	if err := load("titles.json", &titles); err != nil {
		return err
	}
	for _, name := range []string{"home", "licence", "returns", "terms"} {
		v := home
		at := "/" + name
		if name == "home" {
			at = "/{$}"
		}
		v.Title = titles[name]
		if err := s.addPage(t, at, name, v); err != nil {
			return err
		}
	}
	for i, g := range goods {
		v := view{Shop: shop, Title: g.Name, One: g}
		for k := range offered {
			v.More = append(v.More, tile{good: goods[(i+k+1)%len(goods)]})
		}
		if err := s.addPage(t, "/product/"+g.ID, "product", v); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) addPage(t *template.Template, at, name string, v view) error {
	var buf bytes.Buffer
	if err := t.ExecuteTemplate(&buf, name+".html", v); err != nil {
		return fmt.Errorf("rendering %s: %w", at, err)
	}
	return s.add(at, html, buf.Bytes())
}

// addLate prepares the list behind the recommendation block: goods from
// different rows of the grid.
func (s *site) addLate(goods []good) error {
	type item struct {
		ID    string `json:"id"`
		Name  string `json:"name"`
		Pic   string `json:"pic"`
		Price string `json:"price"`
	}
	var list []item
	for k := range offered {
		g := goods[(1+k*(offered+1))%len(goods)]
		list = append(list, item{g.ID, g.Name, g.Pic, g.Price})
	}
	b, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("writing the recommendations: %w", err)
	}
	return s.add("/api/late.json", mediaType(".json"), b)
}

func (s *site) addDir(dir string) error {
	list, err := files.ReadDir("site/" + dir)
	if err != nil {
		return fmt.Errorf("reading the site: %w", err)
	}
	for _, e := range list {
		name := dir + "/" + e.Name()
		if err := s.addFile("/"+name, name, mediaType(name)); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) addFile(at, name, kind string) error {
	b, err := files.ReadFile("site/" + name)
	if err != nil {
		return fmt.Errorf("reading the site: %w", err)
	}
	return s.add(at, kind, b)
}

func (s *site) add(at, kind string, body []byte) error {
	a, err := newAnswer(kind, body)
	s.paths[at] = a
	return err
}

// route hangs the prepared answers, the two redirects and the echo into mux.
func (s *site) route(mux *http.ServeMux) {
	for at, a := range s.paths {
		mux.Handle("GET "+at, a)
	}
	mux.Handle("GET /redirect", http.RedirectHandler("/redirect/moved", http.StatusFound))
	mux.Handle("GET /redirect/moved", http.RedirectHandler("/", http.StatusMovedPermanently))
	mux.HandleFunc("POST /api/echo", echo)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.missing.headers(w.Header())
		s.missing.body(w, r, http.StatusNotFound)
	})
}

// echo answers a POST with the length and SHA-256 of what was sent (1 MiB at
// most), so that a test can see that the body arrived unchanged.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "body not read", http.StatusBadRequest)
		return
	}
	sum := sha256.Sum256(b)
	w.Header().Set("Content-Type", mediaType(".json"))
	w.Header().Set("Cache-Control", "no-store")
	_, _ = fmt.Fprintf(w, "{\"length\":%d,\"sha256\":%q}\n", len(b), hex.EncodeToString(sum[:]))
}
