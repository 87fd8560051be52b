package operators

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/stats"

	"tsdb/query/steps"
	"tsdb/query/window"
)

// Subquery is an expression evaluated on its own grid.
type Subquery struct {
	steps.Grid
	inner steps.Grid
	child Node
}

// NewSubquery returns an expression evaluated on the inner grid.
func NewSubquery(g, inner steps.Grid, child Node) *Subquery { return &Subquery{g, inner, child} }

// values evaluates the expression and counts its samples separately.
func (n *Subquery) values(f *Evaluation) (*table, *stats.QuerySamples, error) {
	if err := f.mem.Fits(gridBytes(n.inner)); err != nil {
		return nil, nil, err
	}
	child := f.separate()
	if n.inner.N > 0 {
		child.count.qs = stats.NewChildWithStepTracking(n.inner.Start, n.inner.Last(), n.inner.Step)
	}
	t, err := child.table(n.child)
	return t, child.count.qs, err
}

// matrix returns the value of a subquery that is the whole query.
func (n *Subquery) matrix(f *Evaluation) (promql.Matrix, error) {
	t, qs, err := n.values(f)
	if err != nil {
		return nil, err
	}
	f.count.qs.IncrementSamplesAtTimestamp(n.Grid.Last(), qs.TotalSamples)
	f.count.qs.MergeSamplesReadFromSubquery(qs, n.Grid.Start, n.Grid.Step, n.Grid.N, 0, 0)
	return f.matrixOf(t, n.inner)
}

// subqueryInput provides the values of a subquery as samples to a range function.
type subqueryInput struct {
	node            *Subquery
	offset, rangeMs int64
}

func (in *subqueryInput) open(f *Evaluation, g steps.Grid) (rangeSeries, error) {
	t, qs, err := in.node.values(f)
	if err != nil {
		return nil, err
	}
	f.count.qs.MergeSamplesReadFromSubquery(qs, g.Start, g.Step, g.N, in.offset, in.rangeMs)
	return &subquerySeries{f: f, Grid: in.node.inner, t: t}, nil
}

type subquerySeries struct {
	steps.Grid
	f *Evaluation
	t *table
}

func (s *subquerySeries) len() int { return len(s.t.cols) }
func (s *subquerySeries) labels(i int) (labels.Labels, bool) {
	return s.t.cols[i].metric, s.t.cols[i].drop
}
func (s *subquerySeries) distinct() bool { return true }
func (s *subquerySeries) close()         { s.f.drop(s.t) }

func (s *subquerySeries) load(w *worker, i int) (window.Samples, error) {
	c := &s.t.cols[i]
	in := window.Samples{Counted: true}
	samples := w.Scratch()
	samples.Reset()
	for k, v := range c.v {
		if !c.has(k) {
			continue
		}
		samples.T = append(samples.T, s.Grid.At(k))
		if h := c.histogramAt(k); h == nil {
			samples.V = append(samples.V, v)
		} else {
			samples.V = append(samples.V, 0)
			if in.H == nil {
				in.H = make([]*histogram.FloatHistogram, len(c.v))
			}
			in.H[len(samples.T)-1] = withoutHint(h)
		}
	}
	in.T, in.V = samples.T, samples.V
	if in.H != nil {
		in.H = in.H[:len(in.T)]
	}
	return in, nil
}

// withoutHint returns a histogram without a counter-reset hint. The hint refers to the
// preceding sample in the storage, not to the preceding value in the subquery.
func withoutHint(h *histogram.FloatHistogram) *histogram.FloatHistogram {
	switch h.CounterResetHint {
	case histogram.NotCounterReset, histogram.CounterReset:
		c := *h
		c.CounterResetHint = histogram.UnknownCounterReset
		return &c
	}
	return h
}
