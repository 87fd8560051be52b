package operators

import (
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/internal/model"
	"tsdb/query/source"
	"tsdb/query/steps"
	"tsdb/query/tiers"
	"tsdb/query/window"
)

// Selector is the series and times that an expression reads from the storage.
type Selector struct {
	steps.Moment
	matchers  []*labels.Matcher
	window    int64           // width of the window before a time, milliseconds
	tr        model.TimeRange // covered by the windows of all times
	scope     model.TimeRange // in which series are selected, if wider than tr
	statsOnly bool            // only sum and count of histograms are used
	tiered    tiers.Read      // to choose a tier
}

// NewSelector returns a Selector for a vector selector with windows at the times of a
// grid.
func NewSelector(e *parser.VectorSelector, window int64, g steps.Grid) Selector {
	s := Selector{Moment: steps.MomentOf(e.Timestamp, e.OriginalOffset), matchers: e.LabelMatchers, window: window}
	s.statsOnly = e.SkipHistogramBuckets
	s.tiered = tiers.Read{Grid: g, Moment: s.Moment, Width: window, Modified: e.Smoothed || e.Anchored}
	s.setRange(g)
	return s
}

// Tiered returns what determines the tier that the selector reads.
func (s *Selector) Tiered() tiers.Read { return s.tiered }

// setRange makes the selector cover the windows of a grid's times.
func (s *Selector) setRange(g steps.Grid) {
	if g.N == 0 {
		s.tr = model.TimeRange{}
		return
	}
	first, last := steps.ClampTime(s.Resolve(g.Start)), steps.ClampTime(s.Resolve(g.Last()))
	s.tr = model.TimeRange{Min: steps.ClampTime(first - s.window + 1), Max: last + 1}
}

// listed returns the range in which the series are listed.
func (s *Selector) listed() model.TimeRange {
	if !s.scope.Empty() {
		return s.scope
	}
	return s.tr
}

// read selects the series.
func (s *Selector) read(f *Evaluation) (*source.SeriesSet, error) {
	if s.tr.Empty() {
		return source.EmptySeriesSet(), nil
	}
	set := f.querier.SelectSamples(f.Context(), s.listed(), s.tr, 0, s.matchers)
	ours, ok := set.(*source.SeriesSet)
	if !ok {
		return nil, fmt.Errorf("expanding series: %w", set.Err())
	}
	f.annotateAll(ours.Warnings())
	return ours, nil
}

// readAgain is read for series that have been selected before, from a tier.
func (s *Selector) readAgain(f *Evaluation) (*source.SeriesSet, error) {
	set, err := f.querier.SelectAgain(f.Context(), s.listed(), s.tr, s.matchers)
	if err != nil {
		return nil, err
	}
	f.annotateAll(set.Warnings())
	return set, nil
}

// floatHistogram returns a histogram with float counts. It may be shared.
func floatHistogram(h model.Histogram) *histogram.FloatHistogram {
	switch {
	case h.Int != nil:
		return h.Int.ToFloat(nil)
	default:
		return h.Float
	}
}

// vectorNode is an instant selector.
type vectorNode struct {
	steps.Grid
	selector   Selector
	timestamps bool // the values are the times of the samples, in seconds
}

// NewVector returns an instant selector.
func NewVector(g steps.Grid, s *Selector) Node { return &vectorNode{Grid: g, selector: *s} }

// NewSampleTimes returns timestamp() of a vector selector: the times of the samples
// instead of the evaluation times. at is the time of its @ modifier, or nil.
func NewSampleTimes(g steps.Grid, s *Selector, at *int64) Node {
	s.tiered.Function = tiers.Timestamp
	if at != nil {
		s.tiered.Modified = s.tiered.Modified || *at != s.FixedAt
		s.FixedAt = *at // the offset applies only to the samples read
	}
	n := &vectorNode{Grid: g, selector: *s, timestamps: true}
	return &mapNode{Grid: g, child: n, drops: true}
}

func (n *vectorNode) open(f *Evaluation) (columnSource, error) {
	c, err := n.selector.tier(f)
	switch {
	case err != nil:
		return nil, err
	case c.Tier() != tiers.RawTier:
		return n.openTier(f, c)
	default:
		return n.openRaw(f)
	}
}

func (n *vectorNode) openRaw(f *Evaluation) (columnSource, error) {
	set, err := n.selector.read(f)
	if err != nil {
		return nil, err
	}
	return &vectorSource{vectorNode: n, f: f, set: set, windows: n.windows()}, nil
}

func (n *vectorNode) windows() window.Windows {
	return window.Windows{Grid: n.Grid, Moment: n.selector.Moment, Width: n.selector.window}
}

