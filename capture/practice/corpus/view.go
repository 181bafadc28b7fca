package corpus

import (
	"encoding/json"
	"fmt"
	"strings"
)

// view is what site/page.html is filled with. Addresses in it carry the place
// of the visit, except those that scripts complete.
type view struct {
	Name, Title, Count string
	Styles, Scripts    []string
	Menu               []string
	Heroes             []string
	Icons, Backs       []item
	Cards, Details     []item
	Rows, Late         []item
	Early              []string
	Vue                bool
	List, Facts, Way   string // completed by scripts, like More and Reviews
	More, Reviews      string
	Frame              string
}

// item is one of goods, rows or paragraphs.
type item struct {
	URL, Source       string // Source is the picture as attributes of img
	Text, More, Label string
	Class             string
	Price, Count      int
	Width             int
}

// good is one of goods as scripts get it.
type good struct {
	Name    string `json:"name"`
	Text    string `json:"text"`
	Price   int    `json:"price"`
	Sold    int    `json:"sold"`
	Picture string `json:"picture"`
}

func (b *builder) view(vue string) (*view, error) {
	d := b.design
	v := &view{Name: d.name, Title: b.words.Titles[d.title], Menu: b.words.Menu, Vue: d.vue, Way: "fetch"}
	if d.xhr {
		v.Way = "xhr"
	}
	if !d.vue {
		v.Count = b.count()
	}
	for i := range d.heroes {
		v.Heroes = append(v.Heroes, b.picture(fmt.Sprintf("hero%d", i), false, picture{1280, 420, "image/jpeg"}))
	}
	for i := range d.icons {
		v.Icons = append(v.Icons, item{URL: b.picture(fmt.Sprintf("icon%d", i), false, picture{64, 64, "image/svg+xml"}), Text: b.pick(b.words.Labels)})
	}
	for i := range d.cards {
		v.Cards = append(v.Cards, b.card(i))
	}
	for i := range d.rows {
		it := b.item()
		it.URL = b.picture(fmt.Sprintf("row%d", i), false, picture{56, 56, "image/png"})
		it.More = b.pick(b.words.States)
		v.Rows = append(v.Rows, it)
	}
	for i := range d.details {
		it := b.item()
		it.Source = b.source(fmt.Sprintf("detail%d", i), d.observed, picture{750, 560, "image/jpeg"})
		v.Details = append(v.Details, it)
	}
	b.texts(v)
	var err error
	if err = b.lists(v); err != nil {
		return nil, err
	}
	if err = b.frame(v); err != nil {
		return nil, err
	}
	if v.Styles, err = b.styles(v); err != nil {
		return nil, err
	}
	v.Scripts, err = b.scripts(vue)
	return v, err
}

func (b *builder) pick(from []string) string { return from[b.rng.IntN(len(from))] }

func (b *builder) item() item {
	return item{
		Text: b.pick(b.words.Places) + b.pick(b.words.Kinds) + b.pick(b.words.Goods), More: b.pick(b.words.Sentences) + b.pick(b.words.Sentences),
		Label: b.pick(b.words.Labels), Price: 8 + b.rng.IntN(190), Count: b.rng.IntN(9000), Width: 288,
	}
}

// card is one of the goods in the markup.
func (b *builder) card(i int) item {
	it := b.item()
	p, name := picture{440, 440, "image/jpeg"}, fmt.Sprintf("card%d", i)
	if i < b.design.eager {
		it.Source = fmt.Sprintf("src=%q", b.picture(name, false, p))
		return it
	}
	it.Source = b.source(name, b.design.observed || b.design.mixed && i%2 == 0, p)
	return it
}

// source enters a lazy picture and returns the attributes that load it.
func (b *builder) source(name string, observed bool, p picture) string {
	url := b.picture(name, true, p)
	if observed {
		return fmt.Sprintf("data-src=%q", url)
	}
	return fmt.Sprintf("src=%q loading=\"lazy\"", url)
}

// texts writes the paragraphs: half of them before the goods.
func (b *builder) texts(v *view) {
	paragraph := func() string {
		var s strings.Builder
		for range 4 {
			s.WriteString(b.pick(b.words.Sentences))
		}
		return s.String()
	}
	for range b.design.text / 2 {
		v.Early = append(v.Early, paragraph()+paragraph())
		v.Late = append(v.Late, item{Text: b.pick(b.words.Places) + b.pick(b.words.Goods), More: paragraph() + paragraph()})
	}
}

// lists makes what scripts ask for.
func (b *builder) lists(v *view) (err error) {
	d := b.design
	list := func(name string, n int, p picture) string {
		var goods []good
		for i := range n {
			it := b.item()
			goods = append(goods, good{Name: it.Text, Text: it.More, Price: it.Price, Sold: it.Count,
				Picture: bare(b.picture(fmt.Sprintf("%s%d", name, i), true, p))})
		}
		body, merr := json.Marshal(goods)
		if err == nil {
			err = merr
		}
		return bare(b.add(answerHost, "/"+d.name+"/"+name+".json", "application/json", true, body))
	}
	if d.fetched > 0 {
		v.List = list("goods", d.fetched, picture{440, 440, "image/jpeg"})
	}
	if d.more > 0 {
		v.More = list("more", d.more, picture{440, 440, "image/jpeg"})
	}
	if d.reviews > 0 {
		v.Reviews = list("reviews", d.reviews, picture{64, 64, "image/png"})
	}
	if d.vue {
		body, merr := json.Marshal(b.words.Sentences)
		if merr != nil {
			return merr
		}
		v.Facts = bare(b.add(answerHost, "/"+d.name+"/facts.json", "application/json", true, body))
	}
	return err
}

// frame makes the document in the frame, on a host of its own.
func (b *builder) frame(v *view) error {
	if !b.design.frame {
		return nil
	}
	css := []byte("body { font: 15px sans-serif; margin: 12px; } img { border: 1px solid #999; margin: 4px; }")
	in := struct {
		Style    string
		Pictures []string
	}{Style: b.add(frameHost, "/frame.css", "text/css", false, css)}
	for i := range 5 {
		in.Pictures = append(in.Pictures, b.picture(fmt.Sprintf("frame%d", i), false, picture{360, 240, "image/png"}))
	}
	document, err := render("site/frame.html", in)
	if err != nil {
		return err
	}
	v.Frame = b.add(frameHost, "/"+b.design.name+"/", "text/html; charset=utf-8", false, document)
	return nil
}

// styles makes the style sheets: the shop's, the framework's and the page's,
// which brings fonts and backgrounds.
func (b *builder) styles(v *view) ([]string, error) {
	shop, err := site.ReadFile("site/shop.css")
	if err != nil {
		return nil, err
	}
	var own strings.Builder
	own.WriteString(b.fonts())
	for i := range b.design.backs {
		url := b.picture(fmt.Sprintf("back%d", i), true, picture{560, 240, "image/png"})
		class := fmt.Sprintf("back%d", i)
		fmt.Fprintf(&own, ".%s { background-image: linear-gradient(rgba(0, 0, 0, .2), rgba(0, 0, 0, .5)), url(%q); }\n", class, url)
		v.Backs = append(v.Backs, item{Class: class, Text: b.pick(b.words.Kinds) + b.pick(b.words.Goods), More: b.pick(b.words.Sentences)})
	}
	return []string{
		b.add(styleHost, "/framework.css", "text/css", false, utilities()),
		b.add(styleHost, "/shop.css", "text/css", false, shop),
		b.add(styleHost, "/"+b.design.name+".css", "text/css", false, []byte(own.String())),
	}, nil
}
