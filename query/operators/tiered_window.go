package operators

import (
	"math"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/util/kahansum"

	"tsdb/internal/model"
	"tsdb/query/window"
	"tsdb/rollup/bucket"
)

// An instant query such as increase(x[30d]) has one long window. It cuts at most the
// buckets at its two ends, wherever they have floats, and has all others whole. So it is
// known before anything is read which buckets are, and which samples take the place of
// those that are cut. Instead of the rows of all buckets being copied to make room for
// hundreds of rows of samples, these become one row, if that gives the same answer.

// loadWindow returns the rows of series i for the only window, nil if load has to find
// out about them: because the tier has none, or some that cannot answer.
func (r *tieredRows) loadWindow(w *worker, i int) (*model.Buckets, error) {
	t := &w.tier
	s, _ := r.windows.Ends(r.windows.Grid)
	x := s - r.windows.Width
	atLeft, atRight := r.at(x+1).resolution, r.at(s).resolution
	left, right := bucket.EndOf(x, atLeft), bucket.EndOf(s, atRight) // of the buckets with the ends of the window
	t.buckets.Reset()
	first := 0 // the first row of a whole bucket
	if x < left {
		first = t.buckets.Grow(1) + 1
		t.buckets.End[0] = left
	}
	whole := model.TimeRange{Min: left + 1, Max: right + 1}
	if s < right {
		whole.Max -= atRight
	}
	var err error
	if t.gaps, err = w.Buckets(r.set, i, whole, r.need, &t.buckets, t.gaps[:0]); err != nil {
		return nil, err
	}
	t.ends = t.buckets.End[first:]
	rows := &t.buckets
	if len(t.gaps) > 0 {
		edges, all := int64(2*edgeMs), r.samples.Max-r.samples.Min
		if !r.forced && (lengthOf(t.gaps)*maxGaps > all || edges*maxFailing > all-lengthOf(t.gaps)) {
			return nil, nil
		}
		if err := r.fillGaps(w, i); err != nil {
			return nil, err
		}
		rows = &t.filled
	}
	if flags := window.FlagsOf(rows.Flags); rows.Len() == first || flags&r.noRows != 0 || !r.function.Answers(flags) {
		return nil, nil
	}
	if s < right {
		if ok, err := r.readEdge(w, i, model.TimeRange{Min: right - atRight + 1, Max: s + 1}); !ok {
			return nil, err
		}
		if k := rows.Grow(1); !r.sumUp(t, rows, k, right) {
			rows.Truncate(k)
			rows.AppendSamples(t.edge.T, t.edge.V, r.need)
		}
	}
	if first > 0 {
		if ok, err := r.readEdge(w, i, model.TimeRange{Min: x + 1, Max: left + 1}); !ok {
			return nil, err
		}
		if !r.sumUp(t, rows, 0, left) {
			t.mixed.Reset()
			t.mixed.AppendSamples(t.edge.T, t.edge.V, r.need)
			t.mixed.AppendColumns(rows, first, rows.Len(), r.need)
			rows = &t.mixed
		}
	}
	t.times = w.windows.RowTimes(r.windows, rows, r.function, nil) // there is nothing to gain from those of other series
	return rows, nil
}

// readEdge reads the samples of a bucket that the window cuts. It returns false if there
// are some that rows cannot hold.
func (r *tieredRows) readEdge(w *worker, i int, tr model.TimeRange) (bool, error) {
	t := &w.tier
	t.edge.Reset()
	if err := w.BucketSamples(r.set, i, tr, &t.edge); err != nil {
		return false, err
	}
	return len(t.edge.H) == 0 && (r.noRows&model.BucketStart == 0 || len(t.edge.ST) == 0), nil
}

// summable are the columns that sumUp sets.
const summable = model.ColumnFirst | model.ColumnLast | model.ColumnSum | model.ColumnLost

// sumUp makes row k, which is zero, that of the samples of the edge, all of which are in
// the window, in the bucket with the given end. It returns false if the samples have to
// be rows of their own for the same answer: because the function needs other columns,
// the order of what they lost, or special floats.
func (r *tieredRows) sumUp(t *tierScratch, rows *model.Buckets, k int, end int64) bool {
	if r.need&^summable != 0 {
		return false
	}
	n, first, last := 0, 0, 0
	fell := false
	sum, c, before := 0.0, 0.0, math.Inf(-1)
	for i, v := range t.edge.V {
		if !(math.Abs(v) < model.LargeFloat) {
			if value.IsStaleNaN(v) {
				continue
			}
			return false
		}
		if n == 0 {
			first = i
		}
		n, last = n+1, i
		fell = fell || v < before
		before = v
		if r.need&model.ColumnSum != 0 {
			sum, c = kahansum.Inc(v, sum, c)
		}
	}
	if fell && r.need&model.ColumnLost != 0 {
		return false
	}
	if rows.End[k] = end; n == 0 {
		return true
	}
	rows.Count[k], rows.First[k], rows.T1[k] = uint32(n), t.edge.T[first], t.edge.T[last]
	rows.FirstV[k], rows.V1[k], rows.Sum[k] = t.edge.V[first], t.edge.V[last], sum+c
	t.summed += int64(n) - 1 // the row counts as one
	return true
}
