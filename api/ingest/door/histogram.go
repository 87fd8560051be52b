package door

import (
	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
)

// WireHistogram is implemented by the histogram messages of both remote-write
// versions and of gRPC.
type WireHistogram interface {
	IsFloatHistogram() bool
	ToIntHistogram() *histogram.Histogram
	ToFloatHistogram() *histogram.FloatHistogram
}

// ToHistogram returns the histogram of a message in the form that ToStored gives it.
func ToHistogram(m WireHistogram, resetHint int32) (model.Histogram, error) {
	var h model.Histogram
	if m.IsFloatHistogram() {
		h.Float = m.ToFloatHistogram()
		h.Float.CounterResetHint = counterResetHint(resetHint)
	} else {
		h.Int = m.ToIntHistogram()
		h.Int.CounterResetHint = counterResetHint(resetHint)
	}
	return ToStored(h)
}

// ToStored returns a histogram validated, and reduced to a resolution that is stored,
// which may change the one given. Errors use Prometheus' words where Prometheus refuses
// the histogram too.
func ToStored(h model.Histogram) (model.Histogram, error) {
	schema := int32(0)
	if h.Float != nil {
		schema = h.Float.Schema
	} else {
		schema = h.Int.Schema
	}
	if finerThanStored(schema) {
		err := h.CheckLayout()
		if err != nil {
			return model.Histogram{}, err
		}
		if h.Float != nil {
			err = h.Float.ReduceResolution(histogram.ExponentialSchemaMax)
		} else {
			err = h.Int.ReduceResolution(histogram.ExponentialSchemaMax)
		}
		if err != nil {
			return model.Histogram{}, err
		}
	}
	return h, h.Validate()
}

// finerThanStored reports whether a schema is legal on the wire but finer than
// the finest one stored.
func finerThanStored(schema int32) bool {
	return histogram.IsExponentialSchemaReserved(schema) && schema > histogram.ExponentialSchemaMax
}

func counterResetHint(n int32) histogram.CounterResetHint {
	if n < 0 || n > int32(histogram.GaugeType) {
		return histogram.UnknownCounterReset
	}
	return histogram.CounterResetHint(n)
}
