package match

import (
	"regexp/syntax"
	"unicode"
	"unicode/utf8"
)

// A cover is a list of shapes one of which every string has that an expression
// matches. If it is exact the expression matches every string with one of the
// shapes, too.
type cover struct {
	shapes []shape
	exact  bool
}

// Bounds of a cover.
const (
	// maxProduct bounds how many shapes two exact parts make together: [a-z][0-9]
	// has 260. maxFilters bounds it where they only save asking regexp.
	maxProduct = 512
	maxFilters = 32
	// minCoverBytes is how many bytes of literals a cover may have beyond what
	// the text has itself, some times over.
	minCoverBytes = 32 << 10
)

var (
	empty = shape{literals: []string{""}}
	// Of any characters, and of one at least.
	anything  = shape{literals: []string{"", ""}, gaps: []int{0}}
	something = shape{literals: []string{"", ""}, gaps: []int{1}}
)

// coverer makes covers. What would exceed its bounds is covered by anything.
type coverer struct {
	maxBytes int
}

// of returns a cover of an expression. atStart says that whatever it matches
// begins at the beginning of the value, atEnd that it ends at its end.
func (c *coverer) of(re *syntax.Regexp, atStart, atEnd bool) cover {
	switch re.Op {
	case syntax.OpNoMatch:
		return cover{exact: true}
	case syntax.OpEmptyMatch:
		return cover{[]shape{empty}, true}

	// Assertions match the empty string, or nothing. Those of a beginning or an
	// end always hold there.
	case syntax.OpBeginText, syntax.OpBeginLine:
		return cover{[]shape{empty}, atStart}
	case syntax.OpEndText, syntax.OpEndLine:
		return cover{[]shape{empty}, atEnd}
	case syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return cover{[]shape{empty}, false}

	case syntax.OpLiteral:
		return c.literal(re)
	case syntax.OpCharClass:
		return class(re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return cover{[]shape{something}, false} // at most one character, which no shape says

	// A group matches what is in it.
	case syntax.OpCapture:
		return c.of(re.Sub[0], atStart, atEnd)
	case syntax.OpStar:
		return cover{[]shape{anything}, re.Sub[0].Op == syntax.OpAnyChar}
	case syntax.OpPlus:
		if re.Sub[0].Op == syntax.OpAnyChar {
			return cover{[]shape{something}, true}
		}
		return c.repeated(re.Sub[0], atStart)
	case syntax.OpRepeat:
		if re.Min > 0 {
			return c.repeated(re.Sub[0], atStart)
		}
	case syntax.OpQuest:
		sub := c.of(re.Sub[0], atStart, atEnd)
		return c.union(sub, cover{[]shape{empty}, true})
	case syntax.OpAlternate:
		all := cover{exact: true}
		for _, sub := range re.Sub {
			all = c.join(all, c.of(sub, atStart, atEnd))
		}
		return c.bound(all)
	case syntax.OpConcat:
		return c.concat(re.Sub, atStart, atEnd)
	}
	return cover{[]shape{anything}, false}
}

// repeated covers what begins with one match of sub.
func (c *coverer) repeated(sub *syntax.Regexp, atStart bool) cover {
	return c.product(c.of(sub, atStart, false), cover{[]shape{anything}, false})
}

// concat covers what matches all of subs one behind the other. The first of them
// begins where the whole does, the last ends where it does, and those before
// which, or behind which, there are only others that match no more than the
// empty string do so, too.
func (c *coverer) concat(subs []*syntax.Regexp, atStart, atEnd bool) cover {
	last := len(subs) // from here on at the end
	for last > 0 && (last == len(subs) || isZeroWidth(subs[last])) {
		last--
	}
	all := cover{[]shape{empty}, true}
	for i, sub := range subs {
		all = c.product(all, c.of(sub, atStart, atEnd && i >= last))
		atStart = atStart && isZeroWidth(sub)
	}
	return all
}

func isZeroWidth(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpBeginLine, syntax.OpEndText, syntax.OpEndLine,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return false
}

// isPlain reports whether a rune is matched by its encoding alone: U+FFFD is
// matched by bytes that are no UTF-8, too, and surrogates have no encoding.
func isPlain(r rune) bool { return utf8.ValidRune(r) && r != utf8.RuneError }

// literal covers a string, or, if case does not matter, all strings of which
// each rune is in the orbit of the literal's: that is how regexp compares them.
func (c *coverer) literal(re *syntax.Regexp) cover {
	for _, r := range re.Rune {
		if !isPlain(r) {
			return cover{[]shape{anything}, false}
		}
	}
	if re.Flags&syntax.FoldCase == 0 {
		return cover{literalShapes([]string{string(re.Rune)}), true}
	}
	all := cover{[]shape{empty}, true}
	for i, r := range re.Rune {
		if len(all.shapes) > maxFilters && i < len(re.Rune)-1 {
			return c.product(all, cover{[]shape{anything}, false})
		}
		orbit := []string{string(r)}
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			orbit = append(orbit, string(f))
		}
		all = c.product(all, cover{literalShapes(orbit), true})
	}
	return all
}

// class covers one rune of a class, which is made of pairs of a first and a last
// rune. Case has been seen to by the parser.
func class(pairs []rune) cover {
	var values []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if int(pairs[i+1])-int(pairs[i]) >= maxProduct-len(values) {
			return cover{[]shape{something}, false}
		}
		for r := pairs[i]; r <= pairs[i+1]; r++ {
			if !isPlain(r) {
				return cover{[]shape{something}, false}
			}
			values = append(values, string(r))
		}
	}
	return cover{literalShapes(values), true}
}

// union covers what a or b covers.
func (c *coverer) union(a, b cover) cover { return c.bound(c.join(a, b)) }

func (c *coverer) join(a, b cover) cover {
	return cover{append(a.shapes, b.shapes...), a.exact && b.exact}
}

// bound returns a cover that is not too large.
func (c *coverer) bound(a cover) cover {
	n := 0
	for i := range a.shapes {
		if n += a.shapes[i].bytes(); n > c.maxBytes {
			return cover{[]shape{anything}, false}
		}
	}
	return a
}

// product covers a match of a and one of b behind it: each shape of a with each
// of b. It is exact if both are, because what they match does not depend on what
// is around it, assertions apart, which are exact only where they always hold.
func (c *coverer) product(a, b cover) cover {
	n, m := len(a.shapes), len(b.shapes)
	limit := maxFilters
	if a.exact && b.exact {
		limit = maxProduct
	}
	// What is right behind a single literal tells how values begin.
	if m > 1 && n*m > limit && (n > 1 || len(a.shapes[0].gaps) > 0) {
		b, m = cover{[]shape{anything}, false}, 1
	}
	r := cover{make([]shape, 0, n*m), a.exact && b.exact}
	bytes := 0
	for i := range a.shapes {
		for k := range b.shapes {
			s := a.shapes[i].then(&b.shapes[k])
			if bytes += s.bytes(); bytes > c.maxBytes {
				return cover{[]shape{anything}, false}
			}
			r.shapes = append(r.shapes, s)
		}
	}
	return r
}
