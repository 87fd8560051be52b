package operators

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/query/source"
	"tsdb/query/steps"
	"tsdb/query/window"
)

// storedInput reads samples from the storage.
type storedInput struct{ selector Selector }

func (in *storedInput) open(f *Evaluation, _ steps.Grid) (rangeSeries, error) {
	set, err := in.selector.read(f)
	if err != nil {
		return nil, err
	}
	return &storedSeries{in, set}, nil
}

type storedSeries struct {
	*storedInput
	set *source.SeriesSet
}

func (s *storedSeries) len() int { return s.set.Len() }

func (s *storedSeries) labels(i int) (labels.Labels, bool) {
	return s.set.Labels(i), false
}

func (s *storedSeries) distinct() bool { return true }

func (s *storedSeries) close() {}

func (s *storedSeries) load(w *worker, i int) (window.Samples, error) {
	samples, shared, err := w.Load(s.set, i)
	if err != nil {
		return window.Samples{}, err
	}
	integralBits := 0
	if len(samples.H) == 0 {
		integralBits = w.IntegralBits()
	}
	in := window.Samples{T: samples.T, V: samples.V, St: samples.ST, Stale: integralBits == 0, IntegralBits: integralBits, Shared: shared}
	switch {
	case len(samples.H) == 0:
	case s.selector.statsOnly:
		in.H = w.HistogramStats()
	default:
		in.H = make([]*histogram.FloatHistogram, len(samples.H))
		for k, h := range samples.H {
			in.H[k] = floatHistogram(h)
		}
	}
	return in, nil
}
