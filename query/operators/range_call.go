package operators

import (
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"

	"tsdb/query/window"
)

// windowScratch is the memory of a worker for functions of ranges.
type windowScratch struct {
	window.Scratch
	aggregated aggregateScratch

	// For Prometheus' functions.
	histogramBounds window.Bounds
	floats          []promql.FPoint
	histograms      []promql.HPoint
	starts          promql.StartTimestamps
}

// callEach evaluates the windows of a series one by one with Prometheus' function.
// Native histograms, start timestamps and modifiers are too rare to be worth a second
// implementation.
func (s *rangeSource) callEach(w *worker, i int, in window.Samples, c *column) error {
	sc := &w.windows
	var starts *promql.StartTimestamps
	if s.startTimestamps {
		starts = &sc.starts
		starts.Floats, starts.Histograms = starts.Floats[:0], starts.Histograms[:0]
	}
	sc.floats, sc.histograms = sc.floats[:0], sc.histograms[:0]
	sc.T = sc.T[:0]
	var ht []int64
	for k, t := range in.T {
		st := int64(0)
		if len(in.St) > 0 {
			st = in.St[k]
		}
		switch {
		case len(in.H) > 0 && in.H[k] != nil:
			if value.IsStaleNaN(in.H[k].Sum) {
				continue
			}
			sc.histograms = append(sc.histograms, promql.HPoint{T: t, H: in.H[k]})
			ht = append(ht, t)
			if starts != nil {
				starts.Histograms = append(starts.Histograms, st)
			}
		case !value.IsStaleNaN(in.V[k]):
			sc.floats = append(sc.floats, promql.FPoint{T: t, F: in.V[k]})
			sc.T = append(sc.T, t)
			if starts != nil {
				starts.Floats = append(starts.Floats, st)
			}
		}
	}
	n := s.Grid.N
	sc.Bounds.Find(&s.Windows, sc.T)
	sc.histogramBounds.Find(&s.Windows, ht)
	weights := make([]int64, len(sc.histograms)+1) // of all before
	for k, h := range sc.histograms {
		weights[k+1] = weights[k] + int64(pointsOf(h.H))
	}
	s.f.count.steps(&w.tally, n)

	metric, _ := s.in.labels(i)
	matrix := promql.Matrix{{Metric: metric}}
	params := make([]promql.Vector, len(s.scalars))
	for j := range params {
		params[j] = promql.Vector{{}}
	}
	enh := &promql.EvalNodeHelper{Out: make(promql.Vector, 0, 1)}
	held := 0
	defer func() { s.f.release(held) }()
	var fresh, hfresh int32
	for k := range n {
		if err := s.f.Check(); err != nil {
			return err
		}
		lo, hi, hlo, hhi := sc.Bounds.Lo[k], sc.Bounds.Hi[k], sc.histogramBounds.Lo[k], sc.histogramBounds.Hi[k]
		if lo == hi && hlo == hhi {
			continue
		}
		size := int64(hi-lo) + weights[hhi] - weights[hlo]
		if int(size) > held {
			if err := s.f.hold(int(size) - held); err != nil {
				held = int(size)
				return err
			}
			held = int(size)
		}
		read := int64(hi-max(lo, fresh)) + weights[hhi] - weights[max(hlo, hfresh)]
		fresh, hfresh = max(fresh, hi), max(hfresh, hhi)
		if in.Counted {
			read = 0
		}
		w.tally.at(k, size, read)

		matrix[0].Floats, matrix[0].Histograms = sc.floats[lo:hi], sc.histograms[hlo:hhi]
		for j := range params {
			params[j][0].F = s.scalars[j][k]
		}
		enh.Ts, enh.Out = s.Grid.At(k), enh.Out[:0]
		if starts != nil {
			enh.StartTimestamps = &promql.StartTimestamps{Floats: starts.Floats[lo:hi], Histograms: starts.Histograms[hlo:hhi]}
		}
		out, annos := s.call(params, matrix, s.args, enh)
		s.f.annotateAll(annos)
		if len(out) == 0 {
			continue
		}
		if out[0].H != nil {
			c.setHistogram(k, out[0].H)
		} else {
			c.v[k] = out[0].F
		}
	}
	return nil
}
