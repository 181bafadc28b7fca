// Package words holds every sentence that people read, in Chinese and in
// English, and looks them up by stable keys.
//
// Life of a sentence: code names a key, the catalogue has its text with
// placeholders, T fills them in. Keys that end in a code of another package
// have these prefixes: state, reason, journal, file, method, check, lock,
// checkcode, outcome, source, moment, target, gate, cut, auth, level, message,
// artefact, numeral, cli, page.
//
// Trust: placeholders are filled with what pages said; a text is never
// interpreted as a template or as markup.
package words

import (
	"embed"
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed zh-CN.json en.json
var catalogues embed.FS

// Languages lists the languages there are, the default one first.
func Languages() []string { return []string{"zh-CN", "en"} }

// A Catalogue is the words of one language. It is safe for concurrent use.
type Catalogue struct {
	lang      string
	localizer *i18n.Localizer
	holes     map[string][]string // key → names of its placeholders
}

// New returns the catalogue for a language tag (BCP 47) such as zh-CN, zh
// or en-GB. A language that no catalogue serves is an error.
func New(lang string) (*Catalogue, error) {
	tag, err := language.Parse(lang)
	if err != nil {
		return nil, fmt.Errorf("choosing language %q: %w", lang, err)
	}
	var served []language.Tag
	for _, l := range Languages() {
		served = append(served, language.MustParse(l))
	}
	_, i, sure := language.NewMatcher(served).Match(tag)
	if sure < language.High {
		return nil, fmt.Errorf("choosing language %q: there are %v", lang, Languages())
	}
	name := Languages()[i]
	bundle := i18n.NewBundle(served[i])
	file, err := bundle.LoadMessageFileFS(catalogues, name+".json")
	if err != nil {
		return nil, fmt.Errorf("reading words of %s: %w", name, err)
	}
	c := &Catalogue{lang: name, localizer: i18n.NewLocalizer(bundle, name), holes: map[string][]string{}}
	for _, m := range file.Messages {
		c.holes[m.ID] = placeholders(m.Other)
	}
	return c, nil
}

// Lang returns the catalogue's language tag.
func (c *Catalogue) Lang() string { return c.lang }

// Has reports whether there is a sentence for key.
func (c *Catalogue) Has(key string) bool {
	_, ok := c.holes[key]
	return ok
}

// Texts returns the sentences whose keys begin with one of the prefixes, with
// their placeholders as they stand in the catalogue, for a page that fills
// them in itself.
func (c *Catalogue) Texts(prefixes ...string) map[string]string {
	out := map[string]string{}
	for key, names := range c.holes {
		for _, p := range prefixes {
			if !strings.HasPrefix(key, p) {
				continue
			}
			fill := map[string]any{}
			for _, name := range names {
				fill[name] = "{{." + name + "}}"
			}
			out[key] = c.T(key, fill)
		}
	}
	return out
}

// T returns the sentence for key with its placeholders filled from data. A
// placeholder without a value says "not recorded". A key without a sentence
// is returned as "[key]", visibly.
func (c *Catalogue) T(key string, data ...map[string]any) string {
	names, ok := c.holes[key]
	if !ok {
		return "[" + key + "]"
	}
	fill := make(map[string]any, len(names))
	for _, name := range names {
		fill[name] = nil
		for _, d := range data {
			if v, ok := d[name]; ok {
				fill[name] = whole(v)
			}
		}
		if fill[name] == nil || fill[name] == "" {
			fill[name] = c.T("value.absent")
		}
	}
	s, err := c.localizer.Localize(&i18n.LocalizeConfig{MessageID: key, TemplateData: fill})
	if err != nil {
		return "[" + key + "]"
	}
	return s
}

// whole turns a floating-point number without a fraction, as JSON decoding
// gives it, into an integer, which prints without an exponent.
func whole(v any) any {
	if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return v
}

// placeholders returns the names in {{.name}} of a text.
func placeholders(text string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`\{\{\s*\.([A-Za-z0-9_]+)\s*\}\}`).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}
