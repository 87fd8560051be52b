package ingest

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/internal/model"
)

const (
	type1 = "application/x-protobuf"
	type2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

// write1 sends a remote-write 1 request.
func (d *door) write1(q *prompb.WriteRequest) answer {
	d.t.Helper()
	return d.do("POST", "/api/v1/write", snap(marshal1(d.t, q)), "Content-Type", type1, "Content-Encoding", "snappy")
}

// write2 sends a remote-write 2 request.
func (d *door) write2(q *writev2.Request) answer {
	d.t.Helper()
	return d.do("POST", "/api/v1/write", snap(marshal2(d.t, q)), "Content-Type", type2, "Content-Encoding", "snappy")
}

func marshal1(t testing.TB, q *prompb.WriteRequest) []byte {
	t.Helper()
	b, err := q.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func marshal2(t testing.TB, q *writev2.Request) []byte {
	t.Helper()
	b, err := q.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ls1 makes labels of name, value, name, value, …, in that order.
func ls1(pairs ...string) []prompb.Label {
	var ls []prompb.Label
	for i := 0; i < len(pairs); i += 2 {
		ls = append(ls, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return ls
}

// sample1 is a series with one sample.
func sample1(t int64, v float64, pairs ...string) prompb.TimeSeries {
	return prompb.TimeSeries{Labels: ls1(pairs...), Samples: []prompb.Sample{{Timestamp: t, Value: v}}}
}

func request1(series ...prompb.TimeSeries) *prompb.WriteRequest {
	return &prompb.WriteRequest{Timeseries: series}
}

// builder2 makes remote-write 2 requests.
type builder2 struct {
	symbols writev2.SymbolsTable
	series  []writev2.TimeSeries
}

func newBuilder2() *builder2 { return &builder2{symbols: writev2.NewSymbolTable()} }

func (b *builder2) refs(pairs ...string) []uint32 {
	var refs []uint32
	for _, s := range pairs {
		refs = append(refs, b.symbols.Symbolize(s))
	}
	return refs
}

func (b *builder2) add(s writev2.TimeSeries, pairs ...string) *builder2 {
	s.LabelsRefs = b.refs(pairs...)
	b.series = append(b.series, s)
	return b
}

func (b *builder2) sample(t int64, v float64, pairs ...string) *builder2 {
	return b.add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: t, Value: v}}}, pairs...)
}

func (b *builder2) request() *writev2.Request {
	return &writev2.Request{Symbols: b.symbols.Symbols(), Timeseries: b.series}
}

func (a answer) written(t *testing.T) [3]string {
	t.Helper()
	return [3]string{a.header.Get(samplesWrittenHeader), a.header.Get(histogramsWrittenHeader), a.header.Get(exemplarsWrittenHeader)}
}

func TestRemoteWriteNegotiatesByHeadersBeforeTheBody(t *testing.T) {
	garbage := []byte("\xff\xff\xff\xff garbage that is no snappy block")
	good1 := snap(marshal1(t, request1(sample1(base, 1, "__name__", "m"))))
	good2 := snap(marshal2(t, newBuilder2().sample(base, 1, "__name__", "m").request()))
	for _, c := range []struct {
		name, method, path string
		body               []byte
		headers            []string
		want               int
		says               string
	}{
		{name: "version 1", body: good1, headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 204},
		{name: "version 1 with its message named", body: good1, headers: []string{"Content-Type", type1 + ";proto=prometheus.WriteRequest", "Content-Encoding", "snappy"}, want: 204},
		{name: "version 2", body: good2, headers: []string{"Content-Type", type2, "Content-Encoding", "snappy"}, want: 204},
		{name: "version header 2.1 is not looked at", body: good2, headers: []string{"Content-Type", type2, "X-Prometheus-Remote-Write-Version", "2.1.7"}, want: 204},
		{name: "version header may contradict", body: good1, headers: []string{"Content-Type", type1, "X-Prometheus-Remote-Write-Version", "2.0.0"}, want: 204},
		{name: "push path", path: "/api/v1/push", body: good1, headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 204},
		{name: "no content type is version 1", body: good1, headers: []string{"Content-Encoding", "snappy"}, want: 204},
		{name: "no encoding is snappy", body: good1, headers: []string{"Content-Type", type1}, want: 204},
		{name: "space and case as in RFC 9110", body: good2, headers: []string{"Content-Type", `Application/X-Protobuf ; Proto="io.prometheus.write.v2.Request";`, "Content-Encoding", "Snappy"}, want: 204},
		{name: "other parameters", body: good1, headers: []string{"Content-Type", type1 + "; charset=utf-8"}, want: 204},
		{name: "unknown media type", body: garbage, headers: []string{"Content-Type", "application/json", "Content-Encoding", "snappy"}, want: 415, says: "/api/v2/write"},
		{name: "unknown message", body: garbage, headers: []string{"Content-Type", type1 + ";proto=io.prometheus.write.v3.Request", "Content-Encoding", "snappy"}, want: 415, says: "unknown type for remote write protobuf message"},
		{name: "broken parameter", body: garbage, headers: []string{"Content-Type", type1 + ";proto", "Content-Encoding", "snappy"}, want: 415, says: "key-values"},
		{name: "unknown encoding", body: garbage, headers: []string{"Content-Type", type1, "Content-Encoding", "zstd"}, want: 415, says: "only snappy is acceptable"},
		{name: "both wrong", body: garbage, headers: []string{"Content-Type", "text/plain", "Content-Encoding", "gzip"}, want: 415},
		{name: "lines of a form post", body: []byte("m,a=b v=1 1\n"), headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, want: 415, says: "InfluxDB line protocol goes to /write or /api/v2/write"},
		{name: "lines without headers", body: []byte("m,a=b v=1 1\nm,a=c v=2 1\n"), want: 415, says: "InfluxDB line protocol goes to /write or /api/v2/write"},
		{name: "GET", method: "GET", want: 405},
		{name: "PUT", method: "PUT", body: good1, headers: []string{"Content-Type", type1}, want: 405},
		{name: "corrupt snappy", body: garbage, headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 400, says: "snappy"},
		{name: "framed snappy", body: []byte("\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00abcde"), headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 400},
		{name: "corrupt protobuf", body: snap([]byte("\x0a\xff\x01")), headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 400, says: "malformed protobuf"},
		{name: "corrupt protobuf of version 2", body: snap([]byte("\x2a\xff\x01")), headers: []string{"Content-Type", type2, "Content-Encoding", "snappy"}, want: 400, says: "malformed protobuf"},
		{name: "nothing in it", body: snap(nil), headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 204},
		{name: "no body", headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t)
			method, path := c.method, c.path
			if method == "" {
				method = "POST"
			}
			if path == "" {
				path = "/api/v1/write"
			}
			a := d.do(method, path, c.body, c.headers...)
			if a.code != c.want || !strings.Contains(a.body, c.says) {
				t.Fatalf("got %d %q, want %d with %q", a.code, a.body, c.want, c.says)
			}
			if c.want == 204 && a.body != "" {
				t.Errorf("204 with body %q", a.body)
			}
			want := 0
			if c.want == 204 && c.name != "nothing in it" {
				want = 1
			}
			if got := d.stored(); len(got) != want {
				t.Errorf("%d series stored, want %d", len(got), want)
			}
			if c.want == 405 && a.header.Get("Allow") != "POST" {
				t.Errorf("Allow: %q", a.header.Get("Allow"))
			}
		})
	}
}

