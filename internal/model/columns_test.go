package model

import (
	"math/rand"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
)

// kindPair is a kind of two numbers that exists only in tests.
const kindPair Kind = 7

// pair returns a row of kindPair.
func pair(t int64, a, b float64) *ColumnSet {
	return &ColumnSet{T: []int64{t}, V: []float64{0}, Kinds: []Kind{kindPair},
		Columns: []Column{{Kind: kindPair, Number: 0, Values: []float64{a}}, {Kind: kindPair, Number: 1, Values: []float64{b}}}}
}

// randomRow returns a row of any kind, or a stale marker.
func randomRow(r *rand.Rand, t int64) *ColumnSet {
	var s ColumnSet
	switch r.Intn(5) {
	case 0:
		return pair(t, float64(r.Intn(9)), float64(r.Intn(9)))
	case 1:
		s.Append(t, 0, 0, Histogram{Int: &histogram.Histogram{Count: uint64(1 + r.Intn(9))}})
	case 2:
		s.Append(t, 0, stale, Histogram{})
	default:
		s.Append(t, int64(r.Intn(2)), float64(r.Intn(9)), Histogram{})
	}
	return &s
}

// check verifies the invariants of a set and compares its rows with want.
func check(t *testing.T, s *ColumnSet, want []*ColumnSet) {
	t.Helper()
	n := len(want)
	whole := func(name string, length int, optional bool) {
		t.Helper()
		if length != n && !(optional && length == 0) {
			t.Fatalf("%d values in %s of %d rows", length, name, n)
		}
	}
	whole("T", len(s.T), false)
	whole("V", len(s.V), false)
	whole("ST", len(s.ST), true)
	whole("H", len(s.H), true)
	whole("Kinds", len(s.Kinds), true)
	for _, c := range s.Columns {
		whole("a column", len(c.Values), false)
	}
	for i, row := range want {
		if !s.EqualAt(i, row, 0) || !row.EqualAt(0, s, i) || s.KindAt(i) != row.KindAt(0) {
			t.Fatalf("row %d: %+v, want %+v", i, s, row)
		}
	}
}

// Sets of rows of all kinds, including one that exists only in tests, are compared
// with a slice of rows: whatever is appended, sliced, moved, truncated or merged,
// each row keeps its time, its kind and all of its values.
func TestColumnSetsKeepRowsOfEveryKind(t *testing.T) {
	for seed := range int64(500) {
		r := rand.New(rand.NewSource(seed))
		fill := func(s *ColumnSet, rows []*ColumnSet) []*ColumnSet {
			for t := int64(0); t < 12; t++ {
				if r.Intn(3) > 0 {
					row := randomRow(r, t)
					s.AppendRange(row, 0, 1)
					rows = append(rows, row)
				}
			}
			return rows
		}
		var older, newer ColumnSet
		fill(&older, nil)
		older.Reset() // keeps memory whose content must not reappear
		olderRows, newerRows := fill(&older, nil), fill(&newer, nil)
		check(t, &older, olderRows)

		i := r.Intn(len(olderRows) + 1)
		j := i + r.Intn(len(olderRows)-i+1)
		part := older.Slice(i, j)
		check(t, &part, olderRows[i:j])
		var copied ColumnSet
		copied.AppendRange(&newer, 0, newer.Len())
		copied.AppendRange(&older, i, j)
		check(t, &copied, append(append([]*ColumnSet{}, newerRows...), olderRows[i:j]...))

		byTime := map[int64]*ColumnSet{}
		for _, row := range olderRows {
			byTime[row.T[0]] = row
		}
		for _, row := range newerRows {
			if old := byTime[row.T[0]]; old == nil || Overwrites(row.StaleAt(0), old.StaleAt(0)) {
				byTime[row.T[0]] = row
			}
		}
		var want []*ColumnSet
		for t := int64(0); t < 12; t++ {
			if row := byTime[t]; row != nil {
				want = append(want, row)
			}
		}
		var merged ColumnSet
		Merge(&merged, &older, &newer)
		check(t, &merged, want)

		older.Truncate(older.Move(i, j, older.Len()))
		check(t, &older, append(olderRows[:i:i], olderRows[j:]...))
		older.Append(99, 0, 5, Histogram{})
		if n := older.Len() - 1; older.KindAt(n) != KindFloat || older.V[n] != 5 {
			t.Fatalf("a float after others: %+v", older)
		}
	}
}

// Without rows of other kinds a set has no columns for them, and merging into
// reused memory allocates nothing.
func TestMergeOfSamplesAllocatesNothing(t *testing.T) {
	var older, newer, dst ColumnSet
	for i := range int64(100) {
		older.Append(2*i, 0, 1, Histogram{})
		newer.Append(3*i, 0, 2, Histogram{})
	}
	n := testing.AllocsPerRun(100, func() {
		dst.Reset()
		Merge(&dst, &older, &newer)
	})
	if n > 0 || len(dst.Kinds)+len(dst.Columns) > 0 {
		t.Errorf("%v allocations, %d kinds, %d columns", n, len(dst.Kinds), len(dst.Columns))
	}
}

func TestMergeOfColumnsAllocatesNothing(t *testing.T) {
	var older, newer, dst ColumnSet
	for i := range int64(100) {
		older.AppendRange(pair(2*i, 1, 2), 0, 1)
		newer.AppendRange(pair(3*i, 3, 4), 0, 1)
	}
	n := testing.AllocsPerRun(100, func() {
		dst.Reset()
		Merge(&dst, &older, &newer)
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestKindsAreAClosedSet(t *testing.T) {
	for k := range Kind(numKinds) {
		if !k.Valid() || k.String() == (k+100).String() {
			t.Errorf("kind %d: valid %v, %v", k, k.Valid(), k)
		}
	}
	if kindPair.Valid() {
		t.Errorf("%v is valid", kindPair)
	}
}
