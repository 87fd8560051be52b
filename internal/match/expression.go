package match

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// An expression is ^(?s:text)$ and its shapes: see the package comment.
type expression struct {
	exact  bool // values of these shapes match; no others do in any case
	folded bool // it is one string whatever the case
	any    bool // every value matches but perhaps the empty one
	values []string
	globs  []shape // those with gaps

	set  map[string]struct{} // of values, if they are many
	tops globIndex           // of globs, if they are many

	sorted   func() []string // values, each once
	prefixes func() []string
	decide   func(value string) bool // whether a value of one of the shapes matches, if not exact
}

// From this number on, values and globs are looked up instead of tried in turn.
const (
	manyValues = 12
	manyGlobs  = 4
)

// parse reads an expression that package labels has accepted.
func parse(text string) (*expression, error) {
	if values, ok := splitLiterals(text); ok {
		e := &expression{exact: true, values: values}
		e.index()
		return e, nil
	}
	wrapped := "^(?s:" + text + ")$"
	re, err := syntax.Parse(wrapped, syntax.Perl)
	if err != nil {
		return nil, err
	}
	c := coverer{maxBytes: 4*len(text) + minCoverBytes}
	all := c.of(re, true, true)
	e := &expression{exact: all.exact}
	for _, s := range all.shapes {
		if len(s.gaps) == 0 {
			e.values = append(e.values, s.literals[0])
			continue
		}
		e.globs = append(e.globs, s)
		e.any = e.any || e.exact && s.isAny()
	}
	if folded, ok := foldedLiteral(re); ok {
		e.folded = true
		e.decide = func(value string) bool { return strings.EqualFold(value, folded) }
	} else {
		// It fails only if the text cannot be parsed, which it was.
		compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(wrapped) })
		e.decide = func(value string) bool { return compiled().MatchString(value) }
	}
	e.index()
	return e, nil
}

// foldedLiteral returns the string that an expression matches as a whole and
// whatever the case. regexp takes two runes for equal then if one is in the
// orbit of the other, as strings.EqualFold does, which reads bytes that are no
// UTF-8 as U+FFFD: there is none in the literal.
func foldedLiteral(re *syntax.Regexp) (string, bool) {
	if re.Op != syntax.OpConcat || len(re.Sub) != 3 || re.Sub[0].Op != syntax.OpBeginText || re.Sub[2].Op != syntax.OpEndText {
		return "", false
	}
	l := re.Sub[1]
	for l.Op == syntax.OpCapture {
		l = l.Sub[0]
	}
	if l.Op != syntax.OpLiteral || l.Flags&syntax.FoldCase == 0 || slices.ContainsFunc(l.Rune, func(r rune) bool { return !isPlain(r) }) {
		return "", false
	}
	return string(l.Rune), true
}

// index makes what is looked up.
func (e *expression) index() {
	if len(e.values) >= manyValues {
		e.set = make(map[string]struct{}, len(e.values))
		for _, v := range e.values {
			e.set[v] = struct{}{}
		}
	}
	if len(e.globs) >= manyGlobs {
		e.tops = newGlobIndex(e.globs)
	}
	// Sorted values are not always needed, and sorting takes longer than the rest.
	e.sorted = sync.OnceValue(func() []string {
		sorted := slices.Clone(e.values)
		slices.Sort(sorted)
		return slices.Compact(sorted)
	})
	e.prefixes = sync.OnceValue(func() []string {
		tops := slices.Clone(e.values)
		for i := range e.globs {
			tops = append(tops, e.globs[i].literals[0])
		}
		return shortest(tops)
	})
}

// shortest returns the strings that begin with no other, sorted, or nil if one
// of them is empty.
func shortest(all []string) []string {
	slices.Sort(all)
	if len(all) == 0 || all[0] == "" {
		return nil
	}
	// Strings that begin with p follow p when sorted, without others between.
	kept := all[:1]
	for _, p := range all[1:] {
		if !strings.HasPrefix(p, kept[len(kept)-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}

func (e *expression) matches(value string) bool {
	ok, sure := e.quick(value)
	return ok || !sure && e.decide(value)
}

// quick reports whether a value matches, and whether that is sure.
func (e *expression) quick(value string) (ok, sure bool) {
	switch {
	case e.folded:
		return e.decide(value), true
	case !e.covers(value):
		return false, true
	}
	return e.exact, e.exact
}

// covers reports whether a value has one of the shapes.
func (e *expression) covers(value string) bool {
	if e.set != nil {
		if _, ok := e.set[value]; ok {
			return true
		}
	} else if slices.Contains(e.values, value) {
		return true
	}
	if e.tops.byTop != nil {
		return e.tops.matches(value)
	}
	for i := range e.globs {
		if e.globs[i].matches(value) {
			return true
		}
	}
	return false
}

// splitLiterals returns the alternatives of an expression that is nothing but
// literals between bars, with parentheses around the whole of it or not, as
// dashboards write lists of values.
//
// A byte that is none of \.+*?()|[]{}^$ stands for itself, and so does an ASCII
// character behind a backslash that is neither a letter nor a digit; bars
// outside of parentheses bind weakest, and a group around the whole changes
// nothing. Alternatives of literals therefore match these very strings, one
// each. That is not so of U+FFFD, which RE2 takes bytes for that are no UTF-8:
// expressions with it are left to others. Text that is no UTF-8 is no RE2; in
// Prometheus it stands for itself if it has no special character, and does so
// here.
func splitLiterals(text string) (values []string, ok bool) {
	if utf8.ValidString(text) && strings.ContainsRune(text, utf8.RuneError) {
		return nil, false
	}
	if n := len(text); n > 1 && text[0] == '(' && text[n-1] == ')' {
		text = text[1 : n-1] // a \ before the ) is found below to escape nothing
	}
	if !strings.ContainsAny(text, `\.+*?()[]{}^$`) {
		return strings.Split(text, "|"), true
	}
	// Those with escapes are copied, together.
	plain := make([]byte, 0, len(text))
	ends := make([]int, 0, strings.Count(text, "|")+1)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '|':
			ends = append(ends, len(plain))
			continue
		case strings.IndexByte(`.+*?()[]{}^$`, c) >= 0:
			return nil, false
		case c == '\\':
			if i++; i == len(text) || text[i] >= utf8.RuneSelf || isAlphanumeric(text[i]) {
				return nil, false
			}
		}
		plain = append(plain, text[i])
	}
	rest, from := string(plain), 0
	values = make([]string, 0, len(ends)+1)
	for _, end := range append(ends, len(plain)) {
		values, from = append(values, rest[from:end]), end
	}
	return values, true
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
