package ingest

import (
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/api/ingest/doortest"
	"tsdb/internal/model"
)

func TestRemoteWriteHistograms(t *testing.T) {
	custom := &histogram.Histogram{Schema: histogram.CustomBucketsSchema, Count: 6, Sum: 10,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 3}}, PositiveBuckets: []int64{1, 1, 1}, CustomValues: []float64{1, 5}}
	fine := doortest.NewHistogram()
	fine.Schema = 12
	reduced := fine.Copy()
	if err := reduced.ReduceResolution(histogram.ExponentialSchemaMax); err != nil {
		t.Fatal(err)
	}
	gauge := doortest.NewHistogram()
	gauge.CounterResetHint = histogram.GaugeType
	stale := &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}
	negative := doortest.NewHistogram()
	negative.Count = 13
	floating := doortest.NewHistogram().ToFloat(nil)
	floating.Sum = 0.1
	// The bucket indexes of the first are beyond int32, those of the others too
	// far apart to be subtracted as int32.
	spans := func(schema int32, spans ...histogram.Span) *histogram.Histogram {
		return &histogram.Histogram{Schema: schema, ZeroThreshold: 0.001, ZeroCount: 1, Count: 6, Sum: 5,
			PositiveSpans: spans, PositiveBuckets: []int64{1, 1, 0}}
	}
	beyond := spans(0, histogram.Span{Offset: math.MaxInt32, Length: 1}, histogram.Span{Offset: math.MaxInt32, Length: 2})
	far := spans(0, histogram.Span{Offset: math.MaxInt32 - 3, Length: 3})
	below := spans(0, histogram.Span{Offset: math.MinInt32, Length: 3})
	fineBeyond := spans(9, histogram.Span{Offset: math.MaxInt32, Length: 1}, histogram.Span{Offset: math.MaxInt32, Length: 2})
	negativeSide := &histogram.Histogram{Count: 1, NegativeSpans: []histogram.Span{{Offset: math.MaxInt32, Length: 1}}, NegativeBuckets: []int64{1}}
	wraps := &histogram.Histogram{Count: 2, ZeroCount: 4,
		PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{math.MaxInt64, 0}}
	customBeyond := custom.Copy()
	customBeyond.PositiveSpans = []histogram.Span{{Offset: math.MaxInt32, Length: 3}}
	badFloat := doortest.NewHistogram().ToFloat(nil)
	badFloat.PositiveBuckets[0] = -1
	for _, c := range []struct {
		name string
		i    *histogram.Histogram
		f    *histogram.FloatHistogram
		want model.Histogram // zero = refused
		says string
	}{
		{name: "integers", i: doortest.NewHistogram(), want: model.Histogram{Int: doortest.NewHistogram()}},
		{name: "floats", f: floating, want: model.Histogram{Float: floating}},
		{name: "gauge", i: gauge, want: model.Histogram{Int: gauge}},
		{name: "custom buckets", i: custom, want: model.Histogram{Int: custom}},
		{name: "custom buckets of floats", f: custom.ToFloat(nil), want: model.Histogram{Float: custom.ToFloat(nil)}},
		{name: "resolution beyond 8", i: fine, want: model.Histogram{Int: reduced}},
		{name: "resolution beyond 8 of floats", f: fine.ToFloat(nil), want: model.Histogram{Float: reduced.ToFloat(nil)}},
		{name: "stale", i: stale, want: model.Histogram{Int: stale}},
		{name: "stale of floats", f: stale.ToFloat(nil), want: model.Histogram{Float: stale.ToFloat(nil)}},
		{name: "count is not that of the buckets", i: negative, says: "12 observations found in buckets, but the Count field is 13"},
		{name: "negative bucket", f: badFloat, says: "negative"},
		{name: "unknown schema", i: &histogram.Histogram{Schema: 53}, says: "schema"},
		{name: "reserved schema", i: &histogram.Histogram{Schema: -9}, says: "schema"},
		{name: "spans beyond the buckets", i: &histogram.Histogram{Schema: 20, Count: 1, PositiveSpans: []histogram.Span{{Length: math.MaxUint32}}, PositiveBuckets: []int64{1}}, says: "spans"},
		{name: "bucket indexes beyond int32", i: beyond, says: "bucket indexes"},
		{name: "bucket indexes beyond int32 of floats", f: beyond.ToFloat(nil), says: "bucket indexes"},
		{name: "bucket indexes too far up", i: far, says: "bucket indexes"},
		{name: "bucket indexes too far down", i: below, says: "bucket indexes"},
		{name: "bucket indexes beyond int32 at a resolution beyond 8", i: fineBeyond, says: "bucket indexes"},
		{name: "bucket indexes beyond int32 at a resolution beyond 8 of floats", f: fineBeyond.ToFloat(nil), says: "bucket indexes"},
		{name: "bucket indexes of the negative side", f: negativeSide.ToFloat(nil), says: "negative side: span number 1"},
		{name: "counts that wrap around", i: wraps, says: "more observations in buckets than a count can hold"},
		{name: "custom buckets without bounds", i: customBeyond, says: "custom bounds"},
		{name: "custom bounds out of order", i: &histogram.Histogram{Schema: histogram.CustomBucketsSchema, CustomValues: []float64{2, 1}}, says: "increasing"},
	} {
		var h1 prompb.Histogram
		var h2 writev2.Histogram
		if c.i != nil {
			h1, h2 = prompb.FromIntHistogram(base, c.i), writev2.FromIntHistogram(base-5000, base, c.i)
		} else {
			h1, h2 = prompb.FromFloatHistogram(base, c.f), writev2.FromFloatHistogram(base-5000, base, c.f)
		}
		check := func(version string, st int64, send func(*server) answer) {
			t.Run(c.name+"/"+version, func(t *testing.T) {
				d := openDoor(t)
				a := send(d)
				got := d.stored()[`{__name__="h"}`]
				if c.want.IsZero() {
					if a.code != 400 || !strings.Contains(a.body, c.says) || !strings.Contains(a.body, `for series {__name__="h"}`) || got != nil {
						t.Errorf("got %d %q, stored %v, want 400 with %q", a.code, a.body, got, c.says)
					}
					return
				}
				if a.code != 204 {
					t.Fatalf("got %d %q", a.code, a.body)
				}
				if got == nil || got.T[0] != base || got.StartAt(0) != st || !got.HistogramAt(0).Equal(c.want) {
					t.Errorf("stored %v, want %v from %d", got, c.want, st)
				}
			})
		}
		check("1", 0, func(d *server) answer {
			return d.write1(doortest.Request1(prompb.TimeSeries{Labels: doortest.Labels1("__name__", "h"), Histograms: []prompb.Histogram{h1}}))
		})
		check("2", base-5000, func(d *server) answer {
			return d.write2(doortest.NewBuilder2().Add(writev2.TimeSeries{Histograms: []writev2.Histogram{h2}}, "__name__", "h").Request())
		})
	}
}
