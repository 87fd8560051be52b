package storage

import (
	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
)

// deriveHints sets the counter-reset hints of the histograms from index first
// on, as Prometheus' own storage gives them. Only "gauge" is stored. A counter
// histogram that continues its predecessor is marked as no reset; where a run
// begins (the first one, after a float, a stale marker or a gauge, at a reset,
// at a change of kind, schema or zero threshold) the hint is unknown: the
// reader compares for itself, as it must when samples between were lost.
//
// Histograms are shared between readers and immutable: one whose hint changes
// is copied, shallowly.
func deriveHints(s *model.Samples, first int) {
	if len(s.H) == 0 {
		return
	}
	var prev model.Histogram
	for i := first; i < len(s.H); i++ {
		h := s.H[i]
		switch {
		case h.IsZero():
		case h.Int != nil:
			if hint := intHint(prev, h); h.Int.CounterResetHint != hint {
				c := *h.Int
				c.CounterResetHint = hint
				s.H[i].Int = &c
			}
		default:
			if hint := floatHint(prev, h); h.Float.CounterResetHint != hint {
				c := *h.Float
				c.CounterResetHint = hint
				s.H[i].Float = &c
			}
		}
		prev = h
	}
}

func intHint(prev, h model.Histogram) histogram.CounterResetHint {
	p, c := prev.Int, h.Int
	switch {
	case c.CounterResetHint == histogram.GaugeType:
		return histogram.GaugeType
	case p == nil || p.CounterResetHint == histogram.GaugeType:
		return histogram.UnknownCounterReset
	case h.IsStale():
		return histogram.NotCounterReset
	case prev.IsStale() || c.Schema != p.Schema || c.ZeroThreshold != p.ZeroThreshold || c.Count < p.Count || c.ZeroCount < p.ZeroCount:
		return histogram.UnknownCounterReset
	case c.ToFloat(nil).DetectReset(p.ToFloat(nil)):
		return histogram.UnknownCounterReset
	}
	return histogram.NotCounterReset
}

func floatHint(prev, h model.Histogram) histogram.CounterResetHint {
	p, c := prev.Float, h.Float
	switch {
	case c.CounterResetHint == histogram.GaugeType:
		return histogram.GaugeType
	case p == nil || p.CounterResetHint == histogram.GaugeType:
		return histogram.UnknownCounterReset
	case h.IsStale():
		return histogram.NotCounterReset
	case prev.IsStale() || c.Schema != p.Schema || c.ZeroThreshold != p.ZeroThreshold || c.DetectReset(p):
		return histogram.UnknownCounterReset
	}
	return histogram.NotCounterReset
}
