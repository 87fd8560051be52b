package model

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/value"
)

// ColumnSet holds rows of one series in columns: a row has a time and the values
// of its kind. Chunks, buffers, merges, selections and queries pass column sets to
// each other and identify rows by their times alone, so that a kind of rows with
// columns of its own needs no code of its own:
//
//	T        1     2     3        times, shared by all columns
//	V        0.5   0     0        of floats
//	H        -     {…}   -        of histograms
//	Kinds    0     1     7        empty if V and H determine it
//	Columns  0     0     12       of other kinds: kind 7, number 0
//	         0     0     3.5                      kind 7, number 1
//
// The times are strictly rising unless a function says otherwise. A set belongs to
// the caller that created it and is not safe for concurrent use.
type ColumnSet struct {
	T  []int64     // Unix milliseconds
	V  []float64   // as long as T; 0 in rows of other kinds than floats
	ST []int64     // start timestamps, 0 = unset: as long as T, or empty if no row has one
	H  []Histogram // as long as T, or empty if no row is a histogram

	// Kinds is as long as T, or empty if all rows are floats and histograms.
	Kinds []Kind
	// Columns are the columns of other kinds, each as long as T; empty if Kinds is.
	Columns []Column
}

// Samples is a ColumnSet of floats and histograms only.
type Samples = ColumnSet

// Column is one of several columns of a kind, such as the counts or the sums of
// buckets.
type Column struct {
	Kind   Kind
	Number uint8     // of the column among those of its kind
	Values []float64 // 0 in rows of other kinds
}

// Len returns the number of rows.
func (s *ColumnSet) Len() int { return len(s.T) }

// Reset empties s. It keeps the memory of s but no histograms.
func (s *ColumnSet) Reset() {
	clear(s.H)
	s.T, s.V, s.ST, s.H = s.T[:0], s.V[:0], s.ST[:0], s.H[:0]
	s.Kinds, s.Columns = s.Kinds[:0], s.Columns[:0]
}

// Append adds one sample at the end: a histogram if h holds one, otherwise v.
func (s *ColumnSet) Append(t, st int64, v float64, h Histogram) {
	if st != 0 && len(s.ST) == 0 {
		s.ST = appendZeros(s.ST, len(s.T))
	}
	if !h.IsZero() && len(s.H) == 0 {
		s.H = appendZeros(s.H, len(s.T))
	}
	if len(s.ST) > 0 || st != 0 {
		s.ST = append(s.ST, st)
	}
	if len(s.H) > 0 || !h.IsZero() {
		s.H = append(s.H, h)
	}
	if len(s.Kinds) > 0 {
		s.Kinds = append(s.Kinds, sampleKind(h))
		s.padColumns(len(s.T) + 1)
	}
	s.T = append(s.T, t)
	s.V = append(s.V, v)
}

// AppendRange adds the rows i ≤ k < j of o, which may not be s.
func (s *ColumnSet) AppendRange(o *ColumnSet, i, j int) {
	if i >= j {
		return
	}
	n := len(s.T)
	if len(o.ST) > 0 {
		if len(s.ST) == 0 {
			s.ST = appendZeros(s.ST, n)
		}
		s.ST = append(s.ST, o.ST[i:j]...)
	} else if len(s.ST) > 0 {
		s.ST = appendZeros(s.ST, j-i)
	}
	if len(o.H) > 0 {
		if len(s.H) == 0 {
			s.H = appendZeros(s.H, n)
		}
		s.H = append(s.H, o.H[i:j]...)
	} else if len(s.H) > 0 {
		s.H = appendZeros(s.H, j-i)
	}
	if len(o.Kinds) > 0 || len(s.Kinds) > 0 {
		s.appendColumns(o, i, j)
	}
	s.T = append(s.T, o.T[i:j]...)
	s.V = append(s.V, o.V[i:j]...)
}

