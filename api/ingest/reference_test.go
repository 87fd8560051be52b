package ingest

import (
	"log/slog"
	"maps"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/teststorage"

	"tsdb/api/ingest/doortest"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

// reference is Prometheus' receiver with Prometheus' storage.
type reference struct {
	storage *teststorage.TestStorage
	handler http.Handler
}

func newReference(t *testing.T) *reference {
	s := teststorage.New(t)
	h := remote.NewWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), s,
		remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}, false, false, false)
	return &reference{s, h}
}

// stored returns series → time → value bits; of a histogram, those of its sum.
func (r *reference) stored(t *testing.T) map[string]map[int64]uint64 {
	t.Helper()
	q, err := r.storage.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	m := make(map[string]map[int64]uint64)
	set := q.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	for set.Next() {
		samples := make(map[int64]uint64)
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			switch kind {
			case chunkenc.ValFloat:
				at, v := it.At()
				samples[at] = math.Float64bits(v)
			default:
				at, h := it.AtFloatHistogram(nil)
				samples[at] = math.Float64bits(h.Sum)
			}
		}
		m[set.At().Labels().String()] = samples
	}
	if err := set.Err(); err != nil {
		t.Fatal(err)
	}
	return m
}

func (d *server) storedBits() map[string]map[int64]uint64 {
	m := make(map[string]map[int64]uint64)
	for n, s := range d.stored() {
		m[n] = make(map[int64]uint64)
		for i, at := range s.T {
			v := s.V[i]
			if h := s.HistogramAt(i); h.Int != nil {
				v = h.Int.Sum
			} else if h.Float != nil {
				v = h.Float.Sum
			}
			m[n][at] = math.Float64bits(v)
		}
	}
	return m
}

