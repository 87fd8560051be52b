package model

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/value"
)

// Buckets holds buckets of one series in columns, all of one length. The bucket
// with end e of a tier of resolution R summarises the entries of the series in
// (e - R, e]. A row may also stand for a single sample: see AppendSample.
//
// A bucket with any entry has a row, also if its only entries are stale markers or
// histograms; then Count is 0. All columns but End and Flags are about the floats
// that are not stale markers. Values are zero where Count is too small for them.
//
// A set belongs to the caller that created it and is not safe for concurrent use.
type Buckets struct {
	End   []int64       // last millisecond, Unix milliseconds, strictly rising
	Flags []BucketFlags // about all entries
	Count []uint32      // number of floats

	First      []int64 // time of the first float; Count ≥ 1
	T1, T2, T3 []int64 // times of the last three, T1 the last; Count ≥ 1, 2, 3

	FirstV []float64 // the first float
	V1, V2 []float64 // the last two, V1 the last; Count ≥ 1, 2

	// Min and Max are the extremes: of equal ones, such as 0 and -0, the first;
	// NaN only if all floats are NaN, and then the last of them.
	Min, Max []float64
	// Sum is the sum: Neumaier's over the floats in order, with its compensation
	// added at the end, as Prometheus' sum_over_time does.
	Sum []float64
	// Lost is the sum, in order, of the values before the resets inside the bucket.
	Lost    []float64
	Resets  []uint32 // floats below the one before, inside the bucket
	Changes []uint32 // floats that differ from the one before, inside the bucket; NaN equals NaN

	held []heldTimes // see ExtendTimes
}

// BucketFlags describe the entries of a bucket.
type BucketFlags uint8

const (
	BucketStale     BucketFlags = 1 << 0 // the newest entry is a stale marker
	BucketHistogram BucketFlags = 1 << 1 // a native histogram is among the entries
	BucketStart     BucketFlags = 1 << 2 // an entry has a start timestamp
	BucketSpecial   BucketFlags = 1 << 3 // a float is NaN (but no stale marker) or its magnitude is LargeFloat or more
	bucketFlagsEnd  BucketFlags = 1 << 4

	// BucketNoResets marks a bucket of a series that falls often: its Lost, Resets and
	// Changes are not known, and 0. On disk it is a property of the column.
	BucketNoResets BucketFlags = 1 << 6
	// BucketSample marks a row that stands for a single sample. Such rows are in memory
	// only.
	BucketSample BucketFlags = 1 << 7
)

// LargeFloat is the magnitude below which sums cannot overflow. The sum of 2^64 such
// floats is below 2^964, which is too little to change any sum that is about to
// overflow.
const LargeFloat = 0x1p900

// Valid reports whether all flags are known and may be on disk, in the column of flags.
func (f BucketFlags) Valid() bool { return f < bucketFlagsEnd }

// BucketColumns is a set of the columns of values of Buckets. End, Flags, Count and
// the times are always there.
type BucketColumns uint16

// The columns of values.
const (
	ColumnFirst BucketColumns = 1 << iota
	ColumnLast                // V1
	ColumnLast2               // V2
	ColumnMin
	ColumnMax
	ColumnSum
	ColumnLost
	ColumnResets
	ColumnChanges
	AllBucketColumns = 1<<iota - 1

	// ResetColumns are those that buckets with BucketNoResets lack.
	ResetColumns = ColumnLost | ColumnResets | ColumnChanges
)

// Len returns the number of rows.
func (b *Buckets) Len() int { return len(b.End) }

// Reset empties b and keeps its memory.
func (b *Buckets) Reset() { b.Truncate(0) }

// Truncate keeps the first n rows only.
func (b *Buckets) Truncate(n int) {
	b.End, b.Flags, b.Count = b.End[:n], b.Flags[:n], b.Count[:n]
	b.First, b.T1, b.T2, b.T3 = b.First[:n], b.T1[:n], b.T2[:n], b.T3[:n]
	b.FirstV, b.V1, b.V2 = b.FirstV[:n], b.V1[:n], b.V2[:n]
	b.Min, b.Max, b.Sum, b.Lost = b.Min[:n], b.Max[:n], b.Sum[:n], b.Lost[:n]
	b.Resets, b.Changes = b.Resets[:n], b.Changes[:n]
}

