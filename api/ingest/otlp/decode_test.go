package otlp

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/storage"
)

// TestBadDataPointsAreRefusedOneByOne: each has a reason and a text, and the good ones
// of its request are stored.
func TestBadDataPointsAreRefusedOneByOne(t *testing.T) {
	counter := func(ms pmetric.MetricSlice) (pmetric.Sum, pmetric.NumberDataPoint) {
		m := ms.AppendEmpty()
		m.SetName("bad")
		s := m.SetEmptySum()
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := s.DataPoints().AppendEmpty()
		p.SetTimestamp(nano)
		p.SetIntValue(1)
		return s, p
	}
	explicit := func(ms pmetric.MetricSlice, bounds []float64, counts []uint64) pmetric.HistogramDataPoint {
		m := ms.AppendEmpty()
		m.SetName("bad")
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := h.DataPoints().AppendEmpty()
		p.SetTimestamp(nano)
		p.ExplicitBounds().FromRaw(bounds)
		p.BucketCounts().FromRaw(counts)
		return p
	}
	exponential := func(ms pmetric.MetricSlice, scale int32) pmetric.ExponentialHistogramDataPoint {
		m := ms.AppendEmpty()
		m.SetName("bad")
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := h.DataPoints().AppendEmpty()
		p.SetTimestamp(nano)
		p.SetScale(scale)
		return p
	}
	many := func(n int) []float64 {
		var list []float64
		for i := range n {
			list = append(list, float64(i))
		}
		return list
	}
	for name, c := range map[string]struct {
		add    func(pmetric.MetricSlice)
		reason storage.Reason
		text   string
		points int
	}{
		"delta sum": {func(ms pmetric.MetricSlice) {
			s, _ := counter(ms)
			s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			s.DataPoints().AppendEmpty()
		}, storage.ReasonUnsupported, `metric "bad" has delta temporality, which is not stored: put the collector's deltatocumulative processor`, 2},
		"no temporality": {func(ms pmetric.MetricSlice) {
			s, _ := counter(ms)
			s.SetAggregationTemporality(pmetric.AggregationTemporalityUnspecified)
		}, storage.ReasonUnsupported, "unknown aggregation temporality (0)", 1},
		"no time":                {func(ms pmetric.MetricSlice) { gaugeOf(ms, "bad", 1).SetTimestamp(0) }, storage.ReasonBadTime, `data point has no time for series {__name__="bad"`, 1},
		"no value":               {func(ms pmetric.MetricSlice) { ms.AppendEmpty().SetName("bad"); noValue(ms.At(ms.Len() - 1)) }, storage.ReasonBadValue, "data point has no value", 1},
		"neither name nor value": {func(ms pmetric.MetricSlice) { noValue(ms.AppendEmpty()) }, storage.ReasonBadValue, "data point has no value", 1},
		"no name":                {func(ms pmetric.MetricSlice) { gaugeOf(ms, "", 1) }, storage.ReasonNoName, "empty name", 1},
		"a name of _":            {func(ms pmetric.MetricSlice) { gaugeOf(ms, "___", 1) }, storage.ReasonBadLabel, "", 1},
		"no data":                {func(ms pmetric.MetricSlice) { ms.AppendEmpty().SetName("bad") }, storage.ReasonUnsupported, "no data of a known type for series bad", 0},
		"name not utf8":          {func(ms pmetric.MetricSlice) { gaugeOf(ms, "a\xff", 1) }, storage.ReasonInvalidUTF8, "is not UTF-8", 1},
		"key not utf8": {func(ms pmetric.MetricSlice) { gaugeOf(ms, "bad", 1).Attributes().PutStr("\xff", "x") },
			storage.ReasonInvalidUTF8, "is not UTF-8", 1},
		"value not utf8": {func(ms pmetric.MetricSlice) { gaugeOf(ms, "bad", 1).Attributes().PutStr("x", "\xff") },
			storage.ReasonInvalidUTF8, "not UTF-8", 1},
		"empty key": {func(ms pmetric.MetricSlice) { gaugeOf(ms, "bad", 1).Attributes().PutStr("", "x") },
			storage.ReasonBadLabel, "label name is empty", 1},
		"many attributes": {func(ms pmetric.MetricSlice) {
			p := gaugeOf(ms, "bad", 1)
			for i := range 200 {
				p.Attributes().PutStr(fmt.Sprint("k", i), "v")
			}
		}, storage.ReasonLimit, "series has 200 labels, limit is 128 (--limit.labels)", 1},
		"long value": {func(ms pmetric.MetricSlice) {
			gaugeOf(ms, "bad", 1).Attributes().PutStr("k", strings.Repeat("x", 20_000))
		}, storage.ReasonLimit, "20000 bytes", 1},
		"deep value": {func(ms pmetric.MetricSlice) {
			v := gaugeOf(ms, "bad", 1).Attributes().PutEmpty("k")
			for range 50 {
				v = v.SetEmptySlice().AppendEmpty()
			}
		}, storage.ReasonBadLabel, "nested more than 32 levels deep", 1},
		"more counts than bounds": {func(ms pmetric.MetricSlice) { explicit(ms, []float64{1}, []uint64{1, 2, 3}) },
			storage.ReasonBadHistogram, "3 bucket counts for 1 bounds", 1},
		"bounds not ascending": {func(ms pmetric.MetricSlice) { explicit(ms, []float64{2, 1}, []uint64{1, 2, 3}) },
			storage.ReasonBadHistogram, "not ascending: number 2 is 1", 1},
		"bound NaN": {func(ms pmetric.MetricSlice) { explicit(ms, []float64{math.NaN()}, []uint64{1, 2}) },
			storage.ReasonBadHistogram, "not ascending: number 1 is NaN", 1},
		"counts overflow": {func(ms pmetric.MetricSlice) { explicit(ms, []float64{1}, []uint64{math.MaxUint64, 2}) },
			storage.ReasonBadHistogram, "more observations", 1},
		"many buckets": {func(ms pmetric.MetricSlice) { explicit(ms, many(maxBuckets+1), make([]uint64, maxBuckets+2)) },
			storage.ReasonLimit, "histogram has 10002 buckets, limit is 10001", 1},
		"many quantiles": {func(ms pmetric.MetricSlice) {
			m := ms.AppendEmpty()
			m.SetName("bad")
			p := m.SetEmptySummary().DataPoints().AppendEmpty()
			p.SetTimestamp(nano)
			for _, v := range many(maxBuckets + 1) {
				p.QuantileValues().AppendEmpty().SetValue(v)
			}
		}, storage.ReasonLimit, "summary has 10001 quantiles, limit is 10000", 1},
		"coarse scale": {func(ms pmetric.MetricSlice) { exponential(ms, -5) }, storage.ReasonBadHistogram, "scale -5, the least is -4", 1},
		"count of buckets": {func(ms pmetric.MetricSlice) {
			exponential(ms, 0).Positive().BucketCounts().FromRaw([]uint64{1, 2})
		}, storage.ReasonBadHistogram, "observations", 1},
		"far offset": {func(ms pmetric.MetricSlice) {
			p := exponential(ms, 0)
			p.Negative().SetOffset(math.MaxInt32)
			p.Negative().BucketCounts().FromRaw([]uint64{1})
		}, storage.ReasonBadHistogram, "bucket indexes", 1},
	} {
		t.Run(name, func(t *testing.T) {
			md, ms := newMetrics(nil)
			gaugeOf(ms, "before", 1)
			c.add(ms)
			gaugeOf(ms, "after", 2)
			m, o, err := decode(t, Settings{}, marshal(t, md))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range m.Samples {
				names = append(names, s.Series)
			}
			if want := []string{`{__name__="before"}`, `{__name__="after"}`}; !slices.Equal(names, want) {
				t.Errorf("stored %v, want %v", names, want)
			}
			rejects := m.Rejects.List()
			if len(rejects) != 1 || rejects[0].Reason != c.reason || !strings.Contains(o.message, c.text) || o.rejectedPoints != c.points {
				t.Errorf("%v\n%+v\nwant %s, %q, %d points", rejects, o, c.reason, c.text, c.points)
			}
		})
	}
}