func TestRemoteWriteSendsWrittenHeadersForVersion2Only(t *testing.T) {
	d := openDoor(t)
	good := newBuilder2().sample(base, 1, "__name__", "m")
	good.series[0].Samples = append(good.series[0].Samples, writev2.Sample{Timestamp: base + 1, Value: 2})
	good.series[0].Exemplars = []writev2.Exemplar{{Timestamp: base, Value: 3, LabelsRefs: good.refs("trace_id", "x")}}
	good.add(writev2.TimeSeries{Histograms: []writev2.Histogram{writev2.FromIntHistogram(0, base, testHistogram())}}, "__name__", "h")
	if a := d.write2(good.request()); a.code != 204 || a.written(t) != [3]string{"2", "1", "1"} {
		t.Errorf("all good: %d, written %v: %s", a.code, a.written(t), a.body)
	}
	partial := newBuilder2().sample(base, 1, "__name__", "a").sample(base, 1, "__name__", "b").sample(base, 1, "__name__", "c").sample(base, 1, "no", "name")
	if a := d.write2(partial.request()); a.code != 400 || a.written(t) != [3]string{"3", "0", "0"} || !strings.Contains(a.body, "3 written, 1 refused") {
		t.Errorf("one bad: %d, written %v: %s", a.code, a.written(t), a.body)
	}
	for name, body := range map[string][]byte{"corrupt": []byte("\xff\xff"), "malformed": snap([]byte{0x2a, 9})} {
		if a := d.do("POST", "/api/v1/write", body, "Content-Type", type2); a.code != 400 || a.written(t) != [3]string{"0", "0", "0"} {
			t.Errorf("%s: %d, written %v: %s", name, a.code, a.written(t), a.body)
		}
	}
	if a := d.write1(request1(sample1(base, 1, "__name__", "a"))); a.code != 204 || a.written(t) != [3]string{} {
		t.Errorf("version 1: %d, written %v", a.code, a.written(t))
	}
	// Before the message is agreed on, nothing is promised.
	if a := d.do("POST", "/api/v1/write", nil, "Content-Type", type2, "Content-Encoding", "zstd"); a.code != 415 || a.written(t) != [3]string{} {
		t.Errorf("415: %d, written %v", a.code, a.written(t))
	}
}

