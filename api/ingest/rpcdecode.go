package ingest

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

// rpcDecoder adds the contents of a WriteRequest to a batch. It belongs to one
// stream.
type rpcDecoder struct {
	seed    uint64
	labels  labelSet
	request *tsdbv1.WriteRequest

	aliases []model.Hash // by series of the request
	refs    []model.Ref
	key     []byte // scratch
}

func newRPCDecoder(seed uint64, limits storage.Limits) *rpcDecoder {
	return &rpcDecoder{seed: seed, labels: labelSet{limits: limits}}
}

func (d *rpcDecoder) decode(b batch) error {
	d.labels.begin()
	d.aliases = d.aliases[:0]
	for i, s := range d.request.Series {
		if err := checkColumns(s); err != nil {
			return &requestError{fmt.Sprintf("series %d: %v", i, err)}
		}
		d.aliases = append(d.aliases, d.alias(s.Labels))
	}
	d.refs = slices.Grow(d.refs[:0], len(d.aliases))[:len(d.aliases)]
	b.LookupAll(d.aliases, d.refs)
	for i, s := range d.request.Series {
		ref := d.refs[i]
		if ref == 0 {
			var err error
			if ref, err = d.resolve(s, d.aliases[i], b); err != nil {
				return err
			}
			if ref == 0 {
				continue // refused and counted
			}
		}
		d.addSamples(s, ref, b)
	}
	for _, m := range d.request.Metadata {
		if m.Metric != "" && len(m.Metric) <= d.labels.limits.ValueBytes {
			b.Metadata(m.Metric, newMetadata(metricTypeNumber(m.Type), []byte(m.Unit), []byte(m.Help)))
		}
	}
	return nil
}

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
func (d *rpcDecoder) alias(ls []*tsdbv1.Label) model.Hash {
	d.key = d.key[:0]
	for _, l := range ls {
		d.key = binary.AppendUvarint(d.key, uint64(len(l.Name)))
		d.key = append(d.key, l.Name...)
		d.key = binary.AppendUvarint(d.key, uint64(len(l.Value)))
		d.key = append(d.key, l.Value...)
	}
	return aliasOf(d.seed, d.key)
}

func (d *rpcDecoder) resolve(s *tsdbv1.SeriesSamples, alias model.Hash, b batch) (model.Ref, error) {
	n := len(s.Values) + len(s.Histograms) + len(s.Exemplars)
	if n == 0 {
		return 0, nil // there is nothing to store and nothing to refuse
	}
	d.setLabels(s.Labels)
	return resolve(&d.labels, alias, n, b)
}

func (d *rpcDecoder) setLabels(ls []*tsdbv1.Label) {
	d.labels.reset()
	for _, l := range ls {
		d.labels.add([]byte(l.Name), []byte(l.Value))
	}
}

func (d *rpcDecoder) addSamples(s *tsdbv1.SeriesSamples, ref model.Ref, b batch) {
	for i, v := range s.Values {
		var st int64
		if len(s.StartTimesMs) > 0 {
			st = s.StartTimesMs[i]
		}
		b.Float(ref, s.TimesMs[i], st, v)
	}
	for _, m := range s.Histograms {
		h, err := fromRPCHistogram(m)
		if err != nil {
			d.refuse(storage.ReasonBadHistogram, s, m.TimeMs, err.Error(), b)
			continue
		}
		b.Histogram(ref, m.TimeMs, m.StartMs, h)
	}
	for _, x := range s.Exemplars {
		d.setLabels(x.Labels)
		ls, bad := d.labels.buildExemplar()
		if bad != nil {
			d.refuse(bad.Reason, s, x.TimeMs, bad.Detail, b)
			continue
		}
		b.Exemplar(ref, model.Exemplar{Labels: ls, T: x.TimeMs, V: x.Value})
	}
}

// refuse counts a refused sample of a valid series. It overwrites the label set.
func (d *rpcDecoder) refuse(reason storage.Reason, s *tsdbv1.SeriesSamples, t int64, why string, b batch) {
	name := ""
	if d.labels.wantsDetail(reason) {
		d.setLabels(s.Labels)
		d.labels.sort()
		name = d.labels.String()
	}
	b.Reject(reason, name, t, why+" for series "+name, 1)
}

// fromRPCHistogram returns the histogram of a message, validated and reduced to a
// resolution that is stored.
func fromRPCHistogram(m *tsdbv1.Histogram) (model.Histogram, error) {
	w := rpcHistogram{m}
	if m.GetIntegers() == nil && m.GetFloats() == nil {
		return model.Histogram{}, fmt.Errorf("histogram without counts")
	}
	return toHistogram(w, int32(m.ResetHint))
}

// rpcHistogram converts a message to histograms. They share no memory with the
// message, which may have to be decoded again.
type rpcHistogram struct{ m *tsdbv1.Histogram }

func (h rpcHistogram) IsFloatHistogram() bool { return h.m.GetFloats() != nil }

func (h rpcHistogram) ToIntHistogram() *histogram.Histogram {
	c := h.m.GetIntegers()
	return &histogram.Histogram{
		Schema: h.m.Schema, ZeroThreshold: h.m.ZeroThreshold, Sum: h.m.Sum,
		PositiveSpans: fromSpans(h.m.PositiveSpans), NegativeSpans: fromSpans(h.m.NegativeSpans), CustomValues: slices.Clone(h.m.CustomValues),
		Count: c.Count, ZeroCount: c.ZeroCount,
		PositiveBuckets: slices.Clone(c.PositiveDeltas), NegativeBuckets: slices.Clone(c.NegativeDeltas),
	}
}

func (h rpcHistogram) ToFloatHistogram() *histogram.FloatHistogram {
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
func metricTypeNumber(word string) uint64 { return uint64(max(slices.Index(metricTypes[:], word), 0)) }
