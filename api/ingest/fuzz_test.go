package ingest

import (
	"bytes"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/internal/model"
	"tsdb/storage"
)

// decoded is the result of decoding a message, in a comparable order and form.
type decoded struct {
	samples []memorySample
	exs     []memoryExemplar
	hists   []memoryHistogram
}

func fuzzLimits() storage.Limits { return New(Options{Seed: 1}).opts.Limits }

// decodeInto runs a decoder twice, first with unknown series and then with known
// ones, and checks that the results agree.
func decodeInto(t *testing.T, d decoder) (*memory, error) {
	t.Helper()
	m := newMemory()
	err := d.decode(m)
	samples, hists, exs, rejects := slices.Clone(m.samples), slices.Clone(m.hists), slices.Clone(m.exs), m.rejects.List()
	m.Reset()
	again := d.decode(m)
	if (err == nil) != (again == nil) {
		t.Fatalf("first %v, then %v", err, again)
	}
	if err == nil && (!equalSamples(samples, m.samples) || len(hists) != len(m.hists) || len(exs) != len(m.exs) || !slices.EqualFunc(rejects, m.rejects.List(), sameRejection)) {
		t.Fatalf("known series decode differently from new ones:\n%v %v\n%v %v", samples, rejects, m.samples, m.rejects.List())
	}
	return m, err
}

func sameRejection(a, b storage.Rejection) bool { return a.Reason == b.Reason && a.Count == b.Count }

func equalSamples(a, b []memorySample) bool {
	return slices.EqualFunc(a, b, func(x, y memorySample) bool {
		return x.series == y.series && x.t == y.t && x.st == y.st && math.Float64bits(x.v) == math.Float64bits(y.v)
	})
}

// validSeries returns the labels as stored, or false if the series must be refused.
// It states the rules of the protocols in the simplest form.
func validSeries(limits storage.Limits, pairs [][2]string) (string, bool) {
	if len(pairs) > limits.Labels {
		return "", false
	}
	seen := map[string]bool{}
	named := false
	b := labels.NewScratchBuilder(len(pairs))
	for _, p := range pairs {
		if seen[p[0]] || p[0] == "" || !utf8.ValidString(p[0]) || !utf8.ValidString(p[1]) || len(p[0]) > limits.NameBytes || len(p[1]) > limits.ValueBytes {
			return "", false
		}
		seen[p[0]] = true
		named = named || p[0] == "__name__" && p[1] != ""
		if p[1] != "" {
			b.Add(p[0], p[1])
		}
	}
	b.Sort()
	return b.Labels().String(), named
}

func validExemplar(limits storage.Limits, pairs [][2]string) bool {
	if len(pairs) > limits.Labels {
		return false
	}
	seen := map[string]bool{}
	runes := 0
	for _, p := range pairs {
		if seen[p[0]] || !utf8.ValidString(p[0]) || !utf8.ValidString(p[1]) {
			return false
		}
		seen[p[0]] = true
		runes += utf8.RuneCountInString(p[0]) + utf8.RuneCountInString(p[1])
	}
	return runes <= maxExemplarRunes
}

// FuzzRemoteWrite1 compares our decoder with the generated one. Ours never panics.
// If the generated one accepts the bytes, its result is encoded again, and ours
// must decode that to the same samples and refuse exactly the series that
// validSeries refuses.
func FuzzRemoteWrite1(f *testing.F) {
	q := request1(sample1(base, 1, "__name__", "m", "a", "b"), sample1(base, 2, "b", "x", "__name__", "n"), sample1(base, 3, "no", "name"))
	q.Timeseries[0].Exemplars = []prompb.Exemplar{{Labels: ls1("trace_id", "x"), Value: 1, Timestamp: base}}
	q.Timeseries[1].Histograms = []prompb.Histogram{prompb.FromIntHistogram(base, testHistogram()), prompb.FromFloatHistogram(base, testHistogram().ToFloat(nil))}
	q.Metadata = []prompb.MetricMetadata{{Type: prompb.MetricMetadata_GAUGE, MetricFamilyName: "m", Help: "h", Unit: "u"}}
	seed, err := q.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Add([]byte("\x0a\x04\x0a\x02\x0a\x00"))
	f.Add([]byte("\x0a\x06\x12\x02\x10\x01\x0a\x00")) // labels after the sample
	f.Add([]byte{15<<3 | wireGroup, 15<<3 | wireEnd})
	f.Fuzz(func(t *testing.T, src []byte) {
		limits := fuzzLimits()
		d := newDecoder1(1, limits)
		d.src = src
		_, ours := decodeInto(t, &d)
		var q prompb.WriteRequest
		if q.Unmarshal(src) != nil {
			return
		}
		_ = ours // no encoder produces these bytes; either result is fine
		canonical, err := q.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		q = prompb.WriteRequest{}
		if err := q.Unmarshal(canonical); err != nil {
			t.Fatal(err)
		}
		d = newDecoder1(1, limits)
		d.src = canonical
		m, err := decodeInto(t, &d)
		if err != nil {
			t.Fatalf("ours does not decode what the generated code does: %v", err)
		}
		var want decoded
		for _, s := range q.Timeseries {
			series, ok := validSeries(limits, pairs1(s.Labels))
			if !ok {
				continue
			}
			for _, x := range s.Samples {
				want.samples = append(want.samples, memorySample{series, x.Timestamp, 0, x.Value})
			}
			for _, x := range s.Histograms {
				if h, err := toHistogram(x, int32(x.ResetHint)); err == nil {
					want.hists = append(want.hists, memoryHistogram{series, x.Timestamp, 0, h})
				}
			}
			for _, x := range s.Exemplars {
				if validExemplar(limits, pairs1(x.Labels)) {
					want.exs = append(want.exs, memoryExemplar{series, model.Exemplar{T: x.Timestamp, V: x.Value}})
				}
			}
		}
		compare(t, m, want)
	})
}