func noValue(m pmetric.Metric) { m.SetEmptyGauge().DataPoints().AppendEmpty().SetTimestamp(nano) }

// TestDuplicateAttributesAreRefused: the specification forbids them.
func TestDuplicateAttributesAreRefused(t *testing.T) {
	attribute := field(tagNumberAttr, field(tagKey, []byte("a")), field(tagValue, field(tagString, []byte("x"))))
	m, o, err := decode(t, Settings{}, gaugeRequest(nil, attribute, attribute))
	if err != nil || len(m.Samples) != 0 || o.rejectedPoints != 1 || !strings.Contains(o.message, `attribute "a" is given twice`) {
		t.Fatal(m.Samples, o, err)
	}
}

// field encodes a length-prefixed field.
func field(tag uint64, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendVarint(nil, tag), slices.Concat(parts...))
}

func fixed(tag, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendVarint(nil, tag), v)
}

// gaugeRequest encodes a request of a gauge m with one data point, from the fields of the
// resource and the point.
func gaugeRequest(resource []byte, point ...[]byte) []byte {
	p := append(fixed(tagPointTime, uint64(nano)), fixed(tagNumberDouble, math.Float64bits(1))...)
	p = append(slices.Concat(point[:len(point)/2]...), append(p, slices.Concat(point[len(point)/2:]...)...)...)
	metric := field(tagMetric, field(tagMetricName, []byte("m")), field(tagGauge, field(tagDataPoint, p)))
	return field(tagResourceMetrics, field(tagScopeMetrics, metric), resource)
}