// Both versions take the same labels; the cases run through both.
func TestRemoteWriteLabels(t *testing.T) {
	at := func(pairs ...string) []string { return pairs }
	for _, c := range []struct {
		name   string
		labels []string
		want   string // series stored, empty = refused
		says   string // why not
	}{
		{name: "sorted", labels: at("__name__", "m", "a", "1", "b", "2"), want: `{__name__="m", a="1", b="2"}`},
		{name: "unsorted", labels: at("b", "2", "__name__", "m", "a", "1"), want: `{__name__="m", a="1", b="2"}`},
		{name: "name only", labels: at("__name__", "m"), want: `{__name__="m"}`},
		{name: "UTF-8 names", labels: at("__name__", "resource.cpu.usage", "job.name", "x", "resource cpu", "y"), want: `{__name__="resource.cpu.usage", "job.name"="x", "resource cpu"="y"}`},
		{name: "newline and emoji", labels: at("__name__", "m", "a", "x\ny🙂"), want: "{__name__=\"m\", a=\"x\\ny🙂\"}"},
		{name: "empty value is dropped", labels: at("__name__", "m", "a", "", "b", "2"), want: `{__name__="m", b="2"}`},
		{name: "no name", labels: at("a", "1"), says: `invalid metric name or labels, got {a="1"}`},
		{name: "empty name", labels: at("__name__", "", "a", "1"), says: "invalid metric name or labels, got {"},
		{name: "no labels", says: "invalid metric name or labels, got {}"},
		{name: "duplicate", labels: at("__name__", "m", "a", "1", "a", "1"), says: "duplicated label a"},
		{name: "duplicate with another value", labels: at("__name__", "m", "b", "1", "a", "1", "b", "2"), says: "duplicated label b"},
		{name: "two names", labels: at("__name__", "m", "__name__", "n"), says: "duplicated label __name__"},
		{name: "invalid UTF-8 in a value", labels: at("__name__", "m", "a", "\xff\xfe"), says: "invalid metric name or labels"},
		{name: "invalid UTF-8 in a name", labels: at("__name__", "m", "a\xff", "1"), says: "invalid metric name or labels"},
		{name: "invalid UTF-8 in the metric", labels: at("__name__", "m\xff"), says: "invalid metric name or labels"},
		{name: "empty label name", labels: at("__name__", "m", "", "1"), says: "invalid metric name or labels"},
		{name: "value too long", labels: at("__name__", "m", "a", strings.Repeat("x", 16<<10+1)), says: "limit is 16384"},
		{name: "longest value", labels: at("__name__", "m", "a", strings.Repeat("x", 16<<10)), want: `{__name__="m", a="` + strings.Repeat("x", 16<<10) + `"}`},
		{name: "name too long", labels: at("__name__", "m", strings.Repeat("x", 1<<10+1), "1"), says: "limit is 1024"},
	} {
		check := func(version string, send func(d *door) answer) {
			t.Run(c.name+"/"+version, func(t *testing.T) {
				d := openDoor(t)
				a := send(d)
				if c.want == "" {
					if a.code != 400 || !strings.Contains(a.body, c.says) || !strings.Contains(a.body, "1 written, 1 refused") {
						t.Errorf("got %d %q, want 400 with %q", a.code, a.body, c.says)
					}
					if strings.Contains(a.body, "\n") || len(a.body) > 4<<10 {
						t.Errorf("the text is no short line: %q", a.body)
					}
				} else if a.code != 204 {
					t.Errorf("got %d %q, want 204", a.code, a.body)
				}
				want := []string{`{__name__="good"}`}
				if c.want != "" {
					want = append(want, c.want)
				}
				slices.Sort(want)
				if got := d.storedSeries(); !slices.Equal(got, want) {
					t.Errorf("stored %v, want %v", got, want)
				}
				if c.want != "" {
					if got := d.storedFloats()[c.want]; !maps.Equal(got, map[int64]float64{base: 7}) {
						t.Errorf("samples %v", got)
					}
				}
			})
		}
		check("1", func(d *door) answer {
			return d.write1(request1(sample1(base, 7, c.labels...), sample1(base, 1, "__name__", "good")))
		})
		check("2", func(d *door) answer {
			return d.write2(newBuilder2().sample(base, 7, c.labels...).sample(base, 1, "__name__", "good").request())
		})
	}
}

