package rpcwrite

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/api/ingest/door"
	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

// decoder decodes WriteRequests.
type decoder struct {
	request *tsdbv1.WriteRequest

	first, next int    // series of the group: those of the request from first, up to next
	key         []byte // scratch
}

// Decode implements door.Decoder.
func (d *decoder) Decode(b *door.Batch) error {
	d.first, d.next = 0, 0
	for i, s := range d.request.Series {
		if err := checkColumns(s); err != nil {
			return &door.RequestError{Text: fmt.Sprintf("series %d: %v", i, err)}
		}
		b.Queue(d.alias(b.Seed, s.Labels))
		d.next = i + 1
		if err := b.FlushIfFull(); err != nil {
			return err
		}
	}
	for _, m := range d.request.Metadata {
		b.Metadata([]byte(m.Metric), door.NewMetadata(metricTypeNumber(m.Type), []byte(m.Unit), []byte(m.Help)))
	}
	return nil
}

// NextGroup implements door.Decoder.
func (d *decoder) NextGroup() { d.first = d.next }

// Release implements door.Decoder.
func (d *decoder) Release() { d.request = nil }

// checkColumns returns an error if the columns of a series differ in length.
func checkColumns(s *tsdbv1.SeriesSamples) error {
	n := len(s.Values)
	if len(s.TimesMs) != n {
		return fmt.Errorf("%d times_ms and %d values", len(s.TimesMs), n)
	}
	if starts := len(s.StartTimesMs); starts != 0 && starts != n {
		return fmt.Errorf("%d start_times_ms and %d values", starts, n)
	}
	return nil
}

// alias hashes the labels in the order sent.
func (d *decoder) alias(seed uint64, ls []*tsdbv1.Label) model.Hash {
	d.key = d.key[:0]
	for _, l := range ls {
		d.key = binary.AppendUvarint(d.key, uint64(len(l.Name)))
		d.key = append(d.key, l.Name...)
		d.key = binary.AppendUvarint(d.key, uint64(len(l.Value)))
		d.key = append(d.key, l.Value...)
	}
	return door.AliasOf(seed, d.key)
}

// Labels implements door.Decoder.
func (d *decoder) Labels(k int, set *door.LabelSet) (samples int, err error) {
	s := d.request.Series[d.first+k]
	addLabels(set, s.Labels)
	return len(s.Values) + len(s.Histograms) + len(s.Exemplars), nil
}

func addLabels(set *door.LabelSet, ls []*tsdbv1.Label) {
	for _, l := range ls {
		set.Add([]byte(l.Name), []byte(l.Value))
	}
}

// AddSamples implements door.Decoder.
func (d *decoder) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	for k := from; k < to; k++ {
		s := d.request.Series[d.first+k]
		b.Offered.Floats += len(s.Values)
		b.Offered.Histograms += len(s.Histograms)
		b.Offered.Exemplars += len(s.Exemplars)
		if refs[k] == 0 {
			continue
		}
		if err := addSamples(b, s, k, refs[k]); err != nil {
			return err
		}
	}
	return nil
}

func addSamples(b *door.Batch, s *tsdbv1.SeriesSamples, k int, ref model.Ref) error {
	for i, v := range s.Values {
		var st int64
		if len(s.StartTimesMs) > 0 {
			st = s.StartTimesMs[i]
		}
		b.Float(ref, s.TimesMs[i], st, v)
	}
	for _, m := range s.Histograms {
		h, err := fromMessage(m)
		if err != nil {
			if err := b.RefuseSample(k, storage.ReasonBadHistogram, m.TimeMs, err.Error()); err != nil {
				return err
			}
			continue
		}
		b.Histogram(ref, m.TimeMs, m.StartMs, h)
	}
	for _, x := range s.Exemplars {
		b.Labels.Reset()
		addLabels(&b.Labels, x.Labels)
		ls, bad := b.Labels.BuildExemplar()
		if bad != nil {
			if err := b.RefuseSample(k, bad.Reason, x.TimeMs, bad.Detail); err != nil {
				return err
			}
			continue
		}
		b.Exemplar(ref, model.Exemplar{Labels: ls, T: x.TimeMs, V: x.Value})
	}
	return nil
}

// fromMessage returns the histogram of a message, validated and reduced to a
// resolution that is stored.
func fromMessage(m *tsdbv1.Histogram) (model.Histogram, error) {
	w := histogramMessage{m}
	if m.GetIntegers() == nil && m.GetFloats() == nil {
		return model.Histogram{}, fmt.Errorf("histogram without counts")
	}
	return door.ToHistogram(w, int32(m.ResetHint))
}

// histogramMessage converts a message to histograms. They share no memory with the
// message, which may have to be decoded again.
type histogramMessage struct{ m *tsdbv1.Histogram }

func (h histogramMessage) IsFloatHistogram() bool { return h.m.GetFloats() != nil }

func (h histogramMessage) ToIntHistogram() *histogram.Histogram {
	c := h.m.GetIntegers()
	return &histogram.Histogram{
		Schema: h.m.Schema, ZeroThreshold: h.m.ZeroThreshold, Sum: h.m.Sum,
		PositiveSpans: fromSpans(h.m.PositiveSpans), NegativeSpans: fromSpans(h.m.NegativeSpans), CustomValues: slices.Clone(h.m.CustomValues),
		Count: c.Count, ZeroCount: c.ZeroCount,
		PositiveBuckets: slices.Clone(c.PositiveDeltas), NegativeBuckets: slices.Clone(c.NegativeDeltas),
	}
}

func (h histogramMessage) ToFloatHistogram() *histogram.FloatHistogram {
	c := h.m.GetFloats()
	return &histogram.FloatHistogram{
		Schema: h.m.Schema, ZeroThreshold: h.m.ZeroThreshold, Sum: h.m.Sum,
		PositiveSpans: fromSpans(h.m.PositiveSpans), NegativeSpans: fromSpans(h.m.NegativeSpans), CustomValues: slices.Clone(h.m.CustomValues),
		Count: c.Count, ZeroCount: c.ZeroCount,
		PositiveBuckets: slices.Clone(c.Positive), NegativeBuckets: slices.Clone(c.Negative),
	}
}

func fromSpans(of []*tsdbv1.BucketSpan) []histogram.Span {
	if len(of) == 0 {
		return nil
	}
	all := make([]histogram.Span, len(of))
	for i, s := range of {
		all[i] = histogram.Span{Offset: s.Offset, Length: s.Length}
	}
	return all
}

// metricTypeNumber returns the number of a metric type in the messages of remote
// write, that of the type unknown if the name is not a metric type.
func metricTypeNumber(word string) uint64 {
	return uint64(max(slices.Index(door.MetricTypes[:], word), 0))
}
