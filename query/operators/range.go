package operators

import (
	"slices"
	"sync/atomic"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/schema"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/internal/model"
	"tsdb/query/admission"
	"tsdb/query/steps"
	"tsdb/query/tiers"
	"tsdb/query/window"
)

// rangeInput opens the series that a range function reads.
type rangeInput interface {
	open(f *Evaluation, g steps.Grid) (rangeSeries, error)
}

type rangeSeries interface {
	len() int
	labels(i int) (labels.Labels, bool)
	distinct() bool
	// load reads the samples of series i. They are valid until the next load by the
	// same worker.
	load(w *worker, i int) (window.Samples, error)
	close()
}

// rangeNode is a call of a range function.
type rangeNode struct {
	window.Windows
	name      string
	expr      *parser.Call
	rangeMs   int64
	input     rangeInput
	params    []Node             // the scalar arguments
	args      parser.Expressions // as expected by Prometheus' functions
	kernel    window.Kernel      // nil = call is used
	call      promql.FunctionCall
	keepsName bool

	startTimestamps bool // the function uses start timestamps
}

// RangeCall describes a call of a range function.
type RangeCall struct {
	Call    *parser.Call
	Arg     int                    // the index of the range in the arguments
	Matrix  *parser.MatrixSelector // the range as expected by Prometheus' functions
	Grid    steps.Grid
	RangeMs int64
	Lead    int64  // milliseconds read before the range
	Lag     int64  // milliseconds read after the range
	Params  []Node // the other arguments

	StartTimestamps bool // rates use start timestamps

	moment steps.Moment
	input  rangeInput
}

// ReadStored makes the samples of a selector the input. If the call's grid is a part
// of a larger grid, series are selected for that grid, whole; otherwise whole is
// empty.
func (r *RangeCall) ReadStored(s *Selector, whole steps.Grid) {
	s.tiered.Function = r.Call.Func.Name
	s.window += r.Lead
	s.setRange(r.Grid)
	s.tr.Max += r.Lag
	if whole.N > 0 {
		all := *s
		all.setRange(whole)
		s.scope = model.TimeRange{Min: all.tr.Min, Max: all.tr.Max + r.Lag}
	}
	r.moment, r.input = s.Moment, &storedInput{selector: *s}
}

// NewRange returns a call of a range function.
func NewRange(r RangeCall) (Node, error) {
	n := &rangeNode{
		Windows: window.Windows{Grid: r.Grid, Moment: r.moment, Width: r.RangeMs + r.Lead + r.Lag, Lag: r.Lag},
		name:    r.Call.Func.Name, expr: r.Call, rangeMs: r.RangeMs, input: r.input, params: r.Params,
		args: slices.Clone(r.Call.Args),
	}
	n.args[r.Arg] = r.Matrix
	vs := r.Matrix.VectorSelector.(*parser.VectorSelector)
	if k, ok := window.Kernels[n.name]; ok && !vs.Smoothed && !vs.Anchored {
		n.kernel = k
	}
	n.call = promql.FunctionCalls[n.name]
	if n.call == nil {
		return nil, Uncovered(n.name)
	}
	n.keepsName = n.name == "last_over_time" || n.name == "first_over_time"
	switch n.name {
	case "rate", "irate", "increase", "resets":
		n.startTimestamps = r.StartTimestamps
	}
	if n.name == "absent_over_time" {
		return &absentNode{Grid: r.Grid, child: n, metric: absentLabels(n.args[0]), drop: true}, nil
	}
	return n, nil
}

func (n *rangeNode) open(f *Evaluation) (columnSource, error) {
	in, err := n.openInput(f)
	if err != nil {
		return nil, err
	}
	s := &rangeSource{rangeNode: n, f: f, in: in}
	for _, p := range n.params {
		v, err := f.scalar(p)
		if err != nil {
			return nil, err
		}
		s.scalars = append(s.scalars, v)
	}
	if f.DelayedNames || n.keepsName || n.name == "absent_over_time" {
		return s, nil
	}
	if distinct, err := f.staysDistinct(in); err != nil || distinct {
		return s, err
	}
	// Without their names, series can be equal. That is an error if both have
	// values, even at different steps.
	if f.divided {
		return nil, steps.ErrIndivisible
	}
	t, err := f.gather(s)
	if err != nil {
		return nil, err
	}
	hashes := admission.NewScratch(f.mem)
	defer hashes.Close()
	if err := hashes.Reserve(entryBytes * int64(len(t.cols))); err != nil {
		return nil, err
	}
	if anyEqual(t.cols) {
		return nil, errSameLabels
	}
	return &tableSource{f: f, t: t}, nil
}

// openInput opens the series that the function reads.
func (n *rangeNode) openInput(f *Evaluation) (rangeSeries, error) {
	if stored, ok := n.input.(*storedInput); ok {
		c, err := stored.selector.tier(f)
		switch {
		case err != nil:
			return nil, err
		case c.Tier() != tiers.RawTier:
			return n.openTiered(f, stored, c)
		}
	}
	in, err := n.input.open(f, n.Grid)
	if err != nil {
		return nil, err
	}
	if stored, ok := in.(*storedSeries); ok {
		return n.withAggregates(stored), nil
	}
	return in, nil
}

// withAggregates lets chunks be read from a block's directory if that is worthwhile.
func (n *rangeNode) withAggregates(s *storedSeries) rangeSeries {
	if of, ok := chunkAggregates[n.name]; ok && n.kernel != nil && n.HoldChunks() {
		return &aggregatedSeries{storedSeries: s, windows: &n.Windows, of: of}
	}
	return s
}

