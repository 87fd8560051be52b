package remotewrite

import (
	"math"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/internal/model"
	"tsdb/storage"
)

// fuzzLimits are the default limits.
var fuzzLimits = door.Limits{Labels: 128, NameBytes: 1 << 10, ValueBytes: 16 << 10}

// decode1 decodes a message twice.
func decode1(t *testing.T, src []byte) (*doortest.Memory, error) {
	m := doortest.NewMemory()
	q := doortest.Acquire(t, newHandler(m).version1)
	q.Decoder.src = src
	return m, doortest.Twice(t, m, func() (storage.Receipt, error) { return q.Store(t.Context()) })
}

func decode2(t *testing.T, src []byte) (*doortest.Memory, error) {
	m := doortest.NewMemory()
	q := doortest.Acquire(t, newHandler(m).version2)
	q.Decoder.src = src
	return m, doortest.Twice(t, m, func() (storage.Receipt, error) { return q.Store(t.Context()) })
}

func newHandler(s door.Store) *Handler {
	return New(doortest.NewShared(s))
}

// decoded is the result of decoding a message, in a comparable order and form.
type decoded struct {
	samples []doortest.Sample
	exs     []doortest.Exemplar
	hists   []doortest.Histogram
}

// validSeries returns the labels as stored, or false if the series must be refused.
// It states the rules of the protocols in the simplest form.
func validSeries(limits door.Limits, pairs [][2]string) (string, bool) {
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

func validExemplar(limits door.Limits, pairs [][2]string) bool {
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
	return runes <= 128
}

// FuzzRemoteWrite1 compares our decoder with the generated one. Ours never panics.
// If the generated one accepts the bytes, its result is encoded again, and ours
// must decode that to the same samples and refuse exactly the series that
// validSeries refuses.
func FuzzRemoteWrite1(f *testing.F) {
	q := doortest.Request1(doortest.Sample1(doortest.Base, 1, "__name__", "m", "a", "b"), doortest.Sample1(doortest.Base, 2, "b", "x", "__name__", "n"), doortest.Sample1(doortest.Base, 3, "no", "name"))
	q.Timeseries[0].Exemplars = []prompb.Exemplar{{Labels: doortest.Labels1("trace_id", "x"), Value: 1, Timestamp: doortest.Base}}
	q.Timeseries[1].Histograms = []prompb.Histogram{prompb.FromIntHistogram(doortest.Base, doortest.NewHistogram()), prompb.FromFloatHistogram(doortest.Base, doortest.NewHistogram().ToFloat(nil))}
	q.Metadata = []prompb.MetricMetadata{{Type: prompb.MetricMetadata_GAUGE, MetricFamilyName: "m", Help: "h", Unit: "u"}}
	seed, err := q.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Add([]byte("\x0a\x04\x0a\x02\x0a\x00"))
	f.Add([]byte("\x0a\x06\x12\x02\x10\x01\x0a\x00")) // labels after the sample
	f.Add([]byte{15<<3 | 3, 15<<3 | 4})
	f.Fuzz(func(t *testing.T, src []byte) {
		_, ours := decode1(t, src)
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
		m, err := decode1(t, canonical)
		if err != nil {
			t.Fatalf("ours does not decode what the generated code does: %v", err)
		}
		var want decoded
		for _, s := range q.Timeseries {
			series, ok := validSeries(fuzzLimits, pairs1(s.Labels))
			if !ok {
				continue
			}
			for _, x := range s.Samples {
				want.samples = append(want.samples, doortest.Sample{Series: series, T: x.Timestamp, ST: 0, V: x.Value})
			}
			for _, x := range s.Histograms {
				if h, err := door.ToHistogram(x, int32(x.ResetHint)); err == nil {
					want.hists = append(want.hists, doortest.Histogram{Series: series, T: x.Timestamp, ST: 0, H: h})
				}
			}
			for _, x := range s.Exemplars {
				if validExemplar(fuzzLimits, pairs1(x.Labels)) {
					want.exs = append(want.exs, doortest.Exemplar{Series: series, E: model.Exemplar{T: x.Timestamp, V: x.Value}})
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

func compare(t *testing.T, m *doortest.Memory, want decoded) {
	t.Helper()
	if !doortest.EqualSamples(m.Samples, want.samples) {
		t.Fatalf("samples %v, want %v", m.Samples, want.samples)
	}
	if !slices.EqualFunc(m.Histograms, want.hists, func(a, b doortest.Histogram) bool {
		return a.Series == b.Series && a.T == b.T && a.ST == b.ST && a.H.Equal(b.H)
	}) {
		t.Fatalf("histograms %v, want %v", m.Histograms, want.hists)
	}
	if !slices.EqualFunc(m.Exemplars, want.exs, func(a, b doortest.Exemplar) bool {
		return a.Series == b.Series && a.E.T == b.E.T && math.Float64bits(a.E.V) == math.Float64bits(b.E.V)
	}) {
		t.Fatalf("exemplars %v, want %v", m.Exemplars, want.exs)
	}
}

// FuzzRemoteWrite2 does the same for version 2.
func FuzzRemoteWrite2(f *testing.F) {
	b := doortest.NewBuilder2().Sample(doortest.Base, 1, "__name__", "m", "a", "b").Sample(doortest.Base, 2, "b", "x", "__name__", "n").Sample(doortest.Base, 3, "no", "name")
	b.Series[0].Exemplars = []writev2.Exemplar{{LabelsRefs: b.Refs("trace_id", "x"), Value: 1, Timestamp: doortest.Base}}
	b.Series[1].Histograms = []writev2.Histogram{writev2.FromIntHistogram(7, doortest.Base, doortest.NewHistogram()), writev2.FromFloatHistogram(0, doortest.Base, doortest.NewHistogram().ToFloat(nil))}
	b.Series[2].Samples[0].StartTimestamp = 5
	b.Series[0].Metadata = writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: 1, UnitRef: 2}
	seed, err := b.Request().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Add([]byte("\x2a\x05\x08\x01\x08\x02\x12\x22\x00\x22\x08__name__\x22\x01m")) // unpacked refs, symbols after them
	f.Fuzz(func(t *testing.T, src []byte) {
		_, _ = decode2(t, src)
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
		m, err := decode2(t, canonical)
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
			series, ok := validSeries(fuzzLimits, pairs)
			if !ok {
				continue
			}
			for _, x := range s.Samples {
				want.samples = append(want.samples, doortest.Sample{Series: series, T: x.Timestamp, ST: x.StartTimestamp, V: x.Value})
			}
			for _, x := range s.Histograms {
				if h, err := door.ToHistogram(x, int32(x.ResetHint)); err == nil {
					want.hists = append(want.hists, doortest.Histogram{Series: series, T: x.Timestamp, ST: x.StartTimestamp, H: h})
				}
			}
			for _, x := range s.Exemplars {
				if pairs, ok := pairs2(q.Symbols, x.LabelsRefs); ok && validExemplar(fuzzLimits, pairs) {
					want.exs = append(want.exs, doortest.Exemplar{Series: series, E: model.Exemplar{T: x.Timestamp, V: x.Value}})
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

// FuzzContentType checks that negotiate never panics and returns only the two
// message types.
func FuzzContentType(f *testing.F) {
	f.Add("application/x-protobuf")
	f.Add("application/x-protobuf;proto=io.prometheus.write.v2.Request")
	f.Add("application/x-protobuf ; ; proto = \"prometheus.WriteRequest\" ;")
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := negotiate(s); (err == nil) != (m == message1 || m == message2) {
			t.Fatalf("%q: %q, %v", s, m, err)
		}
	})
}