type vectorSource struct {
	*vectorNode
	f       *Evaluation
	set     *source.SeriesSet
	windows window.Windows
	cuts    window.BoundsCache
}

func (s *vectorSource) len() int { return s.set.Len() }
func (s *vectorSource) labels(i int) (labels.Labels, bool) {
	return s.set.Labels(i), false
}
func (s *vectorSource) distinct() bool { return true }
func (s *vectorSource) close()         {}

func (s *vectorSource) column(w *worker, i int, c *column) error {
	c.metric, c.drop = s.labels(i)
	c.reset(s.N)
	samples, shared, err := w.Load(s.set, i)
	if err != nil || samples.Len() == 0 {
		return err
	}
	s.f.count.steps(&w.tally, s.N)
	if len(samples.H) == 0 && !s.timestamps {
		s.floats(w, window.Samples{T: samples.T, V: samples.V, Shared: shared}, c.v)
		return nil
	}
	var stats []*histogram.FloatHistogram
	if s.selector.statsOnly && len(samples.H) > 0 {
		stats = w.HistogramStats()
	}
	ts, next := samples.T, 0
	var last *histogram.FloatHistogram // of sample lastAt
	lastAt := -1
	for k := range c.v {
		at := s.selector.Resolve(s.Grid.At(k))
		for next < len(ts) && ts[next] <= at {
			next++
		}
		j := next - 1
		if j < 0 || ts[j] <= at-s.selector.window {
			continue
		}
		h := samples.HistogramAt(j)
		switch {
		case h.IsZero():
			if v := samples.V[j]; value.IsStaleNaN(v) {
				continue
			}
			c.v[k] = samples.V[j]
			w.tally.at(k, 1, 1)
		case h.IsStale():
			continue
		default:
			if j != lastAt {
				if lastAt = j; stats != nil {
					last = stats[j]
				} else {
					last = floatHistogram(h)
				}
			}
			if !s.timestamps {
				c.setHistogram(k, last)
				w.tally.at(k, int64(pointsOf(last)), int64(pointsOf(last)))
			} else {
				w.tally.at(k, 1, 1)
			}
		}
		if s.timestamps {
			c.v[k] = float64(ts[j]) / 1000
		}
	}
	return nil
}

// floats sets out to the last sample of each step's window. The series has no
// histograms.
func (s *vectorSource) floats(w *worker, in window.Samples, out []float64) {
	c := s.cuts.Of(&s.windows, in, &w.windows.Bounds)
	lo, hi, vs := c.Lo[:len(out)], c.Hi[:len(out)], in.V
	found := int64(0)
	for i := range out {
		k := hi[i]
		if k == lo[i] || value.IsStaleNaN(vs[k-1]) {
			continue
		}
		out[i] = vs[k-1]
		found++
		if w.tally.totals != nil {
			w.tally.totals[i]++
			w.tally.reads[i]++
		}
	}
	w.tally.total += found
	w.tally.read += found
}

// matrixNode is a range selector that is the whole query. Its value consists of
// samples instead of columns.
type matrixNode struct {
	steps.Grid
	selector Selector
}

// NewMatrix returns a range selector that is the whole query.
func NewMatrix(g steps.Grid, s *Selector) Node {
	s.tiered.Function = tiers.AllSamples
	return &matrixNode{g, *s}
}

// matrix returns the selected samples.
func (n *matrixNode) matrix(f *Evaluation) (promql.Matrix, error) {
	if _, err := n.selector.tier(f); err != nil {
		return nil, err
	}
	set, err := n.selector.read(f)
	if err != nil {
		return nil, err
	}
	m := promql.Matrix{}
	err = f.withWorker(func(w *worker) error {
		f.count.steps(&w.tally, n.N)
		for i := range set.Len() {
			if err := f.Check(); err != nil {
				return err
			}
			samples, _, err := w.Load(set, i)
			if err != nil {
				return err
			}
			s := promql.Series{Metric: set.Labels(i)}
			points := 0
			for k, t := range samples.T {
				switch h := samples.HistogramAt(k); {
				case samples.StaleAt(k):
				case h.IsZero():
					s.Floats = append(s.Floats, promql.FPoint{T: t, F: samples.V[k]})
					points++
				default:
					fh := floatHistogram(h)
					s.Histograms = append(s.Histograms, promql.HPoint{T: t, H: fh})
					points += pointsOf(fh)
				}
			}
			if points == 0 {
				continue
			}
			s.Floats = slices.Clip(s.Floats)
			m = append(m, s)
			w.tally.at(0, int64(points), int64(points))
			if err := f.hold(points); err != nil {
				return err
			}
			if err := f.mem.Reserve(answerBytes(s.Metric, points)); err != nil {
				return err
			}
		}
		return nil
	})
	return m, err
}
