package match

import (
	"strings"
	"unicode/utf8"
)

// A shape is a literal, then a gap and a literal any number of times. A value
// has it if it is these literals one behind the other, with at least gaps[i]
// characters, whichever, between literals i and i+1. Literals are UTF-8 without
// U+FFFD, and only the first and the last may be empty.
//
// A character is what regexp steps over at once: the encoding of a rune or a
// single byte that belongs to none.
type shape struct {
	literals []string // one more than gaps
	gaps     []int
}

func literalShapes(values []string) []shape {
	shapes := make([]shape, len(values))
	for i := range values {
		shapes[i].literals = values[i : i+1 : i+1]
	}
	return shapes
}

// bytes returns what the literals take.
func (s *shape) bytes() int {
	n := 0
	for _, l := range s.literals {
		n += len(l)
	}
	return n
}

// isAny reports whether every value has the shape but perhaps the empty one.
func (s *shape) isAny() bool {
	return len(s.gaps) == 1 && s.gaps[0] <= 1 && s.literals[0] == "" && s.literals[1] == ""
}

// then returns the shape of a value of shape s and one of shape t behind it.
// Two gaps without a literal between them are one, of the characters of both.
func (s *shape) then(t *shape) shape {
	n, m := len(s.gaps), len(t.gaps)
	join := s.literals[n] + t.literals[0]
	if n > 0 && m > 0 && join == "" {
		r := shape{gaps: make([]int, 0, n+m-1), literals: make([]string, 0, n+m)}
		r.gaps = append(append(r.gaps, s.gaps...), t.gaps[1:]...)
		r.gaps[n-1] += t.gaps[0]
		r.literals = append(append(r.literals, s.literals[:n]...), t.literals[1:]...)
		return r
	}
	r := shape{gaps: make([]int, 0, n+m), literals: make([]string, 0, n+m+1)}
	r.gaps = append(append(r.gaps, s.gaps...), t.gaps...)
	r.literals = append(append(append(r.literals, s.literals[:n]...), join), t.literals[1:]...)
	return r
}

// matches reports whether a value has the shape.
//
// Each literal but the last is put where it is found first. If the value has
// the shape in any way at all, it has it in this way: moving a literal to an
// earlier place leaves more characters to what follows, and its own gap is
// looked at before. Gaps count characters from where regexp would: a literal
// begins with a byte that begins a rune, such a byte is never inside of a
// character, and a literal is made of whole runes, so every literal begins and
// ends where a character does.
func (s *shape) matches(value string) bool {
	n := len(s.gaps)
	if n == 0 {
		return value == s.literals[0]
	}
	first, last := s.literals[0], s.literals[n]
	if n == 2 && first == "" && last == "" && s.gaps[0]+s.gaps[1] == 0 { // .*literal.*
		return strings.Contains(value, s.literals[1])
	}
	if len(value) < len(first)+len(last) || !strings.HasPrefix(value, first) || !strings.HasSuffix(value, last) {
		return false
	}
	value = value[len(first) : len(value)-len(last)]
	for i, gap := range s.gaps {
		for range gap {
			_, size := utf8.DecodeRuneInString(value)
			if size == 0 {
				return false
			}
			value = value[size:]
		}
		if i == n-1 {
			break
		}
		at := strings.Index(value, s.literals[i+1])
		if at < 0 {
			return false
		}
		value = value[at+len(s.literals[i+1]):]
	}
	return true
}

// globIndex finds which of many shapes with gaps a value may have by how it
// begins.
type globIndex struct {
	length int                // bytes of the keys, at least 1
	byTop  map[string][]shape // by the first bytes of their first literals
	others []shape            // whose first literals are shorter
}

// maxTop bounds the keys of a globIndex.
const maxTop = 32

func newGlobIndex(globs []shape) globIndex {
	x := globIndex{length: maxTop, byTop: make(map[string][]shape, len(globs))}
	for i := range globs {
		if n := len(globs[i].literals[0]); n > 0 {
			x.length = min(x.length, n)
		}
	}
	for _, s := range globs {
		if top := s.literals[0]; len(top) >= x.length {
			x.byTop[top[:x.length]] = append(x.byTop[top[:x.length]], s)
		} else {
			x.others = append(x.others, s)
		}
	}
	return x
}

func (x *globIndex) matches(value string) bool {
	if len(value) >= x.length {
		for _, s := range x.byTop[value[:x.length]] {
			if s.matches(value) {
				return true
			}
		}
	}
	for i := range x.others {
		if x.others[i].matches(value) {
			return true
		}
	}
	return false
}