// staysDistinct reports whether series with distinct labels are still distinct after
// their names are dropped.
func (f *Evaluation) staysDistinct(s interface {
	len() int
	labels(i int) (labels.Labels, bool)
	distinct() bool
}) (bool, error) {
	if s.len() < 2 {
		return true, nil
	}
	if !s.distinct() {
		return false, nil
	}
	hashes := admission.NewScratch(f.mem)
	defer hashes.Close()
	// Dropping the same name from all series, without type and unit, cannot make two
	// series equal. Other label sets are compared by their hashes.
	var (
		name string
		buf  []byte
		seen map[uint64]struct{}
	)
	for i := range s.len() {
		if i%1024 == 0 {
			if err := f.Check(); err != nil {
				return false, err
			}
		}
		ls, _ := s.labels(i)
		if seen == nil {
			n := ls.Get(nameLabel)
			if i == 0 {
				name = n
			}
			if n == name && !ls.Has(typeLabel) && !ls.Has(unitLabel) {
				continue
			}
			if err := hashes.Reserve(entryBytes * int64(s.len())); err != nil {
				return false, err
			}
			seen = make(map[uint64]struct{}, s.len())
			for k := range i {
				ls, _ := s.labels(k)
				var h uint64
				h, buf = ls.HashWithoutLabels(buf, typeLabel, unitLabel)
				seen[h] = struct{}{}
			}
		}
		var h uint64
		h, buf = ls.HashWithoutLabels(buf, typeLabel, unitLabel)
		if _, ok := seen[h]; ok {
			return false, nil
		}
		seen[h] = struct{}{}
	}
	return true, nil
}

// The labels of the metric name, its type and its unit.
const (
	nameLabel = commonmodel.MetricNameLabel
	typeLabel = commonmodel.MetricTypeLabel
	unitLabel = commonmodel.MetricUnitLabel
)

// dropped returns labels without the metric's name, type and unit.
func dropped(ls labels.Labels) labels.Labels { return ls.DropReserved(schema.IsMetadataLabel) }

type rangeSource struct {
	*rangeNode
	f       *Evaluation
	in      rangeSeries
	scalars [][]float64
	noted   atomic.Pointer[metricSteps] // cache of noteName
	cuts    window.BoundsCache
}

func (s *rangeSource) len() int { return s.in.len() }

// ReadSubquery makes the values of a subquery the input of the call.
func (r *RangeCall) ReadSubquery(q *Subquery, m steps.Moment, offset int64) {
	r.moment, r.input = m, &subqueryInput{node: q, offset: offset, rangeMs: r.RangeMs}
}

func (s *rangeSource) labels(i int) (labels.Labels, bool) {
	ls, drop := s.in.labels(i)
	drop = drop || !s.keepsName
	if drop && !s.f.DelayedNames {
		ls = dropped(ls)
	}
	return ls, drop
}

// distinct returns true: open has checked for equal labels.
func (s *rangeSource) distinct() bool { return true }

func (s *rangeSource) close() { s.in.close() }

func (s *rangeSource) column(w *worker, i int, c *column) error {
	c.metric, c.drop = s.labels(i)
	c.reset(s.Grid.N)
	if t, ok := s.in.(*tieredSeries); ok {
		if answered, err := s.rows(t, w, i, c); err != nil {
			return err
		} else if answered {
			return s.note(i, c)
		}
	}
	in, err := s.in.load(w, i)
	if err != nil || len(in.T) == 0 {
		return err
	}
	if len(in.H) > 0 || s.startTimestamps && len(in.St) > 0 || s.kernel == nil {
		err = s.callEach(w, i, in, c)
	} else {
		err = s.runKernel(w, in, c)
	}
	if err != nil {
		return err
	}
	return s.note(i, c)
}

// note records whether a rate of column i is that of a counter.
func (s *rangeSource) note(i int, c *column) error {
	if s.name == "rate" || s.name == "increase" {
		return s.noteName(i, c)
	}
	return nil
}

// runKernel evaluates all windows of a series of floats.
func (s *rangeSource) runKernel(w *worker, in window.Samples, c *column) error {
	p := w.windows.Load(&s.Windows, in, &s.cuts, s.scalars, s)
	s.tally(w, p, in.Counted)
	if err := s.f.hold(p.Widest); err != nil {
		return err
	}
	defer s.f.release(p.Widest)
	return s.kernel(p, c.v)
}

// tally counts the samples of the windows. At each step, the samples that were not
// in the window of the step before count as read.
func (s *rangeSource) tally(w *worker, p *window.Points, counted bool) {
	c := p.Bounds
	s.f.count.steps(&w.tally, s.Grid.N)
	if p.SamplesBefore == nil {
		w.tally.total += c.Total
	} else { // the bounds may be shared with series whose points stand for fewer samples
		for i, lo := range c.Lo {
			w.tally.total += p.Weight(lo, c.Hi[i])
		}
	}
	if !counted {
		w.tally.read += c.Read
	}
	if w.tally.totals == nil {
		return
	}
	since := int32(0)
	for i, lo := range c.Lo {
		w.tally.totals[i] += p.Weight(lo, c.Hi[i])
		if !counted {
			w.tally.reads[i] += int64(c.Hi[i] - max(since, lo))
		}
		since = c.Hi[i]
	}
}

func (s *rangeSource) Check() error { return s.f.Check() }

func (s *rangeSource) WarnQuantile(q float64) {
	s.f.annotate(annotations.NewInvalidQuantileWarning(q, s.args[0].PositionRange()))
}
