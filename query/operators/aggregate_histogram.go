package operators

import (
	"errors"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// histogramFold is the state of a sum or mean that includes a histogram, of one
// group at one step.
type histogramFold struct {
	sum, c, mean *histogram.FloatHistogram
	count        float64

	hasFloat, hasHistogram bool
	incompatible           bool // exponential and custom buckets were mixed: no more are added
	moved                  bool // avg: mean is used because the sum would overflow
	sawReset, sawNotAReset bool
}

// addMixed folds a column into a group with histograms, step by step. Mixing floats
// and histograms is a warning that is added at the end.
func (n *foldNode) addMixed(f *Evaluation, g *fold, c *column) {
	for i, v := range c.v {
		h := c.histogramAt(i)
		if isAbsent(v) && h == nil {
			continue
		}
		s := g.hist[i]
		fresh := s == nil
		if fresh {
			s = &histogramFold{}
			g.hist[i] = s
		}
		switch {
		case s.incompatible:
		case h == nil:
			s.hasFloat = true
			if n.op == parser.SUM {
				addSum(g.v[i:i+1], g.c[i:i+1], c.v[i:i+1])
			} else {
				g.addToMean(i, v)
			}
		case fresh:
			s.hasHistogram, s.count, s.sum = true, 1, h.Copy()
			s.noteReset(h)
		default:
			s.hasHistogram = true
			if s.sum != nil { // otherwise the first value was a float
				n.addHistogram(f, s, h, c.metric)
			}
		}
	}
}

func isHistogram(h *histogram.FloatHistogram) bool { return h != nil }

func (s *histogramFold) noteReset(h *histogram.FloatHistogram) {
	switch h.CounterResetHint {
	case histogram.CounterReset:
		s.sawReset = true
	case histogram.NotCounterReset:
		s.sawNotAReset = true
	}
}

// addHistogram adds a histogram.
func (n *foldNode) addHistogram(f *Evaluation, s *histogramFold, h *histogram.FloatHistogram, metric labels.Labels) {
	s.noteReset(h)
	s.count++
	added := func(reconciled bool, err error) bool {
		if err != nil {
			if errors.Is(err, histogram.ErrHistogramsIncompatibleSchema) {
				f.annotate(annotations.NewMixedExponentialCustomHistogramsWarning(metric.Get(nameLabel), n.pos()))
			}
			s.incompatible = true
			return false
		}
		if reconciled {
			f.annotate(annotations.NewMismatchedCustomBucketsHistogramsInfo(n.pos(), annotations.HistogramAgg))
		}
		return true
	}
	if n.op == parser.SUM {
		c, _, reconciled, err := s.sum.KahanAdd(h, s.c)
		s.c = c
		added(reconciled, err)
		return
	}
	if !s.moved {
		sum, c := s.sum.Copy(), s.c
		if c != nil {
			c = c.Copy()
		}
		c, _, reconciled, err := sum.KahanAdd(h, c)
		if !added(reconciled, err) {
			return
		}
		if !sum.HasOverflow() {
			s.sum, s.c = sum, c
			return
		}
		s.moved = true
		s.mean = s.sum.Copy().Div(s.count - 1)
		if s.c != nil {
			s.c.Div(s.count - 1)
		}
	}
	q := (s.count - 1) / s.count
	if s.c != nil {
		s.c.Mul(q)
	}
	c, _, reconciled, err := s.mean.Mul(q).KahanAdd(h.Copy().Div(s.count), s.c)
	s.c = c
	added(reconciled, err)
}

// finishHistogram returns the sum or mean, or nil if there is none.
func (n *foldNode) finishHistogram(f *Evaluation, s *histogramFold) *histogram.FloatHistogram {
	if s.hasFloat {
		f.annotate(annotations.NewMixedFloatsHistogramsAggWarning(n.pos()))
		return nil
	}
	if s.incompatible {
		return nil
	}
	if s.sawReset && s.sawNotAReset {
		f.annotate(annotations.NewHistogramCounterResetCollisionWarning(n.pos(), annotations.HistogramAgg))
	}
	r, c := s.sum, s.c
	switch {
	case s.moved:
		r = s.mean
	case n.op == parser.AVG:
		r.Div(s.count)
		if c != nil {
			c.Div(s.count)
		}
	}
	if c != nil {
		r, _, _, _ = r.Add(c) // cannot fail where KahanAdd did not
	}
	return r.Compact(0)
}
