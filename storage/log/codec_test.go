package log

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
)

func TestSamplesKeepEveryBit(t *testing.T) {
	f := func(slots []uint32, ts []int64, vs []float64, sts []int64, wantBytes int) {
		t.Helper()
		prefix := []byte("prefix")
		b := AppendSamples(prefix, slots, ts, vs, sts)
		if string(b[:6]) != "prefix" {
			t.Fatal("prefix overwritten")
		}
		b = b[6:]
		if len(b) != wantBytes {
			t.Errorf("%d rows in %d bytes, want %d", len(slots), len(b), wantBytes)
		}
		c := SampleColumns{keys: keys{Slots: []uint32{9, 9}, T: make([]int64, 50), ST: []int64{5}}, V: []float64{1}}
		must(t, DecodeSamples(b, &c))
		if !slices.Equal(c.Slots, slots) || !slices.Equal(c.T, ts) {
			t.Fatalf("got slots %v, times %v", c.Slots, c.T)
		}
		for i := range vs {
			if math.Float64bits(c.V[i]) != math.Float64bits(vs[i]) {
				t.Fatalf("value %d: %x, want %x", i, math.Float64bits(c.V[i]), math.Float64bits(vs[i]))
			}
		}
		if allZero(sts) {
			sts = nil
		}
		if !slices.Equal(c.ST, sts) {
			t.Fatalf("start times %v, want %v", c.ST, sts)
		}
	}
	f(nil, nil, nil, nil, 2)
	f([]uint32{0}, []int64{0}, []float64{math.Copysign(0, -1)}, nil, 2+1+1+8)
	f([]uint32{model.MaxSlots - 1, 0}, []int64{math.MinInt64, math.MaxInt64},
		[]float64{math.Float64frombits(value.StaleNaN), math.Float64frombits(0x7ff8dead00000001)}, []int64{0, 0}, 2+5+5+10+1+16)
	f([]uint32{5, 6, 7}, []int64{1e12, 1e12, 1e12}, []float64{1, math.Inf(-1), 5e-324}, []int64{7, 7, 7}, 2+3+6+1+24)
	f([]uint32{5, 6, 7}, []int64{1e12, 1e12, 1e12 + 1}, []float64{1, 2, 3}, []int64{7, 0, 7}, 2+3+8+3+24)
}

// testHistograms are histograms of every kind.
func testHistograms() []model.Histogram {
	i := &histogram.Histogram{
		Schema: 3, ZeroThreshold: 1e-128, Count: 20, Sum: -1.5, ZeroCount: 2,
		PositiveSpans: []histogram.Span{{Offset: -3, Length: 2}, {Offset: 4, Length: 1}}, PositiveBuckets: []int64{3, 4, -2},
		NegativeSpans: []histogram.Span{{Offset: 0, Length: 1}}, NegativeBuckets: []int64{3},
	}
	f := i.ToFloat(nil)
	f.CounterResetHint = histogram.GaugeType
	custom := &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema, Count: 3, Sum: 7,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{1, 1}, CustomValues: []float64{1, 2.5},
	}
	stale := &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}
	return []model.Histogram{{Int: i}, {Float: f}, {Int: custom}, {Int: stale}, {Float: stale.ToFloat(nil)}}
}

func TestHistogramsComeBackEqual(t *testing.T) {
	hs := testHistograms()
	slots := []uint32{3, 1, 2, 9, 9}
	ts, sts := []int64{5, 5, 5, 5, 5}, []int64{0, 1, 0, 0, -7}
	var c HistogramColumns
	for range 2 {
		must(t, DecodeHistograms(encoded(AppendHistograms(nil, slots, ts, sts, hs)), &c))
		if !slices.Equal(c.Slots, slots) || !slices.Equal(c.T, ts) || !slices.Equal(c.ST, sts) {
			t.Fatalf("got %+v", c.keys)
		}
		for i := range hs {
			if !c.H[i].Equal(hs[i]) {
				t.Fatalf("histogram %d: got %v", i, c.H[i])
			}
		}
	}
}

func TestExemplarsComeBackEqual(t *testing.T) {
	es := []model.Exemplar{
		{T: -1, V: math.Inf(1), Labels: labels.FromStrings("trace_id", "abc", "span", "d\x00")},
		{T: 5, V: math.NaN()},
		{T: 5, V: 3, Labels: labels.FromStrings("a", "")},
	}
	slots := []uint32{7, 7, 3}
	var c ExemplarColumns
	for range 2 {
		must(t, DecodeExemplars(encoded(AppendExemplars(nil, slots, es)), &c))
		if !slices.Equal(c.Slots, slots) {
			t.Fatalf("slots %v", c.Slots)
		}
		for i := range es {
			if !c.E[i].Equal(es[i]) {
				t.Fatalf("exemplar %d: got %+v", i, c.E[i])
			}
		}
	}
}

// fleetSeries returns definitions as one request of a node_exporter brings
// them: one target, many metrics.
func fleetSeries(n int) []SeriesDef {
	defs := make([]SeriesDef, n)
	rng := rand.New(rand.NewSource(1))
	for i := range defs {
		target := i / 500
		defs[i] = SeriesDef{Slot: uint32(i), ID: model.Identity{Hi: rng.Uint64(), Lo: rng.Uint64()}, Labels: labels.FromStrings(
			"__name__", fmt.Sprintf("node_cpu_metric_%d_seconds_total", i%500/8),
			"cluster", "production-eu-1", "cpu", fmt.Sprint(i%8), "datacenter", "fra3",
			"env", "production", "instance", fmt.Sprintf("node-%04d.example.com:9100", target),
			"job", "node", "mode", []string{"idle", "user", "system", "iowait"}[i%4],
			"rack", fmt.Sprintf("r%02d", target%40), "region", "eu-central", "team", "infrastructure")}
	}
	return defs
}

