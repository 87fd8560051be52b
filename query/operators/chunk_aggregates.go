package operators

import (
	"errors"

	"tsdb/internal/model"
	"tsdb/query/source"
	"tsdb/storage"
)

// chunkAggregates are the functions that are answered from what the directory of a
// block says of a chunk, if the chunk lies in or out of each window as a whole:
// what they take from it. The sums there are not those that adding up sample by
// sample gives, to the last bit.
var chunkAggregates = map[string]func(storage.Aggregate) float64{
	"max_over_time":     func(a storage.Aggregate) float64 { return a.Max },
	"min_over_time":     func(a storage.Aggregate) float64 { return a.Min },
	"count_over_time":   func(a storage.Aggregate) float64 { return 0 },
	"present_over_time": func(a storage.Aggregate) float64 { return 0 },
	"absent_over_time":  func(a storage.Aggregate) float64 { return 0 },
}

// minAggregatedMs is the least length of time, in milliseconds, of chunks that are worth
// not to be read: those of samples a second apart.
const minAggregatedMs = 90 * model.MinuteMs

// holdChunks reports whether there is a good chance of chunks between the
// borders of windows: otherwise the look at the directory is in vain.
func (w *windows) holdChunks() bool {
	_, step := w.ends(w.Grid)
	return w.width >= minAggregatedMs && (step == 0 || step >= minAggregatedMs || w.width-int64(w.N-1)*step >= minAggregatedMs)
}

// aggregatedSeries is storedSeries with one sample in place of each chunk that is
// answered whole.
type aggregatedSeries struct {
	*storedSeries
	windows *windows
	of      func(storage.Aggregate) float64
}

// aggregateScratch is the memory of a worker for a series of some whole chunks.
type aggregateScratch struct {
	samples model.Samples
	t       []int64
	v       []float64
	weights []int32
}

var errHistograms = errors.New("histograms among the samples")

func (s *aggregatedSeries) load(w *worker, i int) (sampleColumns, error) {
	sc := &w.windows.aggregated
	t, v, weights := sc.t[:0], sc.v[:0], sc.weights[:0]
	apart := false // all samples are in sc.samples
	err := s.set.ReadAggregated(i, s.windows.undivided, &sc.samples, func(p storage.Piece) error {
		if p.Samples == nil {
			t, v = append(t, p.Range.Min), append(v, s.of(p.Aggregate))
			weights = append(weights, int32(p.Aggregate.Count))
			return nil
		}
		if len(p.Samples.H) > 0 {
			return errHistograms
		}
		if apart = len(t) == 0 && p.Range.Max == s.set.EndOfRange(); apart {
			return nil
		}
		for k, value := range p.Samples.V {
			if !isAbsent(value) { // no stale marker
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
		return sampleColumns{}, source.WrapError(err)
	case apart:
		return sampleColumns{t: sc.samples.T, v: sc.samples.V, stale: true}, nil
	}
	return sampleColumns{t: t, v: v, weights: weights}, nil
}

// undivided reports whether no window begins or ends between samples of the
// range.
func (w *windows) undivided(tr model.TimeRange) bool {
	end, step := w.ends(w.Grid)
	return !w.passes(end, step, tr) && !w.passes(end-w.width, step, tr)
}

// passes reports whether one of the borders first, first + step, … has times of
// the range on both sides; a time at a border is before it.
func (w *windows) passes(first, step int64, tr model.TimeRange) bool {
	if step == 0 || first >= tr.Min {
		return tr.Min <= first && first < tr.Max-1
	}
	k := (tr.Min - first + step - 1) / step // the first at or after the range's start
	return k < int64(w.N) && first+k*step < tr.Max-1
}