func TestRemoteWrite2BadReferencesCostTheirSeries(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*writev2.Request)
		says string
	}{
		{"odd number", func(q *writev2.Request) { q.Timeseries[0].LabelsRefs = q.Timeseries[0].LabelsRefs[:3] }, "invalid labelRefs length 3"},
		{"name beyond the symbols", func(q *writev2.Request) { q.Timeseries[0].LabelsRefs[0] = 99 }, "outside of symbols table"},
		{"value beyond the symbols", func(q *writev2.Request) { q.Timeseries[0].LabelsRefs[3] = uint32(len(q.Symbols)) }, "outside of symbols table"},
		{"largest number", func(q *writev2.Request) { q.Timeseries[0].LabelsRefs[1] = math.MaxUint32 }, "outside of symbols table"},
		{"help beyond the symbols", func(q *writev2.Request) { q.Timeseries[0].Metadata.HelpRef = 99 }, "parsing metadata"},
		{"unit beyond the symbols", func(q *writev2.Request) { q.Timeseries[0].Metadata.UnitRef = 99 }, "parsing metadata"},
		{"no samples", func(q *writev2.Request) { q.Timeseries[0].Samples = nil }, `TimeSeries must contain at least one sample or histogram for series {__name__="m", a="1"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t)
			q := newBuilder2().sample(base, 1, "__name__", "m", "a", "1").sample(base, 2, "__name__", "good").request()
			c.edit(q)
			a := d.write2(q)
			if a.code != 400 || !strings.Contains(a.body, c.says) || a.written(t)[0] != "1" {
				t.Errorf("got %d %q, written %v, want 400 with %q", a.code, a.body, a.written(t), c.says)
			}
			if got := d.storedSeries(); !slices.Equal(got, []string{`{__name__="good"}`}) {
				t.Errorf("stored %v", got)
			}
		})
	}
	t.Run("first symbol not empty", func(t *testing.T) {
		d := openDoor(t)
		q := &writev2.Request{Symbols: []string{"__name__", "m"}, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{0, 1}, Samples: []writev2.Sample{{Timestamp: base, Value: 1}}}}}
		if a := d.write2(q); a.code != 204 || !slices.Equal(d.storedSeries(), []string{`{__name__="m"}`}) {
			t.Errorf("got %d %q, stored %v", a.code, a.body, d.storedSeries())
		}
	})
	t.Run("created timestamp of older senders", func(t *testing.T) {
		d := openDoor(t)
		q := newBuilder2().sample(base, 1, "__name__", "m").request()
		q.Timeseries[0].XXX_unrecognized = []byte{6 << 3, 0x80, 0x01}
		if a := d.write2(q); a.code != 204 || len(d.stored()) != 1 {
			t.Errorf("got %d %q", a.code, a.body)
		}
	})
}

func TestRemoteWriteKeepsValuesBitForBit(t *testing.T) {
	values := []float64{0, math.Copysign(0, -1), 1, -1.5, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1),
		math.Float64frombits(value.NormalNaN), math.Float64frombits(0x7ff8dead0000beef), math.Float64frombits(value.StaleNaN)}
	series1, b2 := prompb.TimeSeries{Labels: ls1("__name__", "one")}, newBuilder2()
	series2 := writev2.TimeSeries{}
	for i, v := range values {
		series1.Samples = append(series1.Samples, prompb.Sample{Timestamp: base + int64(i), Value: v})
		series2.Samples = append(series2.Samples, writev2.Sample{Timestamp: base + int64(i), Value: v})
	}
	d := openDoor(t)
	if a := d.write1(request1(series1)); a.code != 204 {
		t.Fatalf("version 1: %d %s", a.code, a.body)
	}
	if a := d.write2(b2.add(series2, "__name__", "two").request()); a.code != 204 {
		t.Fatalf("version 2: %d %s", a.code, a.body)
	}
	for _, name := range []string{`{__name__="one"}`, `{__name__="two"}`} {
		got := d.stored()[name]
		for i, v := range values {
			if i == 1 {
				continue // the generated marshaller leaves -0 out; see the next test
			}
			if got.T[i] != base+int64(i) || math.Float64bits(got.V[i]) != math.Float64bits(v) {
				t.Errorf("%s: sample %d is %d %x, want %x", name, i, got.T[i], math.Float64bits(got.V[i]), math.Float64bits(v))
			}
		}
	}
}

func TestRemoteWriteReadsSamplesInAnyWireOrder(t *testing.T) {
	// -0 as eight bytes, time before value, a value twice, unknown fields.
	var sample []byte
	sample = append(sample, tagSampleTime)
	sample = appendVarint(sample, uint64(base))
	sample = append(sample, tagSampleValue, 1, 2, 3, 4, 5, 6, 7, 8)
	sample = append(sample, 15<<3|wireBytes, 3, 'a', 'b', 'c', 14<<3|wireFixed32, 0, 0, 0, 0, 13<<3|wireGroup, 1<<3, 5, 13<<3|wireEnd)
	sample = append(sample, tagSampleValue, 0, 0, 0, 0, 0, 0, 0, 0x80)
	label := []byte("\x0a\x08__name__\x12\x01m")
	extra := []byte("\x12\x01b\x0a\x01a")
	var series []byte
	series = append(series, tag1Label, byte(len(extra)))
	series = append(series, extra...)
	series = append(series, tag1Sample, byte(len(sample)))
	series = append(series, sample...)
	series = append(series, tag1Label, byte(len(label))) // behind the sample
	series = append(series, label...)
	message := append([]byte{tag1Series, byte(len(series))}, series...)
	d := openDoor(t)
	if a := d.do("POST", "/api/v1/write", snap(message), "Content-Type", type1); a.code != 204 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	got := d.stored()[`{__name__="m", a="b"}`]
	if got == nil || got.T[0] != base || math.Float64bits(got.V[0]) != 1<<63 {
		t.Errorf("stored %v", got)
	}
}

func appendVarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func testHistogram() *histogram.Histogram {
	return &histogram.Histogram{
		Schema: 1, ZeroThreshold: 0.001, ZeroCount: 2, Count: 12, Sum: 18.4,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, 1, -1, 0},
		NegativeSpans: []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 2}}, NegativeBuckets: []int64{1, 1, -1, 0},
	}
}

func TestRemoteWriteHistograms(t *testing.T) {
	custom := &histogram.Histogram{Schema: histogram.CustomBucketsSchema, Count: 6, Sum: 10,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 3}}, PositiveBuckets: []int64{1, 1, 1}, CustomValues: []float64{1, 5}}
	fine := testHistogram()
	fine.Schema = 12
	reduced := fine.Copy()
	if err := reduced.ReduceResolution(histogram.ExponentialSchemaMax); err != nil {
		t.Fatal(err)
	}
	gauge := testHistogram()
	gauge.CounterResetHint = histogram.GaugeType
	stale := &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}
	negative := testHistogram()
	negative.Count = 13
	floating := testHistogram().ToFloat(nil)
	floating.Sum = 0.1
	badFloat := testHistogram().ToFloat(nil)
	badFloat.PositiveBuckets[0] = -1
	for _, c := range []struct {
		name string
		i    *histogram.Histogram
		f    *histogram.FloatHistogram
		want model.Histogram // zero = refused
		says string
	}{
		{name: "integers", i: testHistogram(), want: model.Histogram{Int: testHistogram()}},
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
		{name: "custom bounds out of order", i: &histogram.Histogram{Schema: histogram.CustomBucketsSchema, CustomValues: []float64{2, 1}}, says: "increasing"},
	} {
		var h1 prompb.Histogram
		var h2 writev2.Histogram
		if c.i != nil {
			h1, h2 = prompb.FromIntHistogram(base, c.i), writev2.FromIntHistogram(base-5000, base, c.i)
		} else {
			h1, h2 = prompb.FromFloatHistogram(base, c.f), writev2.FromFloatHistogram(base-5000, base, c.f)
		}
		check := func(version string, st int64, send func(*door) answer) {
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
		check("1", 0, func(d *door) answer {
			return d.write1(request1(prompb.TimeSeries{Labels: ls1("__name__", "h"), Histograms: []prompb.Histogram{h1}}))
		})
		check("2", base-5000, func(d *door) answer {
			return d.write2(newBuilder2().add(writev2.TimeSeries{Histograms: []writev2.Histogram{h2}}, "__name__", "h").request())
		})
	}
}

func TestRemoteWriteExemplars(t *testing.T) {
	long := strings.Repeat("x", 128)
	for _, c := range []struct {
		name   string
		labels []string
		want   string // labels stored, "-" = refused
	}{
		{"with labels", []string{"trace_id", "abc", "b", "2"}, `{b="2", trace_id="abc"}`},
		{"without labels", nil, `{}`},
		{"labels too long", []string{"trace_id", long}, "-"},
		{"duplicate label", []string{"a", "1", "a", "2"}, "-"},
		{"not UTF-8", []string{"a", "\xff"}, "-"},
	} {
		check := func(version string, refusedCode int, send func(*door) answer) {
			t.Run(c.name+"/"+version, func(t *testing.T) {
				d := openDoor(t)
				a := send(d)
				wantCode := 204
				if c.want == "-" {
					wantCode = refusedCode
				}
				if a.code != wantCode {
					t.Errorf("got %d %q, want %d", a.code, a.body, wantCode)
				}
				if version == "2" {
					if n := a.written(t); n[0] != "1" || (n[2] == "1") != (c.want != "-") {
						t.Errorf("written %v", n)
					}
				}
				if len(d.stored()) != 1 {
					t.Errorf("the sample beside it was not stored")
				}
				got := d.exemplars()
				switch {
				case c.want == "-" && len(got) != 0:
					t.Errorf("stored %v", got)
				case c.want != "-" && (len(got) != 1 || got[0].T != base || got[0].V != 5 || got[0].Labels.String() != c.want):
					t.Errorf("stored %v, want %s", got, c.want)
				}
			})
		}
		check("1", 204, func(d *door) answer {
			s := sample1(base, 1, "__name__", "m")
			s.Exemplars = []prompb.Exemplar{{Labels: ls1(c.labels...), Value: 5, Timestamp: base}}
			return d.write1(request1(s))
		})
		check("2", 400, func(d *door) answer {
			b := newBuilder2().sample(base, 1, "__name__", "m")
			b.series[0].Exemplars = []writev2.Exemplar{{LabelsRefs: b.refs(c.labels...), Value: 5, Timestamp: base}}
			return d.write2(b.request())
		})
	}
	t.Run("alone in its series, as Prometheus sends it", func(t *testing.T) {
		d := openDoor(t)
		b := newBuilder2().sample(base, 1, "__name__", "m")
		b.add(writev2.TimeSeries{Exemplars: []writev2.Exemplar{{LabelsRefs: b.refs("trace_id", "x"), Value: 5, Timestamp: base}}}, "__name__", "m")
		if a := d.write2(b.request()); a.code != 204 || a.written(t) != [3]string{"1", "0", "1"} || len(d.exemplars()) != 1 {
			t.Errorf("got %d %q, written %v, stored %v", a.code, a.body, a.written(t), d.exemplars())
		}
	})
	t.Run("label refs beyond the symbols", func(t *testing.T) {
		d := openDoor(t)
		b := newBuilder2().sample(base, 1, "__name__", "m")
		b.series[0].Exemplars = []writev2.Exemplar{{LabelsRefs: []uint32{98, 99}, Value: 5, Timestamp: base}}
		if a := d.write2(b.request()); a.code != 400 || !strings.Contains(a.body, "parsing exemplar") || a.written(t) != [3]string{"1", "0", "0"} {
			t.Errorf("got %d %q, written %v", a.code, a.body, a.written(t))
		}
	})
}

func (d *door) exemplars() []model.Exemplar {
	d.t.Helper()
	v, err := d.db.View()
	if err != nil {
		d.t.Fatal(err)
	}
	defer v.Release()
	list, err := v.Exemplars(d.t.Context(), tenant, model.AllTime, [][]*labels.Matcher{{anyName()}})
	if err != nil {
		d.t.Fatal(err)
	}
	var es []model.Exemplar
	for _, s := range list {
		es = append(es, s.Exemplars...)
	}
	return es
}

func (d *door) metadata() map[string][]model.Metadata {
	d.t.Helper()
	v, err := d.db.View()
	if err != nil {
		d.t.Fatal(err)
	}
	defer v.Release()
	m, err := v.Metadata(d.t.Context(), tenant, "")
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

func TestRemoteWrite1MetadataAloneIsTaken(t *testing.T) {
	d := openDoor(t)
	q := &prompb.WriteRequest{Metadata: []prompb.MetricMetadata{
		{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "requests_total", Help: "Requests.", Unit: "requests"},
		{Type: prompb.MetricMetadata_GAUGEHISTOGRAM, MetricFamilyName: "g", Help: "Größe"},
		{MetricFamilyName: "u"},
		{Type: prompb.MetricMetadata_MetricType(77), MetricFamilyName: "strange"},
		{Type: prompb.MetricMetadata_INFO, Help: "of no metric"},
	}}
	if a := d.write1(q); a.code != 204 {
		t.Fatalf("got %d %q", a.code, a.body)
	}
	want := map[string][]model.Metadata{
		"requests_total": {{Type: "counter", Unit: "requests", Help: "Requests."}},
		"g":              {{Type: "gaugehistogram", Help: "Größe"}},
		"u":              {{Type: "unknown"}},
		"strange":        {{Type: "unknown"}},
	}
	if got := d.metadata(); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("stored %v, want %v", got, want)
	}
	if len(d.stored()) != 0 {
		t.Errorf("metadata made series: %v", d.storedSeries())
	}
}

func TestRemoteWrite2MetadataOfSeries(t *testing.T) {
	d := openDoor(t)
	b := newBuilder2()
	add := func(kind writev2.Metadata_MetricType, unit, help, name string) {
		b.add(writev2.TimeSeries{
			Samples:  []writev2.Sample{{Timestamp: base, Value: 1}},
			Metadata: writev2.Metadata{Type: kind, UnitRef: b.symbols.Symbolize(unit), HelpRef: b.symbols.Symbolize(help)},
		}, "__name__", name)
	}
	add(writev2.Metadata_METRIC_TYPE_COUNTER, "requests", "Requests.", "requests_total")
	add(writev2.Metadata_METRIC_TYPE_HISTOGRAM, "seconds", "Latency.", "latency_bucket")
	add(writev2.Metadata_METRIC_TYPE_HISTOGRAM, "seconds", "Latency.", "latency_count")
	add(writev2.Metadata_METRIC_TYPE_SUMMARY, "", "Sizes.", "sizes_sum")
	add(writev2.Metadata_METRIC_TYPE_UNSPECIFIED, "", "", "nothing_said")
	add(writev2.Metadata_METRIC_TYPE_UNSPECIFIED, "", "Help alone.", "helped")
	want := map[string][]model.Metadata{
		"requests_total": {{Type: "counter", Unit: "requests", Help: "Requests."}},
		"latency":        {{Type: "histogram", Unit: "seconds", Help: "Latency."}},
		"sizes":          {{Type: "summary", Help: "Sizes."}},
		"helped":         {{Type: "unknown", Help: "Help alone."}},
	}
	for range 3 { // seen before or not, the answer is the same
		if a := d.write2(b.request()); a.code != 204 {
			t.Fatalf("got %d %q", a.code, a.body)
		}
		if got := d.metadata(); !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("stored %v, want %v", got, want)
		}
	}
	b = newBuilder2()
	add(writev2.Metadata_METRIC_TYPE_GAUGE, "requests", "Requests, now.", "requests_total")
	if a := d.write2(b.request()); a.code != 204 {
		t.Fatalf("got %d %q", a.code, a.body)
	}
	if got := d.metadata()["requests_total"]; !slices.Equal(got, []model.Metadata{{Type: "gauge", Unit: "requests", Help: "Requests, now."}}) {
		t.Errorf("newer metadata: %v", got)
	}
}

func TestRemoteWrite2KeepsStartTimestamps(t *testing.T) {
	d := openDoor(t)
	b := newBuilder2().add(writev2.TimeSeries{Samples: []writev2.Sample{
		{Timestamp: base, Value: 1, StartTimestamp: base - 1000}, {Timestamp: base + 1, Value: 2}, {Timestamp: base + 2, Value: 3, StartTimestamp: base + 1}}}, "__name__", "m")
	if a := d.write2(b.request()); a.code != 204 {
		t.Fatalf("got %d %q", a.code, a.body)
	}
	got := d.stored()[`{__name__="m"}`]
	if want := []int64{base - 1000, 0, base + 1}; !slices.Equal(got.ST, want) || !slices.Equal(got.V, []float64{1, 2, 3}) {
		t.Errorf("stored %v %v, want %v", got.V, got.ST, want)
	}
}

func TestRemoteWriteTakesSamplesInAnyOrder(t *testing.T) {
	retention := testNow.UnixMilli() - 30*model.DayMs
	future := testNow.UnixMilli() + 2*model.DayMs
	for _, c := range []struct {
		name  string
		times []int64
		value []float64
		want  map[int64]float64
		says  []string
	}{
		{name: "older than the newest", times: []int64{base, base - 3_600_000, base - 1}, value: []float64{1, 2, 3}, want: map[int64]float64{base: 1, base - 3_600_000: 2, base - 1: 3}},
		{name: "same again", times: []int64{base, base}, value: []float64{1, 1}, want: map[int64]float64{base: 1}},
		{name: "another value at the same time", times: []int64{base, base}, value: []float64{1, 2}, want: map[int64]float64{base: 2}},
		{name: "a marker does not replace a number", times: []int64{base, base}, value: []float64{1, math.Float64frombits(value.StaleNaN)}, want: map[int64]float64{base: 1}},
		{name: "a day ahead", times: []int64{base + model.DayMs}, value: []float64{1}, want: map[int64]float64{base + model.DayMs: 1}},
		{name: "bounds", times: []int64{retention, future}, value: []float64{1, 2}, want: map[int64]float64{retention: 1, future: 2}},
		{name: "too old", times: []int64{retention - 1, base}, value: []float64{1, 2}, want: map[int64]float64{base: 2}, says: []string{"1 written, 1 refused", "too_old", `for series {__name__="m"}`}},
		{name: "too new", times: []int64{future + 1, base}, value: []float64{1, 2}, want: map[int64]float64{base: 2}, says: []string{"1 written, 1 refused", "too_new", `for series {__name__="m"}`, "out of bounds"}},
		{name: "absurd", times: []int64{math.MinInt64, math.MaxInt64, 0, base}, value: []float64{1, 2, 3, 4}, want: map[int64]float64{base: 4}, says: []string{"1 written, 3 refused"}},
	} {
		check := func(version string, send func(*door) answer) {
			t.Run(c.name+"/"+version, func(t *testing.T) {
				d := openDoor(t)
				a := send(d)
				want := 204
				if c.says != nil {
					want = 400
				}
				if a.code != want {
					t.Errorf("got %d %q, want %d", a.code, a.body, want)
				}
				for _, s := range c.says {
					if !strings.Contains(a.body, s) {
						t.Errorf("%q lacks %q", a.body, s)
					}
				}
				if got := d.storedFloats()[`{__name__="m"}`]; !maps.Equal(got, c.want) {
					t.Errorf("stored %v, want %v", got, c.want)
				}
			})
		}
		check("1", func(d *door) answer {
			s := prompb.TimeSeries{Labels: ls1("__name__", "m")}
			for i, at := range c.times {
				s.Samples = append(s.Samples, prompb.Sample{Timestamp: at, Value: c.value[i]})
			}
			return d.write1(request1(s))
		})
		check("2", func(d *door) answer {
			b := newBuilder2() // one TimeSeries a sample, as some senders do
			for i, at := range c.times {
				b.sample(at, c.value[i], "__name__", "m")
			}
			return d.write2(b.request())
		})
	}
}

func TestRemoteWriteAgainChangesNothing(t *testing.T) {
	d := openDoor(t)
	b := newBuilder2()
	for i := range int64(50) {
		b.sample(base+i, float64(i), "__name__", "m", "a", "b")
	}
	for range 3 {
		if a := d.write2(b.request()); a.code != http.StatusNoContent || a.written(t)[0] != "50" {
			t.Fatalf("got %d %q, written %v", a.code, a.body, a.written(t))
		}
		if got := d.stored()[`{__name__="m", a="b"}`]; got.Len() != 50 {
			t.Fatalf("%d samples stored", got.Len())
		}
	}
}
