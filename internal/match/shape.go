package match

import (
	"strings"
	"unicode/utf8"
)

// A shape is a literal, followed by any number of pairs of a gap and a literal. A
// value has the shape if it consists of these literals in order, with at least
// gaps[i] characters between literals i and i+1. Literals are UTF-8 without
// U+FFFD, and only the first and the last may be empty.
//
// A character is one step of regexp: the encoding of a rune, or a single byte that
// belongs to none.
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

// bytes returns the total length of the literals.
func (s *shape) bytes() int {
	n := 0
	for _, l := range s.literals {
		n += len(l)
	}
	return n
}

// isAny reports whether every value, except possibly the empty one, has the shape.
func (s *shape) isAny() bool {
	return len(s.gaps) == 1 && s.gaps[0] <= 1 && s.literals[0] == "" && s.literals[1] == ""
}

// then returns the shape of a value of shape s followed by one of shape t. Two
// gaps without a literal between them become one, whose minimum is the sum of
// theirs.
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
// Each literal but the last is matched at its first occurrence after the gap. If
// the value has the shape at all, this finds it: moving a literal to an earlier
// place leaves more characters for the rest, and its own gap has already been
// skipped. Gaps count characters from the same place as regexp: a literal begins
// with a byte that begins a rune, such a byte is never inside a character, and a
// literal consists of whole runes, so every literal begins and ends at a
// character boundary.
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

// globIndex finds, by the first bytes of a value, which of many shapes with gaps
// it may have.
type globIndex struct {
	length   int                // of the keys in bytes, at least 1
	byPrefix map[string][]shape // by the first bytes of their first literals
	others   []shape            // shapes whose first literals are shorter
}

// maxKeyBytes bounds the length of the keys of a globIndex.
const maxKeyBytes = 32

func newGlobIndex(globs []shape) globIndex {
	x := globIndex{length: maxKeyBytes, byPrefix: make(map[string][]shape, len(globs))}
	for i := range globs {
		if n := len(globs[i].literals[0]); n > 0 {
			x.length = min(x.length, n)
		}
	}
	for _, s := range globs {
		if prefix := s.literals[0]; len(prefix) >= x.length {
			x.byPrefix[prefix[:x.length]] = append(x.byPrefix[prefix[:x.length]], s)
		} else {
			x.others = append(x.others, s)
		}
	}
	return x
}

func (x *globIndex) matches(value string) bool {
	if len(value) >= x.length {
		for _, s := range x.byPrefix[value[:x.length]] {
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
