package ingest

import (
	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
)

// wireHistogram is what the histogram messages of both remote-write versions
// have in common.
type wireHistogram interface {
	IsFloatHistogram() bool
	ToIntHistogram() *histogram.Histogram
	ToFloatHistogram() *histogram.FloatHistogram
}

// toHistogram returns the histogram of a message, brought to a resolution that
// is kept and checked. The error is worded by Prometheus.
func toHistogram(m wireHistogram, resetHint int32) (model.Histogram, error) {
	if m.IsFloatHistogram() {
		h := m.ToFloatHistogram()
		h.CounterResetHint = counterResetHint(resetHint)
		if tooFine(h.Schema) {
			if err := h.ReduceResolution(histogram.ExponentialSchemaMax); err != nil {
				return model.Histogram{}, err
			}
		}
		return model.Histogram{Float: h}, h.Validate()
	}
	h := m.ToIntHistogram()
	h.CounterResetHint = counterResetHint(resetHint)
	if tooFine(h.Schema) {
		if err := h.ReduceResolution(histogram.ExponentialSchemaMax); err != nil {
			return model.Histogram{}, err
		}
	}
	return model.Histogram{Int: h}, h.Validate()
}

// tooFine reports a schema that is legal on the wire and finer than kept.
func tooFine(schema int32) bool {
	return histogram.IsExponentialSchemaReserved(schema) && schema > histogram.ExponentialSchemaMax
}

func counterResetHint(n int32) histogram.CounterResetHint {
	if n < 0 || n > int32(histogram.GaugeType) {
		return histogram.UnknownCounterReset
	}
	return histogram.CounterResetHint(n)
}
