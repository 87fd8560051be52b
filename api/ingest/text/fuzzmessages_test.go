package text

import (
	"bytes"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"tsdb/api/ingest/doortest"
	"tsdb/storage"
)

// FuzzMessages feeds bytes to the decoder of protobuf messages. It never panics, and
// decodes known and new series alike.
func FuzzMessages(f *testing.F) {
	var b bytes.Buffer
	for _, m := range []*dto.MetricFamily{
		{Name: proto.String("c"), Help: proto.String("h"), Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{{Counter: &dto.Counter{Value: proto.Float64(5)}}}},
		{Name: proto.String("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCount: proto.Uint64(1), SampleSum: proto.Float64(1), Schema: proto.Int32(1), ZeroThreshold: proto.Float64(0.1),
			PositiveSpan: []*dto.BucketSpan{{Offset: proto.Int32(0), Length: proto.Uint32(1)}}, PositiveDelta: []int64{1},
		}}}},
		{Name: proto.String("s"), Type: dto.MetricType_SUMMARY.Enum(), Metric: []*dto.Metric{{Summary: &dto.Summary{
			SampleCount: proto.Uint64(1), SampleSum: proto.Float64(1), Quantile: []*dto.Quantile{{Quantile: proto.Float64(0.5), Value: proto.Float64(1)}},
		}}}},
	} {
		if _, err := protodelim.MarshalTo(&b, m); err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(b.Bytes()))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		m := doortest.NewMemory()
		q := doortest.Acquire(t, New(doortest.NewShared(m)).messages)
		q.Decoder.src, q.Decoder.now = src, doortest.Base
		_ = doortest.Twice(t, m, func() (storage.Receipt, error) { return q.Store(t.Context()) }) // bytes that are no messages are refused
	})
}
