package promread

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
)

// histogramChunk returns a chunk of one native histogram.
func histogramChunk(t testing.TB, h *histogram.Histogram) []byte {
	t.Helper()
	c := chunkenc.NewHistogramChunk()
	app, err := c.Appender()
	must(t, err)
	_, _, _, err = app.AppendHistogram(nil, 0, 1000, h, false)
	must(t, err)
	return c.Bytes()
}

// A few bytes may name any number of buckets, which the library would allocate.
func TestChunkWithTooManyBucketsIsRefused(t *testing.T) {
	var dst model.Samples
	var it chunkenc.Iterator
	good := tsdbutil.GenerateTestHistogram(3)
	must(t, appendChunk(&dst, 2, histogramChunk(t, good), &it))
	if dst.Len() != 1 || !dst.HistogramAt(0).Int.Equals(good) {
		t.Errorf("%+v", dst)
	}
	var bits []byte // of a chunk: threshold 0, schema 0, one span of 2^32 - 1 buckets
	put := func(text string) { bits = append(bits, text...) }
	put("00000000" + "0" + "10001" + "11111110" + strings.Repeat("0", 24) + strings.Repeat("1", 32) + "0" + "0")
	chunk := []byte{0, 1, 0}
	for len(bits)%8 != 0 {
		bits = append(bits, '0')
	}
	for i := 0; i < len(bits); i += 8 {
		b := byte(0)
		for _, c := range bits[i : i+8] {
			b = b<<1 | (c - '0')
		}
		chunk = append(chunk, b)
	}
	chunk = append(chunk, make([]byte, 64)...)
	if err := appendChunk(&dst, 2, chunk, &it); err == nil || !strings.Contains(err.Error(), "buckets") {
		t.Errorf("a span of 2^32 - 1 buckets: %v", err)
	}
	for _, data := range [][]byte{nil, {0}, {0, 1, 0}, {0, 1, 0, 255}} {
		for encoding := range uint64(8) {
			if err := appendChunk(&dst, encoding, data, &it); err == nil {
				t.Errorf("encoding %d: %x was taken", encoding, data)
			}
		}
	}
}

// FuzzStream: no stream makes the reader panic or pass on samples outside of the window.
func FuzzStream(f *testing.F) {
	frame := func(series *prompb.ChunkedSeries) []byte {
		b, err := (&prompb.ChunkedReadResponse{ChunkedSeries: []*prompb.ChunkedSeries{series}}).Marshal()
		must(f, err)
		return b
	}
	x := chunkenc.NewXORChunk()
	app, err := x.Appender()
	must(f, err)
	for i := range int64(10) {
		app.Append(0, i*1000, float64(i))
	}
	ls := []prompb.Label{{Name: "__name__", Value: "m"}}
	f.Add(frame(&prompb.ChunkedSeries{Labels: ls, Chunks: []prompb.Chunk{{Type: prompb.Chunk_XOR, Data: x.Bytes()}}}))
	f.Add(frame(&prompb.ChunkedSeries{Labels: ls, Chunks: []prompb.Chunk{{Type: prompb.Chunk_HISTOGRAM, Data: histogramChunk(f, tsdbutil.GenerateTestHistogram(1))}}}))
	f.Fuzz(func(t *testing.T, message []byte) {
		r := newTestReader(t)
		in := binary.AppendUvarint(nil, uint64(len(message)))
		in = binary.BigEndian.AppendUint32(in, crc32.Checksum(message, castagnoli))
		if r.readStream(bufio.NewReader(bytes.NewReader(append(in, message...)))) == nil {
			must(t, r.flush(true))
		}
	})
}

// FuzzSamples is FuzzStream for a message of samples.
func FuzzSamples(f *testing.F) {
	b, err := (&prompb.ReadResponse{Results: []*prompb.QueryResult{{Timeseries: []*prompb.TimeSeries{{
		Labels: []prompb.Label{{Name: "__name__", Value: "m"}}, Samples: []prompb.Sample{{Value: math.Inf(1), Timestamp: 2000}},
		Histograms: []prompb.Histogram{prompb.FromIntHistogram(3000, tsdbutil.GenerateTestHistogram(1)), prompb.FromFloatHistogram(4000, tsdbutil.GenerateTestFloatHistogram(1))},
	}}}}}).Marshal()
	must(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, message []byte) {
		r := newTestReader(t)
		if r.decodeSamples(message) == nil {
			must(t, r.flush(true))
		}
	})
}

func newTestReader(t *testing.T) *reader {
	r := &reader{request: request{tr: model.TimeRange{Min: 1000, Max: 5000}}}
	r.emit = func(_ int64, item *transfer.Item) error {
		for i, ts := range item.Samples.T {
			if !r.tr.Contains(ts) {
				t.Errorf("sample at %d", ts)
			}
			_ = render(item.Samples.V[i], item.Samples.HistogramAt(i))
		}
		return nil
	}
	return r
}