// appendColumns is the part of AppendRange for kinds with columns of their own. It
// runs before the rows are added to T and V.
func (s *ColumnSet) appendColumns(o *ColumnSet, i, j int) {
	n := len(s.T)
	for k := len(s.Kinds); k < n; k++ {
		s.Kinds = append(s.Kinds, s.KindAt(k))
	}
	for k := i; k < j; k++ {
		s.Kinds = append(s.Kinds, o.KindAt(k))
	}
	for _, c := range o.Columns {
		to := s.column(c.Kind, c.Number)
		to.Values = append(appendZeros(to.Values, n-len(to.Values)), c.Values[i:j]...)
	}
	s.padColumns(n + j - i)
}

// column returns a column of s, creating it if it is missing. It may be shorter
// than T.
func (s *ColumnSet) column(kind Kind, number uint8) *Column {
	for k := range s.Columns {
		if c := &s.Columns[k]; c.Kind == kind && c.Number == number {
			return c
		}
	}
	n := len(s.Columns)
	s.Columns = slices.Grow(s.Columns, 1)[:n+1] // may have memory from before a Reset
	s.Columns[n] = Column{Kind: kind, Number: number, Values: s.Columns[n].Values[:0]}
	return &s.Columns[n]
}

// padColumns extends the columns with zeros to n rows.
func (s *ColumnSet) padColumns(n int) {
	for k := range s.Columns {
		c := &s.Columns[k]
		c.Values = appendZeros(c.Values, n-len(c.Values))
	}
}

// Slice returns the rows i ≤ k < j; it shares their memory with s.
func (s *ColumnSet) Slice(i, j int) ColumnSet {
	r := ColumnSet{T: s.T[i:j:j], V: s.V[i:j:j]}
	if len(s.ST) > 0 {
		r.ST = s.ST[i:j:j]
	}
	if len(s.H) > 0 {
		r.H = s.H[i:j:j]
	}
	if len(s.Kinds) > 0 {
		r.Kinds, r.Columns = s.Kinds[i:j:j], slices.Clone(s.Columns)
		for k := range r.Columns {
			r.Columns[k].Values = r.Columns[k].Values[i:j:j]
		}
	}
	return r
}

// Move copies the rows i ≤ k < j to index to ≤ i and returns the index after the
// copied rows. The caller removes the remaining rows with Truncate.
func (s *ColumnSet) Move(to, i, j int) int {
	if to == i {
		return j
	}
	copy(s.T[to:], s.T[i:j])
	copy(s.V[to:], s.V[i:j])
	if len(s.ST) > 0 {
		copy(s.ST[to:], s.ST[i:j])
	}
	if len(s.H) > 0 {
		copy(s.H[to:], s.H[i:j])
	}
	if len(s.Kinds) > 0 {
		copy(s.Kinds[to:], s.Kinds[i:j])
		for _, c := range s.Columns {
			copy(c.Values[to:], c.Values[i:j])
		}
	}
	return to + j - i
}

// Truncate keeps the first n rows only.
func (s *ColumnSet) Truncate(n int) {
	s.T, s.V = s.T[:n], s.V[:n]
	if len(s.ST) > 0 {
		s.ST = s.ST[:n]
	}
	if len(s.H) > 0 {
		clear(s.H[n:])
		s.H = s.H[:n]
	}
	if n == 0 {
		s.Kinds, s.Columns = s.Kinds[:0], s.Columns[:0]
	} else if len(s.Kinds) > 0 {
		s.Kinds = s.Kinds[:n]
		for k := range s.Columns {
			s.Columns[k].Values = s.Columns[k].Values[:n]
		}
	}
}

// IsPlain reports whether all rows are floats without start timestamps, so that T
// and V are the only columns.
func (s *ColumnSet) IsPlain() bool { return len(s.ST) == 0 && len(s.H) == 0 && len(s.Kinds) == 0 }

// StartAt returns the start timestamp of row i, 0 if it has none.
func (s *ColumnSet) StartAt(i int) int64 {
	if len(s.ST) == 0 {
		return 0
	}
	return s.ST[i]
}

