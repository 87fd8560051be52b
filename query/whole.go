package query

import (
	"errors"

	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
	"tsdb/storage"
)

// wholeChunks are the functions that are answered from what the directory of a
// block says of a chunk, if the chunk lies in or out of each window as a whole:
// what they take from it. The sums there are not those that adding up sample by
// sample gives, to the last bit.
var wholeChunks = map[string]func(storage.Aggregate) float64{
	"max_over_time":     func(a storage.Aggregate) float64 { return a.Max },
	"min_over_time":     func(a storage.Aggregate) float64 { return a.Min },
	"count_over_time":   func(a storage.Aggregate) float64 { return 0 },
	"present_over_time": func(a storage.Aggregate) float64 { return 0 },
	"absent_over_time":  func(a storage.Aggregate) float64 { return 0 },
}

// wholeMs is a length of time, in milliseconds, that chunks whose values are
// worth not to be read mostly have.
const wholeMs = model.HourMs

// holdChunks reports whether there is a good chance of chunks between the
// borders of windows: otherwise the look at the directory is in vain.
func (w *windows) holdChunks() bool {
	_, step := w.ends(w.grid)
	return w.width >= wholeMs && (step == 0 || step >= wholeMs || w.width-int64(w.n-1)*step >= wholeMs)
}

// wholeSeries is storedSeries with one sample in place of each chunk that is
// answered whole.
type wholeSeries struct {
	*storedSeries
	windows *windows
	of      func(storage.Aggregate) float64
}

// wholeScratch is the memory of a worker for a series of some whole chunks.
type wholeScratch struct {
	samples model.Samples
	t       []int64
	v       []float64
	weights []int32
}

var errHistograms = errors.New("histograms among the samples")

func (s *wholeSeries) load(w *worker, i int) (span, error) {
	sc := &w.windows.whole
	sc.t, sc.v, sc.weights = sc.t[:0], sc.v[:0], sc.weights[:0]
	sel := s.set.sel
	err := sel.set.At(i).Pieces(sel.ctx, sel.tr, s.windows.undivided, &sc.samples, func(p storage.Piece) error {
		if p.Samples == nil {
			sc.t, sc.v = append(sc.t, p.Range.Min), append(sc.v, s.of(p.Aggregate))
			sc.weights = append(sc.weights, int32(p.Aggregate.Count))
			return nil
		}
		if len(p.Samples.H) > 0 {
			return errHistograms
		}
		for k, v := range p.Samples.V {
			if !value.IsStaleNaN(v) {
				sc.t, sc.v, sc.weights = append(sc.t, p.Samples.T[k]), append(sc.v, v), append(sc.weights, 1)
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, errHistograms):
		return s.storedSeries.load(w, i)
	case err != nil:
		return span{}, storageError(err)
	}
	return span{t: sc.t, v: sc.v, weights: sc.weights}, nil
}

// undivided reports whether no window begins or ends between samples of the
// range.
func (w *windows) undivided(tr model.TimeRange) bool {
	end, step := w.ends(w.grid)
	return !w.passes(end, step, tr) && !w.passes(end-w.width, step, tr)
}

// passes reports whether one of the borders first, first + step, … has times of
// the range on both sides; a time at a border is before it.
func (w *windows) passes(first, step int64, tr model.TimeRange) bool {
	if step == 0 || first >= tr.Min {
		return tr.Min <= first && first < tr.Max-1
	}
	k := (tr.Min - first + step - 1) / step // the first at or after the range's start
	return k < int64(w.n) && first+k*step < tr.Max-1
}
