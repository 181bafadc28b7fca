package corpus

// A design says what a page is made of. The numbers are chosen so that the
// corpus as a whole is like what was measured of real shops: some 60 responses
// and 1.8 MB a page, 2,000 to 20,000 pixels high.
type design struct {
	name, title string
	brand       bool // served by the second shop
	fonts       int

	heroes   int // wide pictures at the top
	icons    int // vector drawings
	backs    int // pictures that the style sheet of the page asks for
	cards    int // goods in the markup
	eager    int // of them, with a picture that is not lazy
	observed bool
	mixed    bool // every other lazy picture by an observer, the rest by loading=lazy
	fetched  int  // goods that a script asks for after loading
	xhr      bool // by XMLHttpRequest instead of fetch
	more     int  // goods that a second request brings after the first
	details  int  // large pictures
	rows     int  // of a table, each with a small picture
	text     int  // paragraphs
	reviews  int
	frame    bool
	height   int // pixels at least
	vue      bool
}

// designs returns the pages in the order in which they are visited: heavy and
// light ones in turn.
func designs() []design {
	return []design{
		{name: "home", title: "home", heroes: 3, icons: 12, cards: 24, eager: 8, fetched: 12, fonts: 2, text: 4, height: 4700},
		{name: "article", title: "article", brand: true, cards: 8, eager: 4, text: 14, rows: 6, fonts: 4, icons: 4, height: 3000},
		{name: "long", title: "list", cards: 120, mixed: true, icons: 4, fonts: 2, height: 19000},
		{name: "spa", title: "app", vue: true, fetched: 36, icons: 6, fonts: 1, height: 4100},
		{name: "list", title: "list", icons: 8, cards: 44, eager: 4, observed: true, fonts: 2, text: 1, height: 4700},
		{name: "orders", title: "orders", rows: 64, icons: 4, fonts: 1, text: 2, height: 4700},
		{name: "product", title: "product", heroes: 1, details: 8, reviews: 14, observed: true, cards: 4, eager: 4, fonts: 2, text: 6, height: 8000},
		{name: "front", title: "front", brand: true, heroes: 1, cards: 28, eager: 6, frame: true, icons: 6, fonts: 2, text: 3, height: 4100},
		{name: "festival", title: "festival", backs: 14, icons: 16, cards: 24, eager: 4, observed: true, fonts: 2, height: 4300},
		{name: "search", title: "search", icons: 6, cards: 20, eager: 8, fetched: 12, xhr: true, more: 12, fonts: 1, height: 4700},
		{name: "brand", title: "brand", brand: true, heroes: 4, backs: 4, cards: 20, details: 2, fonts: 2, text: 8, height: 6200},
	}
}
