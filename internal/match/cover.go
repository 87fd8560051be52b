package match

import (
	"regexp/syntax"
	"unicode"
	"unicode/utf8"
)

// A cover is a list of shapes so that every string an expression matches has
// one of them. If the cover is exact, the expression also matches every string
// with one of the shapes.
type cover struct {
	shapes []shape
	exact  bool
}

// Bounds of a cover.
const (
	// maxProduct bounds the number of shapes in the product of two exact covers:
	// [a-z][0-9] has 260. maxFilters is the bound if one of them is not exact, so
	// that the shapes only save calls of regexp.
	maxProduct = 512
	maxFilters = 32
	// minCoverBytes is the number of bytes of literals that every cover may have,
	// in addition to a multiple of the expression's length.
	minCoverBytes = 32 << 10
)

var (
	empty = shape{literals: []string{""}}
	// anything has any number of characters, something at least one.
	anything  = shape{literals: []string{"", ""}, gaps: []int{0}}
	something = shape{literals: []string{"", ""}, gaps: []int{1}}
)

// coverer computes covers. An expression whose cover would exceed the bounds is
// covered by anything.
type coverer struct {
	maxBytes int
}

// of returns a cover of an expression. atStart says that its matches begin at
// the start of the value, atEnd that they end at its end.
func (c *coverer) of(re *syntax.Regexp, atStart, atEnd bool) cover {
	switch re.Op {
	case syntax.OpNoMatch:
		return cover{exact: true}
	case syntax.OpEmptyMatch:
		return cover{[]shape{empty}, true}

	// Assertions match the empty string or nothing. Those of a start or an end
	// always hold there.
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
		return cover{[]shape{something}, false} // not exact: no shape limits a gap to one character

	// A group matches the same strings as its content.
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

// repeated covers strings that begin with a match of sub.
func (c *coverer) repeated(sub *syntax.Regexp, atStart bool) cover {
	return c.product(c.of(sub, atStart, false), cover{[]shape{anything}, false})
}

// concat covers the concatenation of subs. The first of them begins where the
// whole does, the last ends where it does; so do those preceded, or followed, only
// by expressions that match nothing but the empty string.
func (c *coverer) concat(subs []*syntax.Regexp, atStart, atEnd bool) cover {
	last := len(subs) // subs from this index on end where the whole does
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

// isPlain reports whether a rune is matched by its encoding alone: U+FFFD also
// matches bytes that are not UTF-8, and surrogates have no encoding.
func isPlain(r rune) bool { return utf8.ValidRune(r) && r != utf8.RuneError }

// literal covers a string or, if case is ignored, all strings whose runes are in
// the case-folding orbits of the literal's runes, which is how regexp compares
// them.
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

// class covers one rune of a class, given as pairs of a first and a last rune.
// The parser has already expanded case folding.
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

// union covers the strings that a or b covers.
func (c *coverer) union(a, b cover) cover { return c.bound(c.join(a, b)) }

func (c *coverer) join(a, b cover) cover {
	return cover{append(a.shapes, b.shapes...), a.exact && b.exact}
}

// bound returns a, or anything if a exceeds maxBytes.
func (c *coverer) bound(a cover) cover {
	n := 0
	for i := range a.shapes {
		if n += a.shapes[i].bytes(); n > c.maxBytes {
			return cover{[]shape{anything}, false}
		}
	}
	return a
}

// product covers a match of a followed by one of b: each shape of a with each
// of b. It is exact if both are, because whether they match does not depend on
// the surrounding text, except for assertions, which are exact only where they
// always hold.
func (c *coverer) product(a, b cover) cover {
	n, m := len(a.shapes), len(b.shapes)
	limit := maxFilters
	if a.exact && b.exact {
		limit = maxProduct
	}
	// The shapes after a single literal are kept: they tell how values begin.
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
