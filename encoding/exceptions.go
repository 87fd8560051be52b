package encoding

import (
	"encoding/binary"
	"math"
)

// exceptions are the values of a float column that its transform cannot reproduce:
// their positions as runs, and their 64 bits. In the column of integers they are
// replaced by their predecessor, so that a stale marker does not disturb the next
// difference.
//
//	┌───────────┬───────────────────────────────────┬──────────────────────┐
//	│ runs (u)  │ runs × (gap (u), length - 1 (u))  │ 64-bit patterns, LE  │
//	└───────────┴───────────────────────────────────┴──────────────────────┘
//
// A gap is the distance from the end of the previous run. There is one pattern
// if floatOnePattern is set in the column's first byte, otherwise one for each
// exception.
type exceptions struct {
	runs     []run
	patterns []uint64
	same     bool // all patterns are equal
	floats   []float64
}

type run struct{ at, n int }

func (e *exceptions) reset() {
	e.runs, e.patterns, e.same = e.runs[:0], e.patterns[:0], true
}

func (e *exceptions) add(at int, v float64) {
	if k := len(e.runs) - 1; k >= 0 && e.runs[k].at+e.runs[k].n == at {
		e.runs[k].n++
	} else {
		e.runs = append(e.runs, run{at, 1})
	}
	b := math.Float64bits(v)
	e.same = e.same && (len(e.patterns) == 0 || e.patterns[0] == b)
	e.patterns = append(e.patterns, b)
}

// leading replaces exceptions at the start of a column, which have no predecessor,
// by the integer that follows them.
func (e *exceptions) leading(ks []int64) {
	if len(e.runs) == 0 || e.runs[0].at > 0 || e.runs[0].n == len(ks) {
		return
	}
	n := e.runs[0].n
	for i := range n {
		ks[i] = ks[n]
	}
}

// tooMany reports whether a column of n values should use the transform without
// exceptions instead. Exceptions with the same pattern only cost their runs.
func (e *exceptions) tooMany(n int) bool {
	limit := n/16 + 1
	return len(e.patterns) > limit && (!e.same || len(e.runs) > limit)
}

// few reports whether the exceptions are so small that no other transform needs to
// be tried because of them.
func (e *exceptions) few() bool { return e.same || len(e.patterns) <= 2 }

// values returns the exceptions. They are valid until the next column.
func (e *exceptions) values() []float64 {
	e.floats = e.floats[:0]
	for _, b := range e.patterns {
		e.floats = append(e.floats, math.Float64frombits(b))
	}
	return e.floats
}

// flags returns the bits of a column's first byte that describe its exceptions.
func (e *exceptions) flags() byte {
	switch {
	case len(e.patterns) == 0:
		return 0
	case e.same:
		return floatExceptions | floatOnePattern
	}
	return floatExceptions
}

func (e *exceptions) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(e.runs)))
	end := 0
	for _, r := range e.runs {
		dst = binary.AppendUvarint(dst, uint64(r.at-end))
		dst = binary.AppendUvarint(dst, uint64(r.n-1))
		end = r.at + r.n
	}
	if e.same {
		return binary.LittleEndian.AppendUint64(dst, e.patterns[0])
	}
	for _, b := range e.patterns {
		dst = binary.LittleEndian.AppendUint64(dst, b)
	}
	return dst
}

// rawExceptions are the exceptions of a column as bytes that parseExceptions
// has checked.
type rawExceptions struct {
	runs     []byte
	patterns []byte
	n        int // exceptions
	same     bool
}

func parseExceptions(src []byte, n int, same bool) (e rawExceptions, rest []byte, err error) {
	count, rest, err := Uvarint(src)
	if err != nil {
		return e, nil, err
	}
	if count == 0 || count > uint64(n) {
		return e, nil, corruptf("%d runs of exceptions in %d values", count, n)
	}
	runs, left := rest, uint64(n)
	for range count {
		var gap, more uint64
		if gap, rest, err = Uvarint(rest); err != nil {
			return e, nil, err
		}
		if more, rest, err = Uvarint(rest); err != nil {
			return e, nil, err
		}
		if gap >= left || more >= left-gap {
			return e, nil, corruptf("exception beyond %d values", n)
		}
		left -= gap + more + 1
		e.n += int(more) + 1
	}
	e.runs, e.same = runs[:len(runs)-len(rest)], same
	size := 8 * e.n
	if same {
		size = 8
	}
	if len(rest) < size {
		return e, nil, corruptf("%d bytes of exceptions, want %d", len(rest), size)
	}
	e.patterns = rest[:size]
	return e, rest[size:], nil
}

// apply writes the exceptions into vs, which holds the values of the column from
// index from on.
func (e rawExceptions) apply(vs []float64, from int) {
	at, runs, patterns := -from, e.runs, e.patterns
	for len(runs) > 0 {
		gap, rest, _ := Uvarint(runs)
		more, rest, _ := Uvarint(rest)
		runs = rest
		at += int(gap)
		for range more + 1 {
			if uint(at) < uint(len(vs)) {
				vs[at] = math.Float64frombits(le64(patterns))
			}
			if !e.same {
				patterns = patterns[8:]
			}
			at++
		}
	}
}
