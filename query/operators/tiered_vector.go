package operators

import (
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/query/tiers"
	"tsdb/query/window"
)

// tieredVector is an instant selector that is read from a tier if that can answer, and
// otherwise as samples.
type tieredVector struct {
	*vectorNode
	rows    *tieredRows
	windows window.Windows
	raw     opening[*vectorSource]
}

// openTier opens the series of the selector in a tier.
func (n *vectorNode) openTier(f *Evaluation, c tiers.Choice) (columnSource, error) {
	s := &tieredVector{vectorNode: n, windows: n.windows()}
	var err error
	s.rows, err = n.selector.openTier(f, c, &s.windows, false)
	return s, err
}

func (s *tieredVector) len() int                           { return s.rows.set.Len() }
func (s *tieredVector) labels(i int) (labels.Labels, bool) { return s.rows.set.Labels(i), false }
func (s *tieredVector) distinct() bool                     { return true }
func (s *tieredVector) close()                             {}

func (s *tieredVector) column(w *worker, i int, c *column) error {
	c.metric, c.drop = s.labels(i)
	c.reset(s.N)
	f := s.rows.f
	rows, ok, err := s.rows.load(w, i)
	if err != nil {
		return err
	}
	if !ok {
		return s.samples(w, i, c)
	}
	if rows.Len() == 0 {
		return nil
	}
	f.count.steps(&w.tally, s.N)
	p := w.windows.LoadRows(rows, w.tier.times, s)
	if err := s.kernel(p, c.v); err != nil {
		return err
	}
	if err := s.rows.moveWindows(w, rows, s, s.kernel, c.v); err != nil {
		return err
	}
	for k, v := range c.v {
		if !value.IsStaleNaN(v) {
			w.tally.at(k, 1, 1)
		}
	}
	s.rows.countBuckets(&w.tier)
	return nil
}

// kernel sets out to the last sample of each window, or to its time.
func (s *tieredVector) kernel(p *window.Points, out []float64) error {
	if s.timestamps {
		p.SampleTimes()
	}
	return window.RowKernels[s.rows.function](p, out)
}

// Check and WarnQuantile implement window.Host.
func (s *tieredVector) Check() error         { return s.rows.f.Check() }
func (s *tieredVector) WarnQuantile(float64) {} // the last sample is no quantile

// samples sets c to the column of series i, read as samples.
func (s *tieredVector) samples(w *worker, i int, c *column) error {
	f := s.rows.f
	raw, err := s.raw.get(f, func() (*vectorSource, error) {
		set, err := s.selector.readAgain(f)
		return &vectorSource{vectorNode: s.vectorNode, f: f, set: set, windows: s.windows}, err
	})
	if err != nil {
		return err
	}
	if k, ok := indexOf(raw, c.metric); ok {
		return raw.column(w, k, c)
	}
	return nil
}