// TestRemoteWriteAgreesWithPrometheus sends the same requests to Prometheus'
// receiver and to ours. Status, Written headers and stored samples must agree,
// except for the differences stated in a case, which docs/compatibility.md lists.
func TestRemoteWriteAgreesWithPrometheus(t *testing.T) {
	now := time.Now()
	at := now.UnixMilli()
	doc, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	type request struct {
		contentType, encoding string
		body                  []byte
	}
	v1 := func(series ...prompb.TimeSeries) request {
		return request{contentType: type1, encoding: "snappy", body: doortest.Snap(doortest.Marshal1(t, doortest.Request1(series...)))}
	}
	v2 := func(b *doortest.Builder2, edit ...func(*writev2.Request)) request {
		q := b.Request()
		for _, f := range edit {
			f(q)
		}
		return request{contentType: type2, encoding: "snappy", body: doortest.Snap(doortest.Marshal2(t, q))}
	}
	histogram1 := prompb.FromIntHistogram(at, doortest.NewHistogram())
	badHistogram := doortest.NewHistogram()
	badHistogram.Count = 99
	withHistogram := func(h writev2.Histogram) *doortest.Builder2 {
		return doortest.NewBuilder2().Add(writev2.TimeSeries{Histograms: []writev2.Histogram{h}}, "__name__", "h")
	}
	withExemplar := func(alone bool) *doortest.Builder2 {
		b := doortest.NewBuilder2().Sample(at, 1, "__name__", "m")
		e := []writev2.Exemplar{{Timestamp: at, Value: 2, LabelsRefs: b.Refs("trace_id", "x")}}
		if alone {
			return b.Add(writev2.TimeSeries{Exemplars: e}, "__name__", "m")
		}
		b.Series[0].Exemplars = e
		return b
	}
	exemplarAt := func(t int64, label string) *doortest.Builder2 {
		b := doortest.NewBuilder2().Sample(at, 1, "__name__", "m")
		b.Series[0].Exemplars = []writev2.Exemplar{{Timestamp: t, Value: 2, LabelsRefs: b.Refs("trace_id", label)}}
		return b
	}
	one := map[string]map[int64]uint64{`{__name__="m"}`: {at: math.Float64bits(1)}}
	stale := math.Float64frombits(0x7ff0000000000002)
	for _, c := range []struct {
		name     string
		requests []request
		ours     string // what differs by design; empty = nothing
		code     int    // of ours to the last request, where it differs
		written  string // of ours, where it differs
		stored   map[string]map[int64]uint64
	}{
		{name: "version 1", requests: []request{v1(doortest.Sample1(at, 1, "__name__", "m", "a", "b"), doortest.Sample1(at, stale, "__name__", "n"))}},
		{name: "version 2", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m", "a", "b").Sample(at, math.NaN(), "__name__", "n"))}},
		{name: "no content type", requests: []request{{encoding: "snappy", body: v1(doortest.Sample1(at, 1, "__name__", "m")).body}}},
		{name: "no encoding", requests: []request{{contentType: type1, body: v1(doortest.Sample1(at, 1, "__name__", "m")).body}}},
		{name: "other media type", requests: []request{{contentType: "text/plain", encoding: "snappy", body: v1().body}}},
		{name: "other message", requests: []request{{contentType: type1 + ";proto=x", encoding: "snappy", body: v1().body}}},
		{name: "other encoding", requests: []request{{contentType: type1, encoding: "gzip", body: v1().body}}},
		{name: "identity", requests: []request{{contentType: type1, encoding: "identity", body: v1().body}}},
		{name: "garbage", requests: []request{{contentType: type2, encoding: "snappy", body: []byte("\xff\xff\xff")}}, ours: "Written headers are 0, not missing", code: 400, written: "0 0 0"},
		{name: "garbage in snappy, version 1", requests: []request{{contentType: type1, encoding: "snappy", body: doortest.Snap([]byte("garbage"))}}},
		{name: "garbage in snappy, version 2", requests: []request{{contentType: type2, encoding: "snappy", body: doortest.Snap([]byte("garbage"))}}},
		{name: "version 1 sent as 2", requests: []request{{contentType: type2, encoding: "snappy", body: v1(doortest.Sample1(at, 1, "__name__", "m")).body}}},
		{name: "version 2 sent as 1", requests: []request{{contentType: type1, encoding: "snappy", body: v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m")).body}}},
		{name: "unsorted labels", requests: []request{v1(doortest.Sample1(at, 1, "z", "1", "__name__", "m", "a", "2"))}},
		{name: "unsorted labels, version 2", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "z", "1", "__name__", "m", "a", "2"))}},
		{name: "empty value", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m", "a", "", "b", "c"))}},
		{name: "UTF-8", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "resource.cpu", "a b", "x\n🙂"))}},
		{name: "duplicate label", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m", "a", "1", "a", "2").Sample(at, 1, "__name__", "n"))}},
		{name: "duplicate label, one empty", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m", "a", "1", "a", "").Sample(at, 1, "__name__", "n"))}},
		{name: "no name", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "a", "1").Sample(at, 1, "__name__", "n"))}},
		{name: "empty name", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "").Sample(at, 1, "__name__", "n"))}},
		{name: "invalid UTF-8", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m", "a", "\xff").Sample(at, 1, "__name__", "n"))}},
		{name: "odd refs", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m").Sample(at, 1, "__name__", "n"), func(q *writev2.Request) { q.Timeseries[0].LabelsRefs = []uint32{1} })}},
		{name: "refs beyond the symbols", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m").Sample(at, 1, "__name__", "n"), func(q *writev2.Request) { q.Timeseries[0].LabelsRefs = []uint32{1, 99} })}},
		{name: "help beyond the symbols", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m").Sample(at, 1, "__name__", "n"), func(q *writev2.Request) { q.Timeseries[0].Metadata.HelpRef = 99 })}},
		{name: "no samples", requests: []request{v2(doortest.NewBuilder2().Add(writev2.TimeSeries{}, "__name__", "m").Sample(at, 1, "__name__", "n"))}},
		{name: "no samples, version 1", requests: []request{v1(prompb.TimeSeries{Labels: doortest.Labels1("__name__", "m")}, doortest.Sample1(at, 1, "__name__", "n"))}},
		{name: "series twice in a request", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m").Sample(at+1, 2, "__name__", "m"))}},
		{name: "same sample again", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m")), v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m"))}},
		{name: "same sample again, version 1", requests: []request{v1(doortest.Sample1(at, 1, "__name__", "m")), v1(doortest.Sample1(at, 1, "__name__", "m"))}},
		{name: "histogram", requests: []request{v2(withHistogram(writev2.FromIntHistogram(0, at, doortest.NewHistogram())))}},
		{name: "float histogram", requests: []request{v2(withHistogram(writev2.FromFloatHistogram(0, at, doortest.NewHistogram().ToFloat(nil))))}},
		{name: "histogram, version 1", requests: []request{v1(prompb.TimeSeries{Labels: doortest.Labels1("__name__", "h"), Histograms: []prompb.Histogram{histogram1}})}},
		{name: "bad histogram", requests: []request{v2(withHistogram(writev2.FromIntHistogram(0, at, badHistogram)).Sample(at, 1, "__name__", "n"))}},
		{name: "exemplar", requests: []request{v2(withExemplar(false))}},
		{name: "metadata of version 1", requests: []request{{contentType: type1, encoding: "snappy", body: doortest.Snap(doortest.Marshal1(t, &prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{MetricFamilyName: "m", Help: "x"}}}))}}},

		{name: "exemplar alone", requests: []request{v2(withExemplar(true))}, ours: "taken; Prometheus' own sender makes such messages", code: 204, written: "1 0 1",
			stored: map[string]map[int64]uint64{`{__name__="m"}`: {at: math.Float64bits(1)}}},
		{name: "older exemplar", requests: []request{v2(exemplarAt(at, "x")), v2(exemplarAt(at-1000, "y"))}, ours: "out-of-order exemplars are taken", code: 204, written: "1 0 1", stored: one},
		{name: "exemplar with long labels", requests: []request{v2(exemplarAt(at, strings.Repeat("x", 130)))}, ours: "400, counted in the Written headers", code: 400, written: "1 0 0", stored: one},
		{name: "no name, version 1", requests: []request{v1(doortest.Sample1(at, 1, "a", "1"), doortest.Sample1(at, 1, "__name__", "n"))}, ours: "400 instead of silence", code: 400,
			stored: map[string]map[int64]uint64{`{__name__="n"}`: {at: math.Float64bits(1)}}},
		{name: "duplicate label, version 1", requests: []request{v1(doortest.Sample1(at, 1, "__name__", "m", "a", "1", "a", "1"), doortest.Sample1(at, 1, "__name__", "n"))}, ours: "400 instead of silence", code: 400,
			stored: map[string]map[int64]uint64{`{__name__="n"}`: {at: math.Float64bits(1)}}},
		{name: "bad histogram, version 1", requests: []request{v1(prompb.TimeSeries{Labels: doortest.Labels1("__name__", "h"), Histograms: []prompb.Histogram{prompb.FromIntHistogram(at, badHistogram)}}, doortest.Sample1(at, 1, "__name__", "n"))},
			ours: "the good part is stored", code: 400, stored: map[string]map[int64]uint64{`{__name__="n"}`: {at: math.Float64bits(1)}}},
		{name: "older sample", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m")), v2(doortest.NewBuilder2().Sample(at-1000, 2, "__name__", "m"))}, ours: "out-of-order samples are taken", code: 204, written: "1 0 0",
			stored: map[string]map[int64]uint64{`{__name__="m"}`: {at: math.Float64bits(1), at - 1000: math.Float64bits(2)}}},
		{name: "older sample, version 1", requests: []request{v1(doortest.Sample1(at, 1, "__name__", "m")), v1(doortest.Sample1(at-1000, 2, "__name__", "m"))}, ours: "out-of-order samples are taken", code: 204,
			stored: map[string]map[int64]uint64{`{__name__="m"}`: {at: math.Float64bits(1), at - 1000: math.Float64bits(2)}}},
		{name: "two hours older", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m")), v2(doortest.NewBuilder2().Sample(at-7_200_000, 2, "__name__", "m"))}, ours: "out-of-order samples are taken", code: 204, written: "1 0 0",
			stored: map[string]map[int64]uint64{`{__name__="m"}`: {at: math.Float64bits(1), at - 7_200_000: math.Float64bits(2)}}},
		{name: "another value at the same time", requests: []request{v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m")), v2(doortest.NewBuilder2().Sample(at, 2, "__name__", "m"))}, ours: "the last write wins", code: 204, written: "1 0 0",
			stored: map[string]map[int64]uint64{`{__name__="m"}`: {at: math.Float64bits(2)}}},
		{name: "an hour ahead", requests: []request{v2(doortest.NewBuilder2().Sample(at+3_600_000, 1, "__name__", "m"))}, ours: "the future is bounded at two days, not ten minutes", code: 204, written: "1 0 0",
			stored: map[string]map[int64]uint64{`{__name__="m"}`: {at + 3_600_000: math.Float64bits(1)}}},
		{name: "three days ahead", requests: []request{v2(doortest.NewBuilder2().Sample(at+3*86_400_000, 1, "__name__", "m").Sample(at, 1, "__name__", "n"))}},
		{name: "three days ahead, version 1", requests: []request{v1(doortest.Sample1(at+3*86_400_000, 1, "__name__", "m"), doortest.Sample1(at, 1, "__name__", "n"))}, ours: "the good part is stored", code: 400,
			stored: map[string]map[int64]uint64{`{__name__="n"}`: {at: math.Float64bits(1)}}},
		{name: "body that decodes to more than 32 MiB", requests: []request{{contentType: type1, encoding: "snappy", body: doortest.Snap(make([]byte, 32<<20+1))}}, ours: "413", code: 413},
		{name: "body of more than 32 MiB", requests: []request{{contentType: type1, encoding: "snappy", body: make([]byte, 32<<20+1)}}},
		{name: "other media type and garbage", requests: []request{{contentType: "text/plain", encoding: "snappy", body: []byte("\xff\xff")}}, ours: "415 before the body is read", code: 415},
		{name: "space before the parameter", requests: []request{{contentType: "application/x-protobuf; proto=io.prometheus.write.v2.Request", encoding: "snappy", body: v2(doortest.NewBuilder2().Sample(at, 1, "__name__", "m")).body}},
			ours: "space and case as in RFC 9110", code: 204, written: "1 0 0", stored: map[string]map[int64]uint64{`{__name__="m"}`: {at: math.Float64bits(1)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ref := newReference(t)
			clock := vfs.NewManualClock(now)
			ours := openDoor(t, func(o *Options, so *storage.Options) { o.Clock, so.Clock = clock, clock })
			var want, got answer
			for _, q := range c.requests {
				var headers []string
				if q.contentType != "" {
					headers = append(headers, "Content-Type", q.contentType)
				}
				if q.encoding != "" {
					headers = append(headers, "Content-Encoding", q.encoding)
				}
				want = do(t, ref.handler, "POST", "/api/v1/write", q.body, headers...)
				got = ours.do("POST", "/api/v1/write", q.body, headers...)
			}
			wantCode, wantWritten, wantStored := want.code, strings.Join(slices.DeleteFunc(written(want), empty), " "), ref.stored(t)
			same := got.code == wantCode && written3(got) == wantWritten && equalStored(ours.storedBits(), wantStored)
			if c.ours != "" {
				if !strings.Contains(string(doc), "*"+c.ours+"*") {
					t.Errorf("docs/compatibility.md does not say: %s", c.ours)
				}
				if same {
					t.Errorf("ours does not differ, though it is said to: %s", c.ours)
				}
				wantCode, wantWritten, wantStored = c.code, c.written, c.stored
			}
			if got.code != wantCode || written3(got) != wantWritten {
				t.Errorf("ours %d, written %q, want %d, %q\nours:       %s\nPrometheus: %d %s", got.code, written3(got), wantCode, wantWritten, got.body, want.code, want.body)
			}
			if s := ours.storedBits(); !equalStored(s, wantStored) {
				t.Errorf("ours holds %v, want %v", s, wantStored)
			}
			if (got.body == "") != (got.code == 204) {
				t.Errorf("%d with body %q", got.code, got.body)
			}
		})
	}
}

func written(a answer) []string {
	return []string{a.header.Get("X-Prometheus-Remote-Write-Samples-Written"), a.header.Get("X-Prometheus-Remote-Write-Histograms-Written"), a.header.Get("X-Prometheus-Remote-Write-Exemplars-Written")}
}

func written3(a answer) string { return strings.Join(slices.DeleteFunc(written(a), empty), " ") }

func empty(s string) bool { return s == "" }

func equalStored(a, b map[string]map[int64]uint64) bool {
	return maps.EqualFunc(a, b, func(x, y map[int64]uint64) bool { return maps.Equal(x, y) })
}