// HistogramAt returns the histogram of row i, the zero value if the row is of
// another kind.
func (s *ColumnSet) HistogramAt(i int) Histogram {
	if len(s.H) == 0 {
		return Histogram{}
	}
	return s.H[i]
}

// KindAt returns the kind of row i.
func (s *ColumnSet) KindAt(i int) Kind {
	if len(s.Kinds) > i {
		return s.Kinds[i]
	}
	if len(s.H) > i {
		return sampleKind(s.H[i])
	}
	return KindFloat
}

func sampleKind(h Histogram) Kind {
	if h.IsZero() {
		return KindFloat
	}
	return KindHistogram
}

// StaleAt reports whether row i is a stale marker, as a float or a histogram.
func (s *ColumnSet) StaleAt(i int) bool {
	if len(s.H) > 0 && !s.H[i].IsZero() {
		return s.H[i].IsStale()
	}
	return value.IsStaleNaN(s.V[i])
}

// EqualAt reports whether row i of s and row j of o agree in time, start
// timestamp, kind and values, floats bit for bit.
func (s *ColumnSet) EqualAt(i int, o *ColumnSet, j int) bool {
	return s.T[i] == o.T[j] && s.StartAt(i) == o.StartAt(j) &&
		math.Float64bits(s.V[i]) == math.Float64bits(o.V[j]) &&
		s.HistogramAt(i).Equal(o.HistogramAt(j)) && (len(s.Kinds) == 0 && len(o.Kinds) == 0 || s.columnsEqual(i, o, j))
}

// columnsEqual compares kinds and columns.
func (s *ColumnSet) columnsEqual(i int, o *ColumnSet, j int) bool {
	within := func(s *ColumnSet, i int, o *ColumnSet, j int) bool {
		for _, c := range s.Columns {
			if math.Float64bits(c.Values[i]) != math.Float64bits(o.columnAt(c.Kind, c.Number, j)) {
				return false
			}
		}
		return true
	}
	return s.KindAt(i) == o.KindAt(j) && within(s, i, o, j) && within(o, j, s, i)
}

// columnAt returns the value of a column in row i, 0 if s has no such column.
func (s *ColumnSet) columnAt(kind Kind, number uint8, i int) float64 {
	for _, c := range s.Columns {
		if c.Kind == kind && c.Number == number {
			return c.Values[i]
		}
	}
	return 0
}

// Search returns the first i with s.T[i] >= t, len(s.T) if there is none.
func (s *ColumnSet) Search(t int64) int {
	lo, hi := 0, len(s.T)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if s.T[m] < t {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// Overwrites reports whether a row written later replaces one written earlier
// at the same key: the last write wins, but a stale marker replaces nothing but
// stale markers.
func Overwrites(laterStale, earlierStale bool) bool { return !laterStale || earlierStale }

// Merge appends the union of older and newer, both strictly rising, to dst. Of two
// rows with equal times, of any kinds, it keeps the one chosen by Overwrites with
// newer as the later one. dst must be neither of the two. Merging sets in the order
// in which they were written gives the same result however the merges are grouped.
func Merge(dst, older, newer *ColumnSet) {
	i, j := 0, 0
	for i < older.Len() && j < newer.Len() {
		switch a, b := older.T[i], newer.T[j]; {
		case a < b:
			k := i + 1
			for k < older.Len() && older.T[k] < b {
				k++
			}
			dst.AppendRange(older, i, k)
			i = k
		case b < a:
			k := j + 1
			for k < newer.Len() && newer.T[k] < a {
				k++
			}
			dst.AppendRange(newer, j, k)
			j = k
		default:
			if Overwrites(newer.StaleAt(j), older.StaleAt(i)) {
				dst.AppendRange(newer, j, j+1)
			} else {
				dst.AppendRange(older, i, i+1)
			}
			i++
			j++
		}
	}
	dst.AppendRange(older, i, older.Len())
	dst.AppendRange(newer, j, newer.Len())
}

func appendZeros[T any](dst []T, n int) []T {
	for range n {
		var zero T
		dst = append(dst, zero)
	}
	return dst
}
