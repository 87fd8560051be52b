package otlp

import (
	"encoding/binary"
	"fmt"

	"github.com/prometheus/otlptranslator"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/internal/model"
	"tsdb/storage"
)

// metric is a metric of the request.
type metric struct {
	name, unit, description []byte
	kind                    kind
	resource, scope         uint32     // indexes
	hash                    model.Hash // of all that its series have in common

	derived bool   // the following fields are set
	family  []byte // translated name
	fault   *fault // of the name
}

// kind is the type of a metric, as far as names depend on it.
type kind byte

const (
	kindNone kind = iota
	kindGauge
	kindCounter // a monotonic sum
	kindSum     // one that is not
	kindHistogram
	kindExponential
	kindSummary
)

// translatorType returns the type by which the name is translated.
func (k kind) translatorType() otlptranslator.MetricType {
	return [...]otlptranslator.MetricType{
		otlptranslator.MetricTypeUnknown, otlptranslator.MetricTypeGauge, otlptranslator.MetricTypeMonotonicCounter,
		otlptranslator.MetricTypeNonMonotonicCounter, otlptranslator.MetricTypeHistogram, otlptranslator.MetricTypeExponentialHistogram,
		otlptranslator.MetricTypeSummary,
	}[k]
}

// metadataType returns the number of the type in door.MetricTypes.
func (k kind) metadataType() uint64 {
	return [...]uint64{0, 2, 1, 2, 3, 3, 5}[k]
}

// kindOf returns the kind of the data with a tag.
func kindOf(tag uint64) kind {
	switch tag {
	case tagGauge:
		return kindGauge
	case tagSum:
		return kindSum
	case tagHistogram:
		return kindHistogram
	case tagExpHistogram:
		return kindExponential
	case tagSummary:
		return kindSummary
	}
	return kindNone
}

// addMetric decodes a Metric.
func (d *decoder) addMetric(b *door.Batch, start, end int) error {
	src := d.src[:end]
	m := metric{resource: uint32(len(d.resources) - 1), scope: uint32(len(d.scopes) - 1)}
	var from, to int // of the data
	for i := start; i < end; {
		at := i
		tag, n := wire.Uvarint(src, i)
		var s int
		switch {
		case n < 0:
			i = n
		case tag == tagMetricName:
			s, i = wire.LengthPrefixed(src, n)
			m.name = src[s:max(s, i)]
		case tag == tagDescription:
			s, i = wire.LengthPrefixed(src, n)
			m.description = src[s:max(s, i)]
		case tag == tagUnit:
			s, i = wire.LengthPrefixed(src, n)
			m.unit = src[s:max(s, i)]
		case kindOf(tag) != kindNone:
			if m.kind != kindNone {
				return door.Malformed("Metric with two kinds of data", at)
			}
			m.kind = kindOf(tag)
			from, i = wire.LengthPrefixed(src, n)
			to = i
		default:
			i = wire.SkipField(src, n, tag, metricFields)
		}
		if i < 0 {
			return door.Malformed("Metric", at)
		}
	}
	if m.kind == kindNone {
		b.Reject(storage.ReasonUnsupported, excerpt(m.name), "metric has no data of a known type", 1)
		return nil
	}
	return d.addData(b, &m, from, to)
}

// addData decodes a Gauge, Sum, Histogram, ExponentialHistogram or Summary. The
// temporality, which decides whether the data points are taken, stands after them.
func (d *decoder) addData(b *door.Batch, m *metric, start, end int) error {
	src := d.src[:end]
	hasPoints := false
	var temporality, monotonic uint64
	for i := start; i < end; {
		at := i
		tag, n := wire.Uvarint(src, i)
		switch {
		case n < 0:
			i = n
		case tag == tagDataPoint:
			hasPoints = true
			if _, i = wire.LengthPrefixed(src, n); i >= 0 {
				i = wire.SkipRepeated(src, i, tagDataPoint)
			}
		case tag == tagTemporality && m.kind != kindGauge && m.kind != kindSummary:
			temporality, i = wire.Uvarint(src, n)
		case tag == tagMonotonic && m.kind == kindSum:
			monotonic, i = wire.Uvarint(src, n)
		default:
			known := dataFields
			if m.kind == kindGauge || m.kind == kindSummary {
				known = elementFields
			}
			i = wire.SkipField(src, n, tag, known)
		}
		if i < 0 {
			return door.Malformed("data of Metric", at)
		}
	}
	if !hasPoints {
		return nil
	}
	if monotonic != 0 {
		m.kind = kindCounter
	}
	if m.kind != kindGauge && m.kind != kindSummary && temporality != temporalityCumulative {
		numPoints := 0
		err := eachField(src, start, tagDataPoint, func(int, int) error { numPoints++; return nil })
		d.refuseTemporality(b, m, temporality, numPoints)
		return err
	}
	// One hash serves the aliases and the metadata, so a new description makes new
	// aliases of the same series.
	d.hash = append(d.hash[:0], byte(m.kind))
	d.hash = binary.AppendUvarint(d.hash, uint64(len(m.unit)))
	d.hash = append(append(d.hash, m.unit...), m.description...)
	name := door.AliasOf(b.Seed, m.name)
	sum := within(name, d.hash)
	d.hash = door.AppendHash(d.hash[:0], sum)
	m.hash = within(d.scopes[m.scope].hash, d.hash)
	d.metrics = append(d.metrics, *m)
	d.addMetadata(b, door.MetadataEntry{Slot: name.Lo, Sum: sum.Lo})
	add := (*decoder).addNumberPoint
	switch m.kind {
	case kindHistogram:
		add = (*decoder).addHistogramPoint
	case kindExponential:
		add = (*decoder).addExpHistogramPoint
	case kindSummary:
		add = (*decoder).addSummaryPoint
	}
	for i := start; i < end; {
		tag, n := wire.Uvarint(src, i)
		if tag != tagDataPoint {
			i = wire.SkipField(src, n, tag, 0)
			continue
		}
		var from int
		from, i = wire.LengthPrefixed(src, n)
		d.numPoints++
		if err := add(d, b, from, i); err != nil {
			return err
		}
		if err := b.FlushIfFull(); err != nil {
			return err
		}
	}
	return nil
}

// within returns the hash of bytes that belong to what has the hash h.
func within(h model.Hash, b []byte) model.Hash {
	x := door.AliasOf(h.Lo|1, b)
	x.Hi ^= h.Hi
	return x
}

// metricIndex returns the index of the current metric.
func (d *decoder) metricIndex() uint32 { return uint32(len(d.metrics) - 1) }

// refuseTemporality refuses all data points of a metric that is not cumulative.
func (d *decoder) refuseTemporality(b *door.Batch, m *metric, temporality uint64, numPoints int) {
	d.numPoints += uint32(numPoints)
	d.refusedPoints += numPoints
	b.Offered.Floats += numPoints
	detail := ""
	if b.Labels.WantsDetail(storage.ReasonUnsupported) {
		why := fmt.Sprintf("an unknown aggregation temporality (%d); cumulative (2) is stored", temporality)
		if temporality == temporalityDelta {
			why = "delta temporality, which is not stored: put the collector's deltatocumulative processor before this server, or have the SDK's exporter prefer cumulative temporality"
		}
		detail = fmt.Sprintf("metric %q has %s", excerpt(m.name), why)
	}
	b.Reject(storage.ReasonUnsupported, excerpt(m.name), detail, numPoints)
}

// excerpt returns the beginning of a text from the request, for messages.
func excerpt(b []byte) string { return door.Clip(door.ValidPrefix(b), door.MaxExcerptBytes) }
