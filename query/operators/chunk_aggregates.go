package operators

import (
	"errors"

	"tsdb/internal/model"
	"tsdb/query/source"
	"tsdb/query/window"
	"tsdb/storage"
)

// chunkAggregates holds the functions that can be computed from the aggregates in a
// block's directory if a chunk is completely inside or outside of each window. It
// does not include sums: those of the directory can differ in the last bit from
// sums computed sample by sample.
var chunkAggregates = map[string]func(storage.Aggregate) float64{
	"max_over_time":     func(a storage.Aggregate) float64 { return a.Max },
	"min_over_time":     func(a storage.Aggregate) float64 { return a.Min },
	"count_over_time":   func(a storage.Aggregate) float64 { return 0 },
	"present_over_time": func(a storage.Aggregate) float64 { return 0 },
	"absent_over_time":  func(a storage.Aggregate) float64 { return 0 },
}

// aggregatedSeries is storedSeries with chunks replaced by one sample each if their
// aggregates can be used.
type aggregatedSeries struct {
	*storedSeries
	windows *window.Windows
	of      func(storage.Aggregate) float64
}

// aggregateScratch is the memory of a worker for a series with chunk aggregates.
type aggregateScratch struct {
	samples model.Samples
	t       []int64
	v       []float64
	weights []int32
}

var errHistograms = errors.New("histograms among the samples")

func (s *aggregatedSeries) load(w *worker, i int) (window.Samples, error) {
	sc := &w.windows.aggregated
	t, v, weights := sc.t[:0], sc.v[:0], sc.weights[:0]
	unaggregated := false // all samples are in sc.samples
	err := s.set.ReadAggregated(i, s.windows.Undivided, &sc.samples, func(p storage.Interval) error {
		if p.Samples == nil {
			t, v = append(t, p.Range.Min), append(v, s.of(p.Aggregate))
			weights = append(weights, int32(p.Aggregate.Count))
			return nil
		}
		if len(p.Samples.H) > 0 {
			return errHistograms
		}
		if unaggregated = len(t) == 0 && p.Range.Max == s.set.EndOfRange(); unaggregated {
			return nil
		}
		for k, value := range p.Samples.V {
			if !isAbsent(value) { // not a stale marker
				t, v, weights = append(t, p.Samples.T[k]), append(v, value), append(weights, 1)
			}
		}
		return nil
	})
	sc.t, sc.v, sc.weights = t, v, weights
	switch {
	case errors.Is(err, errHistograms):
		return s.storedSeries.load(w, i)
	case err != nil:
		return window.Samples{}, source.WrapError(err)
	case unaggregated:
		return window.Samples{T: sc.samples.T, V: sc.samples.V, Stale: true}, nil
	}
	return window.Samples{T: t, V: v, Weights: weights}, nil
}
