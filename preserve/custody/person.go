package custody

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxWord bounds each text that a person gives, in bytes.
const maxWord = 4096

// A Person is who acts. Name is required, and Licence of those who propose
// and approve a disposal.
type Person struct {
	Name    string `json:"name"`
	Licence string `json:"licence,omitempty"` // of law enforcement
	Account string `json:"account,omitempty"` // of the operating system
}

// same reports whether two persons are one: by licence when both have one.
func (p Person) same(q Person) bool {
	if p.Licence != "" && q.Licence != "" {
		return fold(p.Licence) == fold(q.Licence)
	}
	return fold(p.Name) == fold(q.Name)
}

// sameAccount reports whether two persons may have used one account; of an
// account that is not known, that cannot be ruled out.
func (p Person) sameAccount(q Person) bool {
	return p.Account == "" || q.Account == "" || p.Account == q.Account
}

// fold makes texts equal that a person would read as the same: full-width
// forms (which NFKC has none of), spaces, punctuation and case do not count.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(s))
}

// spoken wants the person and the texts of an act to be usable.
func (a Act) spoken() error {
	if strings.TrimSpace(a.By.Name) == "" || strings.TrimSpace(a.Reason) == "" {
		return fmt.Errorf("%w: a name and a reason are needed", ErrWord)
	}
	if (a.Kind == Proposed || a.Kind == Approved) && strings.TrimSpace(a.By.Licence) == "" {
		return fmt.Errorf("%w: who proposes or approves a disposal has to give a licence", ErrWord)
	}
	return words(a.By.Name, a.By.Licence, a.By.Account, a.Reason, a.Case)
}

// words wants texts that can stand in a document, and in which everything can
// be seen: else two that look the same were not.
func words(texts ...string) error {
	hidden := func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
	}
	for _, t := range texts {
		if len(t) > maxWord || !utf8.ValidString(t) || strings.ContainsFunc(t, hidden) {
			return fmt.Errorf("%w: %.40q", ErrWord, t)
		}
	}
	return nil
}
