package window

import (
	"math"

	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
	"tsdb/rollup/bucket"
)

// RowKernels holds the functions that can be computed from rows of rollups, by
// bucket.Function. They read points loaded with LoadRows for the same function.
//
// Each returns the bits of its counterpart in Kernels, with three exceptions. Sums and
// averages differ by at most 1e-12 times the sum of the magnitudes, unless they are
// integers. Rates and increases can differ in the last bits if fractions are lost in
// two resets in one bucket, and in the sign of zero.
var RowKernels = map[bucket.Function]Kernel{
	bucket.Rate:      func(p *Points, out []float64) error { return rowRate(p, out, true, true) },
	bucket.Increase:  func(p *Points, out []float64) error { return rowRate(p, out, true, false) },
	bucket.Delta:     func(p *Points, out []float64) error { return rowRate(p, out, false, false) },
	bucket.IRate:     func(p *Points, out []float64) error { return rowLastTwo(p, out, true) },
	bucket.IDelta:    func(p *Points, out []float64) error { return rowLastTwo(p, out, false) },
	bucket.Sum:       rowSum,
	bucket.Avg:       rowAvg,
	bucket.Min:       func(p *Points, out []float64) error { return rowExtreme(p, p.rows.Min, out, -1) },
	bucket.Max:       func(p *Points, out []float64) error { return rowExtreme(p, p.rows.Max, out, 1) },
	bucket.Count:     rowCount,
	bucket.Last:      lastOverTime,
	bucket.First:     rowFirst,
	bucket.TsOfLast:  tsOfLastOverTime,
	bucket.TsOfFirst: rowTsOfFirst,
	bucket.Present:   presentOverTime,
	bucket.Absent:    presentOverTime,
	bucket.Resets:    rowResets,
	bucket.Changes:   rowChanges,
	bucket.Instant:   lastOverTime, // a stale marker is set where it is the newest entry
}

// rowScratch is the part of Scratch for rows.
type rowScratch struct {
	rows   model.Buckets // those with floats
	t      []int64
	v      []float64
	count  []int64
	whole  Points // see uncut
	bounds Bounds // of whole
}

// LoadRows returns the points of a series of rows, for the row kernel of f. Each row
// with floats is a point, at the time and with the value of its last float. For
// Instant other rows are points too, with a stale marker. The points are valid until
// the next load; rows must not change before.
//
// The windows have no lag, no row has a flag of f.NoRows, and samples have taken the
// place of the rows that FailingRows returns.
func (s *Scratch) LoadRows(w *Windows, rows *model.Buckets, f bucket.Function, known *BoundsCache, host Host) *Points {
	r := &s.rowScratch
	p := &s.points
	p.Windows, p.host, p.SamplesBefore, p.params = w, host, nil, nil
	p.rising, p.integralBits = false, 0
	switch {
	case f == bucket.Instant:
		r.complete(rows)
		p.t, p.v = r.t, r.v
	default:
		rows = r.withFloats(rows)
		p.t, p.v = rows.T1, rows.V1
	}
	p.rows, p.scratch = rows, r
	p.Bounds = known.Of(w, Samples{T: p.t}, &s.Bounds)
	return p
}

// withFloats returns the rows that have floats.
func (r *rowScratch) withFloats(rows *model.Buckets) *model.Buckets {
	kept, any := 0, false
	for i, n := range rows.Count {
		if n > 0 {
			continue
		}
		if !any {
			any = true
			r.rows.Reset()
		}
		r.rows.AppendRange(rows, kept, i)
		kept = i + 1
	}
	if !any {
		return rows
	}
	r.rows.AppendRange(rows, kept, rows.Len())
	return &r.rows
}

// complete sets the times from which on the newest entry of each row is known to be
// its last float, or a stale marker.
func (r *rowScratch) complete(rows *model.Buckets) {
	r.t, r.v = resize(r.t, rows.Len()), resize(r.v, rows.Len())
	for k, end := range rows.End {
		if rows.Flags[k]&model.BucketStale != 0 {
			r.t[k], r.v[k] = end, math.Float64frombits(value.StaleNaN)
		} else {
			r.t[k], r.v[k] = rows.T1[k], rows.V1[k]
		}
	}
}

// SampleTimes replaces values by the times of the samples in seconds. The points must
// have been loaded for Instant.
func (p *Points) SampleTimes() {
	vs := p.scratch.v
	for k, t := range p.t {
		if !value.IsStaleNaN(vs[k]) {
			vs[k] = float64(t) / 1000
		}
	}
}

// eachCut calls f with every window that has rows and the part of its first row that
// is in the window, until the query ends.
func (p *Points) eachCut(f func(i int, lo, hi int32, first bucket.Part)) error {
	x, step := p.Ends(p.Grid)
	x -= p.Width
	firsts, seconds := p.rows.First, p.rows.T2
	return p.each(func(i int, lo, hi int32) {
		part := bucket.All
		if x := x + int64(i)*step; x >= firsts[lo] {
			if part = bucket.LastTwo; x >= seconds[lo] {
				part = bucket.LastOne
			}
		}
		f(i, lo, hi, part)
	})
}