// Grow appends n zero rows and returns the index of the first.
func (b *Buckets) Grow(n int) int {
	b.forget(n)
	from := len(b.End)
	b.End, b.Flags, b.Count = growZeros(b.End, n), growZeros(b.Flags, n), growZeros(b.Count, n)
	b.First, b.T1, b.T2, b.T3 = growZeros(b.First, n), growZeros(b.T1, n), growZeros(b.T2, n), growZeros(b.T3, n)
	b.FirstV, b.V1, b.V2 = growZeros(b.FirstV, n), growZeros(b.V1, n), growZeros(b.V2, n)
	b.Min, b.Max, b.Sum, b.Lost = growZeros(b.Min, n), growZeros(b.Max, n), growZeros(b.Sum, n), growZeros(b.Lost, n)
	b.Resets, b.Changes = growZeros(b.Resets, n), growZeros(b.Changes, n)
	return from
}

// Extend appends n rows that hold anything and returns the index of the first.
func (b *Buckets) Extend(n int) int {
	b.forget(n)
	return b.extend(n)
}

func (b *Buckets) extend(n int) int {
	from := len(b.End)
	b.End, b.Flags, b.Count = extend(b.End, n), extend(b.Flags, n), extend(b.Count, n)
	b.First, b.T1, b.T2, b.T3 = extend(b.First, n), extend(b.T1, n), extend(b.T2, n), extend(b.T3, n)
	b.FirstV, b.V1, b.V2 = extend(b.FirstV, n), extend(b.V1, n), extend(b.V2, n)
	b.Min, b.Max, b.Sum, b.Lost = extend(b.Min, n), extend(b.Max, n), extend(b.Sum, n), extend(b.Lost, n)
	b.Resets, b.Changes = extend(b.Resets, n), extend(b.Changes, n)
	return from
}

func extend[T any](s []T, n int) []T { return slices.Grow(s, n)[:len(s)+n] }

func growZeros[T any](s []T, n int) []T {
	from := len(s)
	s = slices.Grow(s, n)[:from+n]
	clear(s[from:])
	return s
}

// Slice returns the rows i ≤ k < j, which share their memory with b.
func (b *Buckets) Slice(i, j int) Buckets {
	return Buckets{
		End: b.End[i:j:j], Flags: b.Flags[i:j:j], Count: b.Count[i:j:j],
		First: b.First[i:j:j], T1: b.T1[i:j:j], T2: b.T2[i:j:j], T3: b.T3[i:j:j],
		FirstV: b.FirstV[i:j:j], V1: b.V1[i:j:j], V2: b.V2[i:j:j],
		Min: b.Min[i:j:j], Max: b.Max[i:j:j], Sum: b.Sum[i:j:j], Lost: b.Lost[i:j:j],
		Resets: b.Resets[i:j:j], Changes: b.Changes[i:j:j],
	}
}

// AppendRange appends the rows i ≤ k < j of o, which may not be b.
func (b *Buckets) AppendRange(o *Buckets, i, j int) {
	b.forget(j - i)
	b.End, b.Flags, b.Count = append(b.End, o.End[i:j]...), append(b.Flags, o.Flags[i:j]...), append(b.Count, o.Count[i:j]...)
	b.First, b.T1 = append(b.First, o.First[i:j]...), append(b.T1, o.T1[i:j]...)
	b.T2, b.T3 = append(b.T2, o.T2[i:j]...), append(b.T3, o.T3[i:j]...)
	b.FirstV, b.V1, b.V2 = append(b.FirstV, o.FirstV[i:j]...), append(b.V1, o.V1[i:j]...), append(b.V2, o.V2[i:j]...)
	b.Min, b.Max = append(b.Min, o.Min[i:j]...), append(b.Max, o.Max[i:j]...)
	b.Sum, b.Lost = append(b.Sum, o.Sum[i:j]...), append(b.Lost, o.Lost[i:j]...)
	b.Resets, b.Changes = append(b.Resets, o.Resets[i:j]...), append(b.Changes, o.Changes[i:j]...)
}

