package ingest

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/internal/model"
	"tsdb/storage"
)

// wireHistogram is implemented by the histogram messages of both remote-write
// versions and of gRPC.
type wireHistogram interface {
	IsFloatHistogram() bool
	ToIntHistogram() *histogram.Histogram
	ToFloatHistogram() *histogram.FloatHistogram
}

// toHistogram returns the histogram of a message, validated and reduced to a
// resolution that is stored. Errors use Prometheus' words where Prometheus
// refuses the histogram too.
func toHistogram(m wireHistogram, resetHint int32) (model.Histogram, error) {
	var h model.Histogram
	schema := int32(0)
	if m.IsFloatHistogram() {
		h.Float = m.ToFloatHistogram()
		h.Float.CounterResetHint = counterResetHint(resetHint)
		schema = h.Float.Schema
	} else {
		h.Int = m.ToIntHistogram()
		h.Int.CounterResetHint = counterResetHint(resetHint)
		schema = h.Int.Schema
	}
	if finerThanStored(schema) {
		err := h.CheckSpans()
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

func (d *decoder1) addHistogram(m []byte, at int, s *series1, ref model.Ref, b batch) error {
	var p prompb.Histogram
	if err := p.Unmarshal(m); err != nil {
		return &wireError{"Histogram", at}
	}
	d.offered.histograms++
	if ref == 0 {
		return nil
	}
	h, err := toHistogram(&p, int32(p.ResetHint))
	if err != nil {
		return d.refuse(storage.ReasonBadHistogram, s, p.Timestamp, err.Error(), b)
	}
	b.Histogram(ref, p.Timestamp, 0, h)
	return nil
}

func (d *decoder2) addHistogram(m []byte, at int, s *series2, ref model.Ref, b batch) error {
	var p writev2.Histogram
	if err := p.Unmarshal(m); err != nil {
		return &wireError{"Histogram", at}
	}
	d.offered.histograms++
	if ref == 0 {
		return nil
	}
	h, err := toHistogram(&p, int32(p.ResetHint))
	if err != nil {
		d.refuseAt(storage.ReasonBadHistogram, d.labelRefs[s.firstRef:s.lastRef], p.Timestamp, 1, b, "%v", err)
		return nil
	}
	b.Histogram(ref, p.Timestamp, p.StartTimestamp, h)
	return nil
}
