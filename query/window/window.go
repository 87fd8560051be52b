package window

import (
	"tsdb/internal/model"
	"tsdb/query/steps"
)

// Windows determines the samples of each step of a range function: those with
// m - Width + Lag < t ≤ m + Lag, where m is the moment of the step.
type Windows struct {
	steps.Grid
	steps.Moment
	Width int64 // milliseconds
	Lag   int64 // milliseconds; > 0 only if samples after the window are read
}

// Points is the input of a kernel: the samples of one series without stale markers,
// and the bounds of the window of each step. A kernel reads nothing else, so that
// other values can replace samples.
type Points struct {
	*Windows
	*Bounds
	t             []int64
	v             []float64
	rising        bool        // as in Samples
	integralBits  int         // as in Samples
	SamplesBefore []int64     // number of samples represented by all points before each point; nil = one per point
	params        [][]float64 // the scalar arguments, one value per step

	rows     *model.Buckets // of LoadRows: what the points are made of
	rowTimes *RowTimes      // of rows
	scratch  *rowScratch

	host   Host
	deque  []int32   // scratch
	sort   []float64 // scratch
	weight []int64   // scratch of SamplesBefore
	sums   []int64   // scratch
}

// Host is the part of a query that a kernel calls.
type Host interface {
	Check() error           // called regularly by long-running kernels; its error ends the kernel
	WarnQuantile(q float64) // adds the warning for an invalid quantile
}

// Kernel sets out[i] to the value of each window i that is not empty.
type Kernel func(p *Points, out []float64) error

// Scratch is a worker's memory for kernels. It is not safe for concurrent use.
type Scratch struct {
	points Points
	rowScratch
	Bounds Bounds
	T      []int64
	v      []float64
}

// Load returns the points of a series: its samples without stale markers, and the
// bounds of its windows. They are valid until the next Load.
func (s *Scratch) Load(w *Windows, in Samples, known *BoundsCache, params [][]float64, host Host) *Points {
	p := &s.points
	if in.Stale {
		in = s.dropStale(in)
	}
	p.Windows, p.t, p.v, p.rising, p.integralBits, p.params, p.host = w, in.T, in.V, in.rising, in.IntegralBits, params, host
	p.Bounds = known.Of(w, in, &s.Bounds)
	p.SamplesBefore = nil
	if len(in.Weights) > 0 {
		p.weigh(in.Weights)
	}
	return p
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// weigh sets the number of samples that each point represents.
func (p *Points) weigh(weights []int32) {
	p.weight = resize(p.weight, len(weights)+1)
	p.SamplesBefore = p.weight
	n := int64(0)
	for k, w := range weights {
		p.SamplesBefore[k] = n
		n += int64(w)
	}
	p.SamplesBefore[len(weights)] = n
}

// Weight returns the number of samples represented by the points lo ≤ k < hi.
func (p *Points) Weight(lo, hi int32) int64 {
	if p.SamplesBefore == nil {
		return int64(hi - lo)
	}
	return p.SamplesBefore[hi] - p.SamplesBefore[lo]
}

// minAggregatedMs is the minimum time range of chunks, in milliseconds, for which
// using aggregates is worthwhile: that of chunks with one sample per second.
const minAggregatedMs = 90 * model.MinuteMs

// HoldChunks reports whether chunks are likely to lie between the borders of windows.
// Otherwise reading the directory is not worthwhile.
func (w *Windows) HoldChunks() bool {
	_, step := w.Ends(w.Grid)
	return w.Width >= minAggregatedMs && (step == 0 || step >= minAggregatedMs || w.Width-int64(w.N-1)*step >= minAggregatedMs)
}

// BeginAt reports whether all windows begin at multiples of a resolution.
func (w *Windows) BeginAt(resolution int64) bool {
	end, step := w.Ends(w.Grid)
	return (end-w.Width)%resolution == 0 && step%resolution == 0
}

// Undivided reports whether no window begins or ends inside the range.
func (w *Windows) Undivided(tr model.TimeRange) bool {
	end, step := w.Ends(w.Grid)
	return !w.passes(end, step, tr) && !w.passes(end-w.Width, step, tr)
}

// passes reports whether any of the borders first, first + step, … has times of the
// range on both sides. A time at a border counts as before it.
func (w *Windows) passes(first, step int64, tr model.TimeRange) bool {
	if step == 0 || first >= tr.Min {
		return tr.Min <= first && first < tr.Max-1
	}
	k := (tr.Min - first + step - 1) / step // the first at or after the range's start
	return k < int64(w.N) && first+k*step < tr.Max-1
}
