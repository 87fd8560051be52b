package query

import (
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"tsdb/internal/model"
)

// selector is what an expression reads from the storage.
type selector struct {
	moment
	matchers  []*labels.Matcher
	window    int64           // how far back a time looks, milliseconds
	tr        model.TimeRange // what the windows of all times cover
	look      model.TimeRange // where series are looked for, if that is more
	statsOnly bool            // of histograms only sum and count are looked at
}

// setRange makes the selector cover the windows of a grid's times.
func (s *selector) setRange(g grid) {
	if g.n == 0 {
		s.tr = model.TimeRange{}
		return
	}
	first, last := clampTime(s.seen(g.start)), clampTime(s.seen(g.last()))
	s.tr = model.TimeRange{Min: clampTime(first - s.window + 1), Max: last + 1}
}

// read selects the series.
func (s *selector) read(f *frame) (*seriesSet, error) {
	if s.tr.Empty() {
		return &seriesSet{i: -1}, nil
	}
	look := s.tr
	if !s.look.Empty() {
		look = s.look
	}
	set := f.querier.selectIn(f.ctx, withLead(look), s.tr, 0, s.matchers)
	ours, ok := set.(*seriesSet)
	if !ok {
		return nil, fmt.Errorf("expanding series: %w", set.Err())
	}
	f.annotateAll(ours.Warnings())
	return ours, nil
}

// load reads the samples of series i of a set. They must not be changed and are
// valid until the next load. shared says that their times are never written to.
func (w *worker) load(set *seriesSet, i int) (samples *model.Samples, shared bool, err error) {
	sel := set.sel
	if sel.ended.Load() {
		return nil, false, sel.ctx.Err()
	}
	samples, shared, err = w.columns.Read(sel.ctx, sel.set.At(i), sel.tr)
	if err != nil {
		return nil, false, storageError(err)
	}
	w.loaded = samplesBytes(samples)
	if len(samples.H) == 0 {
		return samples, shared, nil
	}
	// The first histogram's hint takes a look at what lies before it, and the
	// iterator's memory can be written to.
	w.it.take(series{sel, sel.set.At(i)}, samples)
	return &w.it.samples, false, nil
}

// statsOf returns the histograms of samples with sum and count only, and with
// the counter resets that the buckets tell, as Prometheus reads them where
// nothing looks at buckets.
func (w *worker) statsOf(samples *model.Samples) []*histogram.FloatHistogram {
	hs := make([]*histogram.FloatHistogram, samples.Len())
	w.it.i = -1
	it := promql.NewHistogramStatsIterator(&w.it)
	for i := range hs {
		if kind := it.Next(); kind == chunkenc.ValHistogram || kind == chunkenc.ValFloatHistogram {
			_, hs[i] = it.AtFloatHistogram(nil)
		}
	}
	return hs
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
	grid
	selector   selector
	timestamps bool // the values are the times of the samples, in seconds
}

func (n *vectorNode) open(f *frame) (source, error) {
	set, err := n.selector.read(f)
	if err != nil {
		return nil, err
	}
	s := &vectorSource{vectorNode: n, f: f, set: set}
	s.windows = windows{grid: n.grid, moment: n.selector.moment, width: n.selector.window}
	return s, nil
}

type vectorSource struct {
	*vectorNode
	f       *frame
	set     *seriesSet
	windows windows
	cuts    cuts
}

func (s *vectorSource) len() int { return s.set.n }
func (s *vectorSource) labels(i int) (labels.Labels, bool) {
	return s.set.sel.set.At(i).Labels, false
}
func (s *vectorSource) distinct() bool { return true }
func (s *vectorSource) close()         {}

func (s *vectorSource) column(w *worker, i int, c *column) error {
	c.metric, c.drop = s.labels(i)
	c.reset(s.n)
	samples, shared, err := w.load(s.set, i)
	if err != nil || samples.Len() == 0 {
		return err
	}
	s.f.count.steps(&w.tally, s.n)
	if len(samples.H) == 0 && !s.timestamps {
		s.floats(w, span{t: samples.T, v: samples.V, shared: shared}, c.v)
		return nil
	}
	var stats []*histogram.FloatHistogram
	if s.selector.statsOnly && len(samples.H) > 0 {
		stats = w.statsOf(samples)
	}
	ts, next := samples.T, 0
	var last *histogram.FloatHistogram // of sample lastAt
	lastAt := -1
	for k := range c.v {
		at := s.selector.seen(s.grid.at(k))
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

// floats sets out to the last sample of each step's window, of a series that
// has no histograms.
func (s *vectorSource) floats(w *worker, in span, out []float64) {
	c := s.cuts.of(&s.windows, in, &w.windows.cut)
	lo, hi, vs := c.lo[:len(out)], c.hi[:len(out)], in.v
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

// matrixNode is a range selector that is the whole query: its value are
// samples, not columns.
type matrixNode struct {
	grid
	selector selector
}

// matrix returns the samples.
func (n *matrixNode) matrix(f *frame) (promql.Matrix, error) {
	set, err := n.selector.read(f)
	if err != nil {
		return nil, err
	}
	m := promql.Matrix{}
	err = f.alone(func(w *worker) error {
		f.count.steps(&w.tally, n.n)
		for i := range set.n {
			if err := f.check(); err != nil {
				return err
			}
			samples, _, err := w.load(set, i)
			if err != nil {
				return err
			}
			s := promql.Series{Metric: set.sel.set.At(i).Labels}
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
			if err := f.mem.take(answerBytes(s.Metric, points)); err != nil {
				return err
			}
		}
		return nil
	})
	return m, err
}
