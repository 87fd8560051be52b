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
	n := len(rows.T)
	if n == 0 {
		return
	}
	// Rows are reserved for all buckets and written by index, because appending to
	// fifteen columns costs more than the values of a bucket do.
	to := dst.Grow(b.atMost(rows.T))
	plain := rows.IsPlain()
	ts := rows.T
	for i := 0; i < n; {
		t := ts[i]
		if !b.open || t > b.row.end {
			if b.open {
				b.row.store(dst, to)
				to++
			}
			b.begin(t)
		}
		end, j := b.row.end, i+1
		for j < n && ts[j] <= end {
			j++
		}
		if plain {
			b.row.addFloats(ts[i:j], rows.V[i:j])
		} else {
			b.row.addEntries(rows, i, j)
		}
		i = j
	}
	dst.Truncate(to)
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

// addFloats adds floats without start timestamps, of which there is at least one. It
// assumes that all are ordinary, which the sum shows, and otherwise starts again.
func (r *row) addFloats(ts []int64, vs []float64) {
	n := len(ts)
	ts, vs = ts[:n:n], vs[:n:n]
	firstV, prev := r.firstV, r.v1
	least, most := orderOf(r.min), orderOf(r.max)
	if r.count == 0 {
		firstV, prev = vs[0], vs[0]
		least, most = orderOf(firstV), orderOf(firstV)
	}
	sum, c, lost := r.sum, r.c, r.lost
	resets, changes := uint64(0), uint64(0)
	for _, v := range vs {
		// The error of an addition that does not overflow (Knuth). Kahansum.Inc finds
		// the same with a branch.
		total := sum + v
		virtual := total - sum
		c += (sum - (total - virtual)) + (v - virtual)
		sum = total

		below, differs := uint64(0), uint64(0)
		if v < prev {
			below = 1
		}
		if v != prev {
			differs = 1
		}
		resets += below
		changes += differs
		lost += math.Float64frombits(math.Float64bits(prev) & -below) // prev or 0
		order := orderOf(v)
		least, most = min(least, order), max(most, order)
		prev = v
	}
	low, high := floatOf(least), floatOf(most)
	if !(max(-low, high) < model.LargeFloat) || r.flags&model.BucketSpecial != 0 { // NaN is beyond the infinities
		r.addSlowly(ts, vs)
		return
	}
	if low == 0 || high == 0 { // which of 0 and -0 came first
		low, high = r.firstZero(vs, low, r.min), r.firstZero(vs, high, r.max)
	}
	if r.count == 0 {
		r.first, r.firstV = ts[0], firstV
	}
	switch {
	case n >= 3:
		r.t1, r.t2, r.t3 = ts[n-1], ts[n-2], ts[n-3]
		r.v1, r.v2 = vs[n-1], vs[n-2]
	case n == 2:
		r.t1, r.t2, r.t3 = ts[1], ts[0], r.t1
		r.v1, r.v2 = vs[1], vs[0]
	default:
		r.t1, r.t2, r.t3 = ts[0], r.t1, r.t2
		r.v1, r.v2 = vs[0], r.v1
	}
	r.min, r.max = low, high
	r.sum, r.c, r.lost = sum, c, lost
	r.resets += uint32(resets)
	r.changes += uint32(changes)
	r.flags &^= model.BucketStale
	r.count += uint32(n)
}

// orderOf returns a number that is greater for a greater float. It is below that of
// any float for a NaN with a sign, and above it for other NaNs. With extremes of floats
// a sample takes 3.3 ns instead of 2.0 ns (BenchmarkBuild).
func orderOf(v float64) int64 {
	bits := int64(math.Float64bits(v))
	return bits ^ bits>>63&math.MaxInt64
}

// floatOf returns the float of an order.
func floatOf(order int64) float64 {
	return math.Float64frombits(uint64(order ^ order>>63&math.MaxInt64))
}

// firstZero returns the first zero of the bucket if x, an extreme, is one. before is
// the extreme of the floats before vs.
func (r *row) firstZero(vs []float64, x, before float64) float64 {
	if x != 0 || r.count > 0 && before == 0 {
		if x != 0 {
			return x
		}
		return before
	}
	for _, v := range vs {
		if v == 0 {
			return v
		}
	}
	return x
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

// add adds a float, or a stale marker. It is the definition of the columns; addFloats
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
	r.count++
}
