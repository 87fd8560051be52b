package operators

import (
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/query/tiers"
	"tsdb/query/window"
)

// tieredSeries is a rangeSeries that is read from a tier if that can answer, and
// otherwise as samples.
type tieredSeries struct {
	*tieredRows
	kernel window.Kernel
	open   func() (rangeSeries, error) // opens the samples of the same selector
	raw    opening[rangeSeries]
}

// openTiered opens the series of a selector in a tier.
func (n *rangeNode) openTiered(f *Evaluation, in *storedInput, c tiers.Choice) (rangeSeries, error) {
	rows, err := in.selector.openTier(f, c, &n.Windows, n.startTimestamps)
	if err != nil {
		return nil, err
	}
	return &tieredSeries{
		tieredRows: rows, kernel: window.RowKernels[c.Function],
		open: func() (rangeSeries, error) { return n.openAgain(f, in) },
	}, nil
}

// openAgain opens the samples of a selector whose series are counted already.
func (n *rangeNode) openAgain(f *Evaluation, in *storedInput) (rangeSeries, error) {
	set, err := in.selector.readAgain(f)
	if err != nil {
		return nil, err
	}
	return n.withAggregates(&storedSeries{in, set}), nil
}

func (s *tieredSeries) len() int                           { return s.set.Len() }
func (s *tieredSeries) labels(i int) (labels.Labels, bool) { return s.set.Labels(i), false }
func (s *tieredSeries) distinct() bool                     { return true }
func (s *tieredSeries) close()                             {}

// load reads the samples of series i.
func (s *tieredSeries) load(w *worker, i int) (window.Samples, error) {
	raw, err := s.raw.get(s.f, s.open)
	if err != nil {
		return window.Samples{}, err
	}
	k, ok := indexOf(raw, s.set.Labels(i))
	if !ok {
		return window.Samples{}, nil
	}
	return raw.load(w, k)
}

// rows evaluates the windows of series i on rows. It returns false if the series must
// be read as samples.
func (s *rangeSource) rows(t *tieredSeries, w *worker, i int, c *column) (ok bool, err error) {
	rows, ok, err := t.tieredRows.load(w, i)
	if err != nil || !ok || rows.Len() == 0 {
		return ok, err
	}
	p := w.windows.LoadRows(rows, w.tier.times, s)
	s.tally(w, p, false)
	s.tallySummed(w)
	held := p.Widest + int(w.tier.summed)
	if err := s.f.hold(held); err != nil {
		return false, err
	}
	defer s.f.release(held)
	t.countBuckets(&w.tier)
	if err := t.kernel(p, c.v); err != nil {
		return false, err
	}
	return true, t.moveWindows(w, rows, s, rowKernel(t.kernel), c.v)
}

// tallySummed counts the samples that have been read for rows of more than one.
func (s *rangeSource) tallySummed(w *worker) {
	if n := w.tier.summed; n > 0 { // there is one window
		w.tally.total, w.tally.read = w.tally.total+n, w.tally.read+n
		if w.tally.totals != nil {
			w.tally.totals[0], w.tally.reads[0] = w.tally.totals[0]+n, w.tally.reads[0]+n
		}
	}
}
