package doortest

import (
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// Now is the time of the tests, in the middle of a millisecond.
var Now = time.Date(2026, 11, 21, 12, 30, 15, 123_456_789, time.UTC)

// Base is a timestamp with room for samples before and after it.
var Base = Now.UnixMilli() - 60_000

// Snap compresses a message.
func Snap(b []byte) []byte { return snappy.Encode(nil, b) }

// Marshal1 encodes a remote-write 1 request.
func Marshal1(t testing.TB, q *prompb.WriteRequest) []byte {
	t.Helper()
	b, err := q.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Marshal2 encodes a remote-write 2 request.
func Marshal2(t testing.TB, q *writev2.Request) []byte {
	t.Helper()
	b, err := q.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Labels1 makes labels of name, value, name, value, …, in that order.
func Labels1(pairs ...string) []prompb.Label {
	var ls []prompb.Label
	for i := 0; i < len(pairs); i += 2 {
		ls = append(ls, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return ls
}

// Sample1 is a series with one sample.
func Sample1(t int64, v float64, pairs ...string) prompb.TimeSeries {
	return prompb.TimeSeries{Labels: Labels1(pairs...), Samples: []prompb.Sample{{Timestamp: t, Value: v}}}
}

// Request1 is a request of some series.
func Request1(series ...prompb.TimeSeries) *prompb.WriteRequest {
	return &prompb.WriteRequest{Timeseries: series}
}

// Builder2 makes remote-write 2 requests.
type Builder2 struct {
	symbols writev2.SymbolsTable
	Series  []writev2.TimeSeries
}

// NewBuilder2 returns a builder without series.
func NewBuilder2() *Builder2 { return &Builder2{symbols: writev2.NewSymbolTable()} }

// Refs returns the numbers of symbols.
func (b *Builder2) Refs(pairs ...string) []uint32 {
	var refs []uint32
	for _, s := range pairs {
		refs = append(refs, b.symbols.Symbolize(s))
	}
	return refs
}

// Add adds a series with labels.
func (b *Builder2) Add(s writev2.TimeSeries, pairs ...string) *Builder2 {
	s.LabelsRefs = b.Refs(pairs...)
	b.Series = append(b.Series, s)
	return b
}

// Sample adds a series with one sample.
func (b *Builder2) Sample(t int64, v float64, pairs ...string) *Builder2 {
	return b.Add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: t, Value: v}}}, pairs...)
}

// Request returns the request.
func (b *Builder2) Request() *writev2.Request {
	return &writev2.Request{Symbols: b.symbols.Symbols(), Timeseries: b.Series}
}

// NewHistogram returns a native histogram.
func NewHistogram() *histogram.Histogram {
	return &histogram.Histogram{
		Schema: 1, ZeroThreshold: 0.001, ZeroCount: 2, Count: 12, Sum: 18.4,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, 1, -1, 0},
		NegativeSpans: []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 2}}, NegativeBuckets: []int64{1, 1, -1, 0},
	}
}