func TestSeriesComeBackEqual(t *testing.T) {
	f := func(defs []SeriesDef) {
		t.Helper()
		b := encoded(AppendSeries([]byte("prefix"), defs))[6:]
		var got []SeriesDef
		must(t, DecodeSeries(b, func(d SeriesDef) error { got = append(got, d); return nil }))
		if len(got) != len(defs) {
			t.Fatalf("%d definitions, want %d", len(got), len(defs))
		}
		for i, d := range defs {
			if got[i].Slot != d.Slot || got[i].ID != d.ID || !labels.Equal(got[i].Labels, d.Labels) {
				t.Fatalf("definition %d: got %+v, want %+v", i, got[i], d)
			}
		}
	}
	def := func(slot uint32, ls ...string) SeriesDef {
		return SeriesDef{Slot: slot, ID: model.Identity{Hi: uint64(slot) << 40, Lo: 3}, Labels: labels.FromStrings(ls...)}
	}
	f(nil)
	f([]SeriesDef{def(model.MaxSlots - 1)})
	f([]SeriesDef{
		def(5, "a", "1", "b", "2", "d", "4"), def(4, "a", "1", "b", "2", "d", "4"), def(9, "b", "2"),
		def(9, "a", "x", "b", "23", "c", "", "e", "5"), def(0), def(1, "z", "zz"), def(2, "a", "zz", "z", "z"),
	})
	f(fleetSeries(1000))
	stop := errors.New("stop")
	err := DecodeSeries(encoded(AppendSeries(nil, fleetSeries(3))), func(SeriesDef) error { return stop })
	if !errors.Is(err, stop) {
		t.Fatalf("error of add: %v", err)
	}
}

func TestMetadataComeBackEqual(t *testing.T) {
	want := map[string]model.Metadata{
		"up": {}, "a_total": {Type: "counter", Unit: "seconds", Help: "Zeit \x00 ü"}, "": {Help: "x"},
	}
	got := map[string]model.Metadata{}
	b := AppendMetadata(nil, want)
	must(t, DecodeMetadata(b, func(metric string, m model.Metadata) error { got[metric] = m; return nil }))
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v", got)
	}
	if !slices.Equal(b, AppendMetadata(nil, got)) {
		t.Fatal("the same metadata gave other bytes")
	}
}

func TestTombstonesComeBackEqual(t *testing.T) {
	want := Tombstone{Range: model.AllTime, Matchers: []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"), labels.MustNewMatcher(labels.MatchNotEqual, "a", ""),
		labels.MustNewMatcher(labels.MatchRegexp, "b", "x|y.*"), labels.MustNewMatcher(labels.MatchNotRegexp, "c", ".+"),
	}}
	got, err := DecodeTombstone(encoded(AppendTombstone(nil, want)))
	must(t, err)
	if got.Range != want.Range || fmt.Sprint(got.Matchers) != fmt.Sprint(want.Matchers) {
		t.Fatalf("got %+v", got)
	}
}

// Every truncated payload, and every payload with an extra byte, is refused.
func TestCutPayloadsAreCorrupt(t *testing.T) {
	hs := testHistograms()
	slots := []uint32{3, 1, 2, 9, 9}
	ts := []int64{5, 6, 5, 5, 5}
	var samples SampleColumns
	var hists HistogramColumns
	var exemplars ExemplarColumns
	for name, c := range map[string]struct {
		payload []byte
		decode  func([]byte) error
	}{
		"samples":    {AppendSamples(nil, slots, ts, make([]float64, 5), []int64{1, 2, 3, 4, 5}), func(b []byte) error { return DecodeSamples(b, &samples) }},
		"histograms": {encoded(AppendHistograms(nil, slots, ts, nil, hs)), func(b []byte) error { return DecodeHistograms(b, &hists) }},
		"exemplars": {encoded(AppendExemplars(nil, slots[:1], []model.Exemplar{{T: 1, Labels: labels.FromStrings("a", "b")}})),
			func(b []byte) error { return DecodeExemplars(b, &exemplars) }},
		"series": {encoded(AppendSeries(nil, fleetSeries(3))), func(b []byte) error { return DecodeSeries(b, func(SeriesDef) error { return nil }) }},
		"metadata": {AppendMetadata(nil, map[string]model.Metadata{"a": {Help: "b"}}),
			func(b []byte) error { return DecodeMetadata(b, func(string, model.Metadata) error { return nil }) }},
		"tombstone": {encoded(AppendTombstone(nil, Tombstone{Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "b")}})),
			func(b []byte) error { _, err := DecodeTombstone(b); return err }},
		"deletion": {encoded(AppendDeletion(nil, 300, Tombstone{Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "b")}})),
			func(b []byte) error { _, _, err := DecodeDeletion(b); return err }},
		"deletion end": {AppendDeletionEnd(nil, 300), func(b []byte) error { _, err := DecodeDeletionEnd(b); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, c.decode(c.payload))
			for n := range c.payload {
				if err := c.decode(c.payload[:n]); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("first %d of %d bytes: %v", n, len(c.payload), err)
				}
			}
			if err := c.decode(append(slices.Clone(c.payload), 0)); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("a byte more: %v", err)
			}
		})
	}
}
