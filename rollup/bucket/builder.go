package bucket

import (
	"math"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/util/kahansum"

	"tsdb/internal/model"
)

// Builder builds the buckets of one resolution of one series after the other. It is
// not safe for concurrent use.
type Builder struct {
	resolution int64 // milliseconds
	open       bool  // row holds entries
	row        row

	// Of a call: where completed buckets go.
	dst *model.Buckets
	to  int
}

// row is the bucket under construction.
type row struct {
	end            int64
	flags          model.BucketFlags
	count          uint32
	first          int64
	t1, t2, t3     int64
	firstV, v1, v2 float64
	min, max       float64
	sum, c         float64 // Neumaier's sum and its compensation
	lost           float64
	resets         uint32
	changes        uint32
	// magnitude is the highest of the floats if the sums are exact, because all are
	// integers; otherwise +Inf.
	magnitude float64
}

// NewBuilder returns a Builder of buckets that are resolution > 0 milliseconds long.
func NewBuilder(resolution int64) *Builder { return &Builder{resolution: resolution} }

// EndOf returns the end of the bucket of time t: the first multiple of the resolution
// that is not before it.
func EndOf(t, resolution int64) int64 {
	end := t - t%resolution
	if end < t {
		end += resolution
	}
	return end
}

// Add appends the buckets that the rows complete to dst. A bucket is complete once a
// later one begins. The times must rise over all calls until Flush.
func (b *Builder) Add(rows *model.ColumnSet, dst *model.Buckets) {
	bs, dsts := [1]*Builder{b}, [1]*model.Buckets{dst}
	AddAll(rows, bs[:], dsts[:])
}

// Flush appends the last bucket of the series to dst. The next Add begins a series.
func (b *Builder) Flush(dst *model.Buckets) {
	if b.open {
		b.row.store(dst, dst.Grow(1))
	}
	b.open = false
}

// FromSamples returns the buckets of a series.
func FromSamples(resolution int64, s *model.ColumnSet) *model.Buckets {
	dst := new(model.Buckets)
	b := NewBuilder(resolution)
	b.Add(s, dst)
	b.Flush(dst)
	return dst
}

// atMost returns how many buckets the times can complete at most.
func (b *Builder) atMost(ts []int64) int {
	spanned := (ts[len(ts)-1]-ts[0])/b.resolution + 2
	return int(min(int64(len(ts)), spanned))
}

// begin begins the bucket of time t.
func (b *Builder) begin(t int64) {
	end := b.row.end + b.resolution // the usual case, without a division
	if !b.open || t > end {
		end = EndOf(t, b.resolution)
	}
	b.open = true
	b.row = row{end: end}
}

// store writes the bucket to row i.
func (r *row) store(dst *model.Buckets, i int) {
	dst.End[i], dst.Flags[i], dst.Count[i] = r.end, r.flags, r.count
	dst.First[i], dst.T1[i], dst.T2[i], dst.T3[i] = r.first, r.t1, r.t2, r.t3
	dst.FirstV[i], dst.V1[i], dst.V2[i] = r.firstV, r.v1, r.v2
	dst.Min[i], dst.Max[i] = r.min, r.max
	sum := r.sum
	if !math.IsInf(sum, 0) {
		sum += r.c
	}
	dst.Sum[i], dst.Lost[i] = sum, r.lost
	dst.Resets[i], dst.Changes[i] = r.resets, r.changes
}

// addSlowly adds floats that may be stale markers, NaN, infinite or large.
func (r *row) addSlowly(ts []int64, vs []float64) {
	for i, t := range ts {
		r.add(t, vs[i])
	}
}

// addEntries adds the rows i ≤ k < j, which may be of any kind and have start
// timestamps.
func (r *row) addEntries(rows *model.ColumnSet, i, j int) {
	for k := i; k < j; k++ {
		if rows.StartAt(k) != 0 {
			r.flags |= model.BucketStart
		}
		switch {
		case rows.KindAt(k) == model.KindFloat:
			r.add(rows.T[k], rows.V[k])
		case rows.StaleAt(k):
			r.flags |= model.BucketStale
		default: // other kinds are as little summarised as histograms are
			r.flags = r.flags&^model.BucketStale | model.BucketHistogram
		}
	}
}

// add adds a float, or a stale marker. It is the definition of the columns; addStretch
// does the same faster.
func (r *row) add(t int64, v float64) {
	if value.IsStaleNaN(v) {
		r.flags |= model.BucketStale
		return
	}
	r.flags &^= model.BucketStale
	if !(math.Abs(v) < model.LargeFloat) {
		r.flags |= model.BucketSpecial
	}
	if r.count == 0 {
		r.first, r.firstV = t, v
		r.min, r.max = v, v
	} else {
		if v < r.v1 {
			r.lost += r.v1
			r.resets++
		}
		if v != r.v1 && !(math.IsNaN(v) && math.IsNaN(r.v1)) {
			r.changes++
		}
		// A NaN gives way to any value, a later NaN among them.
		if v < r.min || math.IsNaN(r.min) {
			r.min = v
		}
		if v > r.max || math.IsNaN(r.max) {
			r.max = v
		}
	}
	r.sum, r.c = kahansum.Inc(v, r.sum, r.c)
	r.t1, r.t2, r.t3 = t, r.t1, r.t2
	r.v1, r.v2 = v, r.v1
	r.magnitude = math.Inf(1)
	r.count++
}
