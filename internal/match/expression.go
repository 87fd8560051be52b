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
	exact  bool // all values with one of the shapes match; values with none never do
	folded bool // it is one string, ignoring case
	any    bool // every value matches, except possibly the empty one
	values []string
	globs  []shape // those with gaps

	set           map[string]struct{} // of values; nil if there are few
	globsByPrefix globIndex           // of globs; empty if there are few

	sorted   func() []string // values without duplicates
	prefixes func() []string
	decide   func(value string) bool // whether a value of one of the shapes matches, if not exact
}

// The numbers of values and globs from which on they are looked up in a map
// instead of tried in turn.
const (
	minIndexedValues = 12
	minIndexedGlobs  = 4
)

// parse parses an expression that package labels has accepted.
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
		// MustCompile cannot panic: the text was parsed above.
		compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(wrapped) })
		e.decide = func(value string) bool { return compiled().MatchString(value) }
	}
	e.index()
	return e, nil
}

// foldedLiteral returns the literal of an expression that is one literal, matched
// as a whole and ignoring case. regexp then treats two runes as equal if one is in
// the case-folding orbit of the other, as strings.EqualFold does. EqualFold reads
// bytes that are not UTF-8 as U+FFFD, which the literal does not contain.
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

// index builds the lookup tables and sets up the lazy lists.
func (e *expression) index() {
	if len(e.values) >= minIndexedValues {
		e.set = make(map[string]struct{}, len(e.values))
		for _, v := range e.values {
			e.set[v] = struct{}{}
		}
	}
	if len(e.globs) >= minIndexedGlobs {
		e.globsByPrefix = newGlobIndex(e.globs)
	}
	// Sorted values are not always needed, and sorting takes longer than the rest.
	e.sorted = sync.OnceValue(func() []string {
		sorted := slices.Clone(e.values)
		slices.Sort(sorted)
		return slices.Compact(sorted)
	})
	e.prefixes = sync.OnceValue(func() []string {
		prefixes := slices.Clone(e.values)
		for i := range e.globs {
			prefixes = append(prefixes, e.globs[i].literals[0])
		}
		return shortest(prefixes)
	})
}

// shortest returns, sorted, the strings that have no other of them as a prefix,
// or nil if one of them is empty.
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

// quick reports whether a value matches; sure is false if regexp must decide.
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
	if e.globsByPrefix.byPrefix != nil {
		return e.globsByPrefix.matches(value)
	}
	for i := range e.globs {
		if e.globs[i].matches(value) {
			return true
		}
	}
	return false
}

// splitLiterals returns the alternatives of an expression that consists only of
// literals separated by bars, optionally in parentheses as a whole, which is how
// dashboards write lists of values.
//
// A byte other than \.+*?()|[]{}^$ stands for itself, and so does an ASCII
// character after a backslash if it is neither a letter nor a digit; bars
// outside parentheses bind weakest, and a group around the whole changes
// nothing. So each alternative matches exactly its own string. The exception is
// U+FFFD, which in RE2 also matches bytes that are not UTF-8: expressions with it
// are not split. Text that is not UTF-8 is not valid RE2; Prometheus takes it
// literally if it has no special character, and so does splitLiterals.
func splitLiterals(text string) (values []string, ok bool) {
	if utf8.ValidString(text) && strings.ContainsRune(text, utf8.RuneError) {
		return nil, false
	}
	if n := len(text); n > 1 && text[0] == '(' && text[n-1] == ')' {
		text = text[1 : n-1] // a \ before the ) is rejected below: it escapes nothing
	}
	if !strings.ContainsAny(text, `\.+*?()[]{}^$`) {
		return strings.Split(text, "|"), true
	}
	// With escapes, the values are copied into one string.
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