func pairs1(ls []prompb.Label) (pairs [][2]string) {
	for _, l := range ls {
		pairs = append(pairs, [2]string{l.Name, l.Value})
	}
	return pairs
}

func compare(t *testing.T, m *memory, want decoded) {
	t.Helper()
	if !equalSamples(m.samples, want.samples) {
		t.Fatalf("samples %v, want %v", m.samples, want.samples)
	}
	if !slices.EqualFunc(m.hists, want.hists, func(a, b memoryHistogram) bool {
		return a.series == b.series && a.t == b.t && a.st == b.st && a.h.Equal(b.h)
	}) {
		t.Fatalf("histograms %v, want %v", m.hists, want.hists)
	}
	if !slices.EqualFunc(m.exs, want.exs, func(a, b memoryExemplar) bool {
		return a.series == b.series && a.e.T == b.e.T && math.Float64bits(a.e.V) == math.Float64bits(b.e.V)
	}) {
		t.Fatalf("exemplars %v, want %v", m.exs, want.exs)
	}
}

// FuzzRemoteWrite2 does the same for version 2.
func FuzzRemoteWrite2(f *testing.F) {
	b := newBuilder2().sample(base, 1, "__name__", "m", "a", "b").sample(base, 2, "b", "x", "__name__", "n").sample(base, 3, "no", "name")
	b.series[0].Exemplars = []writev2.Exemplar{{LabelsRefs: b.refs("trace_id", "x"), Value: 1, Timestamp: base}}
	b.series[1].Histograms = []writev2.Histogram{writev2.FromIntHistogram(7, base, testHistogram()), writev2.FromFloatHistogram(0, base, testHistogram().ToFloat(nil))}
	b.series[2].Samples[0].StartTimestamp = 5
	b.series[0].Metadata = writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: 1, UnitRef: 2}
	seed, err := b.request().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Add([]byte("\x2a\x05\x08\x01\x08\x02\x12\x22\x00\x22\x08__name__\x22\x01m")) // unpacked refs, symbols after them
	f.Fuzz(func(t *testing.T, src []byte) {
		limits := fuzzLimits()
		d := newDecoder2(1, limits, new(metadataCache))
		d.src = src
		_, _ = decodeInto(t, &d)
		var q writev2.Request
		if q.Unmarshal(src) != nil {
			return
		}
		canonical, err := q.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		q = writev2.Request{}
		if err := q.Unmarshal(canonical); err != nil {
			t.Fatal(err)
		}
		d = newDecoder2(1, limits, new(metadataCache))
		d.src = canonical
		m, err := decodeInto(t, &d)
		if err != nil {
			t.Fatalf("ours does not decode what the generated code does: %v", err)
		}
		var want decoded
		symbols := uint64(len(q.Symbols))
		for _, s := range q.Timeseries {
			pairs, ok := pairs2(q.Symbols, s.LabelsRefs)
			if !ok || len(s.Samples)+len(s.Histograms)+len(s.Exemplars) == 0 {
				continue
			}
			if m := s.Metadata; (m.Type != 0 || m.HelpRef != 0 || m.UnitRef != 0) && (uint64(m.HelpRef) >= symbols || uint64(m.UnitRef) >= symbols) {
				continue
			}
			series, ok := validSeries(limits, pairs)
			if !ok {
				continue
			}
			for _, x := range s.Samples {
				want.samples = append(want.samples, memorySample{series, x.Timestamp, x.StartTimestamp, x.Value})
			}
			for _, x := range s.Histograms {
				if h, err := toHistogram(x, int32(x.ResetHint)); err == nil {
					want.hists = append(want.hists, memoryHistogram{series, x.Timestamp, x.StartTimestamp, h})
				}
			}
			for _, x := range s.Exemplars {
				if pairs, ok := pairs2(q.Symbols, x.LabelsRefs); ok && validExemplar(limits, pairs) {
					want.exs = append(want.exs, memoryExemplar{series, model.Exemplar{T: x.Timestamp, V: x.Value}})
				}
			}
		}
		compare(t, m, want)
	})
}