// TestAttributesInPartsNameTheSameSeries: the resource after its metrics, and attributes
// before and after other fields.
func TestAttributesInPartsNameTheSameSeries(t *testing.T) {
	a := field(tagNumberAttr, field(tagKey, []byte("a")), field(tagValue, field(tagString, []byte("x"))))
	b := field(tagNumberAttr, field(tagValue, field(tagString, []byte("y"))), field(tagKey, []byte("b")))
	job := field(tagResource, field(tagResourceAttribute, field(tagKey, serviceName), field(tagValue, field(tagString, []byte("shop")))))
	m := doortest.NewMemory()
	q, err := newHandler(m, Settings{}).door.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range [][]byte{gaugeRequest(job, a, b), gaugeRequest(job, nil, nil, a, b), gaugeRequest(job, a, b, nil, nil)} {
		q.Decoder.src = src
		if _, err := q.Store(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(m.Samples) != 1 || m.Samples[0].Series != `{__name__="m", a="x", b="y", job="shop"}` {
			t.Error(m.Samples)
		}
	}
	if m.Resolves != 1 {
		t.Errorf("resolved %d times", m.Resolves)
	}
}

// TestMalformedMessagesAreRefused: nothing of them is stored.
func TestMalformedMessagesAreRefused(t *testing.T) {
	good := gaugeRequest(nil, nil, nil)
	resource := field(tagResource)
	for name, src := range map[string][]byte{
		"cut":                good[:len(good)-1],
		"two resources":      field(tagResourceMetrics, resource, resource),
		"field 0":            {0},
		"wrong type":         {1 << 3, 1},
		"two kinds of data":  field(tagResourceMetrics, field(tagScopeMetrics, field(tagMetric, field(tagGauge), field(tagSum)))),
		"attribute":          gaugeRequest(nil, field(tagNumberAttr, []byte{1<<3 | 2, 9}), nil),
		"resource attribute": gaugeRequest(field(tagResource, field(tagResourceAttribute, []byte{7})), nil, nil),
		"exemplar":           gaugeRequest(nil, field(tagNumberExample, []byte{3<<3 | 2, 0}), nil),
		"packed counts": field(tagResourceMetrics, field(tagScopeMetrics, field(tagMetric, field(tagHistogram,
			field(tagDataPoint, fixed(tagPointTime, uint64(nano)), field(tagHistCounts, []byte{1, 2, 3})), []byte{tagTemporality, temporalityCumulative})))),
		"text": []byte("not protobuf"),
	} {
		m, o, err := decode(t, Settings{}, slices.Concat(good, src))
		if err == nil || !strings.Contains(err.Error(), "malformed protobuf") {
			t.Errorf("%s: %v %+v %v", name, err, o, m.Samples)
		}
	}
}

// TestUnknownFieldsAreSkipped: newer senders have more fields, at every level.
func TestUnknownFieldsAreSkipped(t *testing.T) {
	extra := slices.Concat(field(99<<3|2, []byte("x")), []byte{98<<3&0x7f | 0x80, 98 >> 4, 1})
	src := slices.Concat(extra, gaugeRequest(slices.Concat(extra, field(tagResource, extra)), extra, extra), extra)
	m, o, err := decode(t, Settings{}, src)
	if err != nil || len(m.Samples) != 1 || o != (outcome{}) {
		t.Fatal(m.Samples, o, err)
	}
}

// TestMergedBucketsKeepTheirPlace: of a scale above 8, Prometheus 3.14 puts observations
// that follow an empty bucket into the bucket before theirs. Here they stay in theirs.
func TestMergedBucketsKeepTheirPlace(t *testing.T) {
	for _, c := range []struct {
		scale, offset int32
		counts        []uint64
		spans         []histogram.Span
		buckets       []int64 // counts
	}{
		{9, 0, []uint64{0, 0, 3, 4}, []histogram.Span{{Offset: 1, Length: 2}}, []int64{0, 7}},
		{9, -1, []uint64{1, 2, 3}, []histogram.Span{{Offset: 0, Length: 2}}, []int64{1, 5}},
		{10, -3, []uint64{1, 1, 1, 1, 1}, []histogram.Span{{Offset: 0, Length: 2}}, []int64{3, 2}},
		{20, 5000, []uint64{1, 0, 0, 1}, []histogram.Span{{Offset: 2, Length: 1}}, []int64{2}},
		{math.MaxInt32, -5, []uint64{1, 0, 0, 0, 0, 1}, []histogram.Span{{Offset: 0, Length: 2}}, []int64{1, 1}},
		{8, 3, []uint64{1, 0, 0, 0, 1, 0, 0}, []histogram.Span{{Offset: 4, Length: 1}, {Offset: 3, Length: 3}}, []int64{1, 1, 0, 0}},
	} {
		md, ms := newMetrics(nil)
		x := ms.AppendEmpty()
		x.SetName("h")
		x.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := x.ExponentialHistogram().DataPoints().AppendEmpty()
		p.SetTimestamp(nano)
		p.SetScale(c.scale)
		p.Positive().SetOffset(c.offset)
		p.Positive().BucketCounts().FromRaw(c.counts)
		var count uint64
		for _, n := range c.counts {
			count += n
		}
		p.SetCount(count)
		m, o, err := decode(t, Settings{}, marshal(t, md))
		if err != nil || o != (outcome{}) {
			t.Fatal(o, err)
		}
		h := m.Histograms[0].H.Int
		var counts []int64
		last := int64(0)
		for _, d := range h.PositiveBuckets {
			last += d
			counts = append(counts, last)
		}
		if h.Schema != min(c.scale, 8) || !slices.Equal(h.PositiveSpans, c.spans) || !slices.Equal(counts, c.buckets) {
			t.Errorf("%+v: schema %d, %v, %v", c, h.Schema, h.PositiveSpans, counts)
		}
	}
}

// TestExemplarsGoToTheirBucket, in any order, and refused ones cost no sample.
func TestExemplarsGoToTheirBucket(t *testing.T) {
	md, ms := newMetrics(nil)
	x := ms.AppendEmpty()
	x.SetName("h")
	x.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := x.Histogram().DataPoints().AppendEmpty()
	p.SetTimestamp(nano)
	p.ExplicitBounds().FromRaw([]float64{1, 2, math.Inf(1)})
	p.BucketCounts().FromRaw([]uint64{1, 1, 1, 0})
	p.SetCount(3)
	for _, v := range []float64{9, 1.5, math.NaN(), 1, 0.5} {
		p.Exemplars().AppendEmpty().SetDoubleValue(v)
	}
	p.Exemplars().AppendEmpty() // no value
	long := p.Exemplars().AppendEmpty()
	long.SetDoubleValue(1.7)
	for _, k := range []string{"a", "b"} {
		long.FilteredAttributes().PutStr(k, "x\xff")
	}
	m, o, err := decode(t, Settings{}, marshal(t, md))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range m.Exemplars {
		got = append(got, fmt.Sprint(e.Series[22:], e.E.V))
	}
	if want := []string{`le="1"}0.5`, `le="1"}1`, `le="2"}1.5`, `le="+Inf"}9`, `le="+Inf"}NaN`}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if o.rejectedPoints != 0 || !strings.Contains(o.message, "(bad_exemplar, 2)") || len(m.Samples) != 4 {
		t.Error(o, m.Samples)
	}
}

// TestTargetInfoIsBounded: data points far apart in time do not make millions of samples
// of target_info.
func TestTargetInfoIsBounded(t *testing.T) {
	md, ms := newMetrics(map[string]any{"service.name": "shop", "host.name": "h"})
	gaugeOf(ms, "m", 1).SetTimestamp(pcommon.Timestamp(1e6))
	gaugeOf(ms, "m", 1)
	m, _, err := decode(t, Settings{}, marshal(t, md))
	if err != nil || len(m.Samples) > maxTargetSamples+3 {
		t.Fatal(len(m.Samples), err)
	}
	if last := m.Samples[len(m.Samples)-1]; last.Series != `{__name__="target_info", host_name="h", job="shop"}` || last.T != doortest.Base {
		t.Error(last)
	}
}

// TestMetadataAreStoredOnce: with the first request, and again when they change.
func TestMetadataAreStoredOnce(t *testing.T) {
	request := func(help string) []byte {
		md, ms := newMetrics(map[string]any{"service.name": "shop", "x": "y"})
		for range 3 {
			gaugeOf(ms, "cpu.time", 1)
			ms.At(ms.Len() - 1).SetUnit("s")
			ms.At(ms.Len() - 1).SetDescription(help)
		}
		return marshal(t, md)
	}
	m := doortest.NewMemory()
	h := newHandler(m, Settings{})
	for i, c := range []struct {
		help string
		want string
	}{
		{"a", "map[cpu_time_seconds:{gauge seconds a} target_info:{gauge  Target metadata}]"},
		{"a", "map[]"},
		{"b", "map[cpu_time_seconds:{gauge seconds b}]"},
		{"a", "map[cpu_time_seconds:{gauge seconds a}]"},
	} {
		q, err := h.door.Acquire()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store(t.Context(), q, request(c.help), 0, h.shared.Budget.NewCharge()); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(m.MetadataOf); got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
		q.Release()
	}
}

// TestMemoryBeyondTheBodyIsCharged: quantiles of two bytes each become samples.
func TestMemoryBeyondTheBodyIsCharged(t *testing.T) {
	point := fixed(tagPointTime, uint64(nano))
	for range maxBuckets {
		point = append(point, field(tagSummaryQuantile)...)
	}
	src := field(tagResourceMetrics, field(tagScopeMetrics, field(tagMetric, field(tagMetricName, []byte("s")), field(tagSummary, field(tagDataPoint, point)))))
	m := doortest.NewMemory()
	h := newHandler(m, Settings{})
	q, err := h.door.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	charged := int64(0)
	q.Decoder.src = src
	q.Decoder.budget = spending{paid: int64(len(src)) * door.DecodedCost, charge: func(n int64) error { charged += n; return nil }}
	if _, err := q.Store(t.Context()); err != nil {
		t.Fatal(err)
	}
	if total := charged + int64(len(src))*door.DecodedCost; total < maxBuckets*sampleBytes {
		t.Errorf("%d bytes charged for %d samples", total, len(m.Samples))
	}
}
