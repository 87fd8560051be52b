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
	times RowTimes
	rows  model.Buckets // those with floats
	t     []int64
	v     []float64
	count []int64
	whole Points // see uncut
}

// RowTimes returns what follows from the times of rows for the windows of f, valid
// until the next call. The windows have no lag. Rows must not change before. known is
// of the same windows and function; if it is nil, nothing is cached.
func (s *Scratch) RowTimes(w *Windows, rows *model.Buckets, f bucket.Function, known *RowTimesCache) *RowTimes {
	r := &s.rowScratch
	if known == nil {
		r.times.reset(w, f)
		return &r.times
	}
	return known.of(w, rows, f, &r.times)
}

// LoadRows returns the points of a series of rows, for the row kernel of a function.
// Each row with floats is a point, at the time and with the value of its last float.
// For Instant other rows are points too, with a stale marker. The points are valid
// until the next load; rows must not change before.
//
// times is what RowTimes returned for the rows. No row has a flag of f.NoRows, and
// samples have taken the place of the rows that FailingRows returns.
func (s *Scratch) LoadRows(rows *model.Buckets, times *RowTimes, host Host) *Points {
	r := &s.rowScratch
	p := &s.points
	p.Windows, p.host, p.SamplesBefore, p.params = times.w, host, nil, nil
	p.rising, p.integralBits = false, 0
	times.laid.Do(func() {
		times.none = times.f != bucket.Instant && hasNone(rows.Count)
		kept, t := r.points(rows, times)
		times.layOut(kept, t)
	})
	p.rows, p.t = r.points(rows, times)
	if p.v = p.rows.V1; times.f == bucket.Instant {
		p.v = r.complete(rows)
	}
	p.rowTimes, p.scratch = times, r
	p.Bounds = &times.bounds
	return p
}

// points returns the rows that become points, and their times.
func (r *rowScratch) points(rows *model.Buckets, times *RowTimes) (*model.Buckets, []int64) {
	if times.f == bucket.Instant {
		return rows, r.knownFrom(rows)
	}
	if times.none {
		rows = r.withFloats(rows)
	}
	return rows, rows.T1
}

// withFloats returns the rows that have floats.
func (r *rowScratch) withFloats(rows *model.Buckets) *model.Buckets {
	r.rows.Reset()
	kept := 0
	for i, n := range rows.Count {
		if n == 0 {
			r.rows.AppendRange(rows, kept, i)
			kept = i + 1
		}
	}
	r.rows.AppendRange(rows, kept, rows.Len())
	return &r.rows
}

// knownFrom returns the times from which on the newest entry of each row is known to be
// its last float, or a stale marker.
func (r *rowScratch) knownFrom(rows *model.Buckets) []int64 {
	if FlagsOf(rows.Flags)&model.BucketStale == 0 {
		return rows.T1
	}
	r.t = append(r.t[:0], rows.T1...)
	for k, flags := range rows.Flags {
		if flags&model.BucketStale != 0 {
			r.t[k] = rows.End[k]
		}
	}
	return r.t
}

// complete returns the newest entry of each row, its last float or a stale marker.
func (r *rowScratch) complete(rows *model.Buckets) []float64 {
	if FlagsOf(rows.Flags)&model.BucketStale == 0 {
		return rows.V1
	}
	r.v = append(r.v[:0], rows.V1...)
	for k, flags := range rows.Flags {
		if flags&model.BucketStale != 0 {
			r.v[k] = math.Float64frombits(value.StaleNaN)
		}
	}
	return r.v
}

// SampleTimes replaces values by the times of the samples in seconds. The points must
// have been loaded for Instant.
func (p *Points) SampleTimes() {
	for k, t := range p.t {
		if !value.IsStaleNaN(p.v[k]) {
			p.v[k] = float64(t) / 1000
		}
	}
}

// eachCut calls f with every window that has rows and the part of its first row that
// is in the window, until the query ends.
func (p *Points) eachCut(f func(i int, lo, hi int32, first bucket.Part)) error {
	times := p.rowTimes
	if !times.cut {
		return p.each(func(i int, lo, hi int32) { f(i, lo, hi, bucket.All) })
	}
	return p.each(func(i int, lo, hi int32) { f(i, lo, hi, times.parts[i]) })
}