func pairs2(symbols []string, refs []uint32) (pairs [][2]string, ok bool) {
	if len(refs)%2 != 0 {
		return nil, false
	}
	for i := 0; i < len(refs); i += 2 {
		if uint64(refs[i]) >= uint64(len(symbols)) || uint64(refs[i+1]) >= uint64(len(symbols)) {
			return nil, false
		}
		pairs = append(pairs, [2]string{symbols[refs[i]], symbols[refs[i+1]]})
	}
	return pairs, true
}

// FuzzLines feeds bodies to the line-protocol decoder. It never panics, reads every
// byte, decodes known and new series alike, and decodes a body to the same samples
// if another line precedes it.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"m v=1 1", "m,t=a v=1,w=2i,x=\"s\",y=t 5\n", "# c\n\nm v=1\r\n", `m\ x,t\,=\= v\ =1`, "m s=\"a\nb\",v=1 1\nbad\n", "m v=\"", "m,t=a=b v=1 -1", "m,t=a\\\nb v=1", "\" v=\"\n\" v=\"\n", "m \tv=1 \t1", `m\=\" v\"=1`, "m v=1 9223372036854775807"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		src = bytes.TrimPrefix(src, byteOrderMark) // special only at the start of a body
		lines := newLineReader(src)
		for rest := lines.src; ; rest = lines.src {
			line, ok := lines.next()
			if !ok {
				if len(rest) > 0 {
					t.Fatalf("%q is left of %q", rest, src)
				}
				break
			}
			if len(lines.src) >= len(rest) || len(line) > len(rest)-len(lines.src) || !bytes.HasPrefix(rest, line) {
				t.Fatalf("line %q of %q, then %q", line, rest, lines.src)
			}
		}
		decode := func(src []byte) *memory {
			d := influxDecoder{src: src, seed: 1, precision: precisions1[""], now: base, labels: labelSet{limits: fuzzLimits()}, db: dbLabel{[]byte("db"), []byte("x")}}
			m, err := decodeInto(t, &d)
			if err != nil {
				t.Fatal(err)
			}
			if d.offered-d.refused != len(m.samples) {
				t.Fatalf("offered %d, refused %d, stored %d", d.offered, d.refused, len(m.samples))
			}
			return m
		}
		alone := decode(src)
		after := decode(append([]byte("first,a=b v=1 1\n"), src...))
		if len(after.samples) == 0 || !equalSamples(alone.samples, after.samples[1:]) {
			t.Fatalf("alone %v, after a line %v", alone.samples, after.samples)
		}
		for _, s := range alone.samples {
			if math.IsNaN(s.v) || math.IsInf(s.v, 0) || !strings.Contains(s.series, "__name__") {
				t.Fatalf("%+v", s)
			}
		}
	})
}

// FuzzContentType checks that negotiate never panics and returns only the two
// message types.
func FuzzContentType(f *testing.F) {
	f.Add(type1)
	f.Add(type2)
	f.Add("application/x-protobuf ; ; proto = \"prometheus.WriteRequest\" ;")
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := negotiate(s); (err == nil) != (m == message1 || m == message2) {
			t.Fatalf("%q: %q, %v", s, m, err)
		}
	})
}

// FuzzBodies sends bytes to every door over HTTP. Each gets a response, and nothing
// stays charged.
func FuzzBodies(f *testing.F) {
	f.Add([]byte("m v=1"), uint8(0))
	f.Add(snap([]byte("\x0a\x00")), uint8(1))
	f.Add(gzipped(f, []byte("m v=1")), uint8(2))
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		in := New(Options{DB: func() (*storage.DB, error) { return nil, os.ErrClosed }, InfluxDBLabel: "db", Seed: 1, MaxBodyBytes: 1 << 16})
		m := newMemory()
		in.ready = func() error { return nil }
		in.newBatch = func(string) (batch, error) { return m, nil }
		mux := http.NewServeMux()
		in.Register(mux)
		var a answer
		switch kind % 5 {
		case 0:
			a = do(t, mux, "POST", "/write?db=x", body)
		case 1:
			a = do(t, mux, "POST", "/api/v1/write", body, "Content-Type", type1)
		case 2:
			a = do(t, mux, "POST", "/api/v2/write?bucket=x", body, "Content-Encoding", "gzip")
		case 3:
			a = do(t, mux, "POST", "/api/v1/push", body, "Content-Type", type2)
		default:
			a = do(t, mux, "POST", "/query", append([]byte("q="), body...), "Content-Type", "application/x-www-form-urlencoded")
		}
		if a.code < 200 || a.code >= 500 {
			t.Fatalf("%d %s", a.code, a.body)
		}
		if in.budget.Used() != 0 {
			t.Fatalf("%d bytes stay charged", in.budget.Used())
		}
	})
}