// AppendColumns is AppendRange for the columns of need; other columns of values of the
// new rows hold anything.
func (b *Buckets) AppendColumns(o *Buckets, i, j int, need BucketColumns) {
	from := b.Extend(j - i)
	copy(b.End[from:], o.End[i:j])
	copy(b.Flags[from:], o.Flags[i:j])
	copy(b.Count[from:], o.Count[i:j])
	for _, c := range [...]struct{ to, from []int64 }{{b.First, o.First}, {b.T1, o.T1}, {b.T2, o.T2}, {b.T3, o.T3}} {
		copy(c.to[from:], c.from[i:j])
	}
	for _, c := range [...]struct {
		column   BucketColumns
		to, from []float64
	}{
		{ColumnFirst, b.FirstV, o.FirstV}, {ColumnLast, b.V1, o.V1}, {ColumnLast2, b.V2, o.V2}, {ColumnMin, b.Min, o.Min},
		{ColumnMax, b.Max, o.Max}, {ColumnSum, b.Sum, o.Sum}, {ColumnLost, b.Lost, o.Lost},
	} {
		if need&c.column != 0 {
			copy(c.to[from:], c.from[i:j])
		}
	}
	if need&ColumnResets != 0 {
		copy(b.Resets[from:], o.Resets[i:j])
	}
	if need&ColumnChanges != 0 {
		copy(b.Changes[from:], o.Changes[i:j])
	}
}

// AppendSample appends a row for one float at time t: its End is t, so that rows of
// samples and of buckets can follow each other. A stale marker is a row with
// Count 0 and BucketStale.
func (b *Buckets) AppendSample(t int64, v float64) {
	b.setSample(b.Grow(1), t, v)
}

// AppendSamples appends a row for each of several floats, as AppendSample does, with the
// columns of need; other columns of values hold anything.
func (b *Buckets) AppendSamples(ts []int64, vs []float64, need BucketColumns) {
	from := b.Extend(len(ts))
	copy(b.End[from:], ts)
	copy(b.First[from:], ts)
	copy(b.T1[from:], ts)
	clear(b.T2[from:])
	clear(b.T3[from:])
	for _, c := range [...]struct {
		column BucketColumns
		to     []float64
	}{{ColumnFirst, b.FirstV}, {ColumnLast, b.V1}, {ColumnMin, b.Min}, {ColumnMax, b.Max}, {ColumnSum, b.Sum}} {
		if need&c.column != 0 {
			copy(c.to[from:], vs)
		}
	}
	if need&ColumnLast2 != 0 {
		clear(b.V2[from:])
	}
	if need&ResetColumns != 0 {
		clear(b.Lost[from:])
		clear(b.Resets[from:])
		clear(b.Changes[from:])
	}
	counts, flags := b.Count[from:], b.Flags[from:]
	for i, v := range vs {
		counts[i], flags[i] = 1, BucketSample
		if !(math.Abs(v) < LargeFloat) {
			b.clearSample(from+i, v)
		}
	}
}

// clearSample completes the row of a sample that is a stale marker or special.
func (b *Buckets) clearSample(i int, v float64) {
	if !value.IsStaleNaN(v) {
		b.Flags[i] |= BucketSpecial
		return
	}
	b.Flags[i] |= BucketStale
	b.Count[i], b.First[i], b.T1[i] = 0, 0, 0
	b.FirstV[i], b.V1[i], b.Min[i], b.Max[i], b.Sum[i] = 0, 0, 0, 0, 0
}

func (b *Buckets) setSample(i int, t int64, v float64) {
	b.End[i], b.Flags[i] = t, BucketSample
	if value.IsStaleNaN(v) {
		b.Flags[i] |= BucketStale
		return
	}
	if !(math.Abs(v) < LargeFloat) {
		b.Flags[i] |= BucketSpecial
	}
	b.Count[i], b.First[i], b.T1[i] = 1, t, t
	b.FirstV[i], b.V1[i], b.Min[i], b.Max[i], b.Sum[i] = v, v, v, v, v
}

// Search returns the first i with b.End[i] >= t, b.Len() if there is none.
func (b *Buckets) Search(t int64) int {
	i, _ := slices.BinarySearch(b.End, t)
	return i
}
