package jsonl

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, text []byte) (labels.Labels, *model.Samples) {
	t.Helper()
	var all model.Samples
	var ls labels.Labels
	for line := range strings.Lines(string(text)) {
		var l Line
		must(t, l.Split([]byte(line)))
		var b labels.ScratchBuilder
		must(t, l.Labels(b.Add))
		b.Sort()
		ls = b.Labels()
		var s, merged model.Samples
		must(t, l.Samples(&s))
		if n := l.Rows(); n != s.Len() {
			t.Errorf("%d rows announced, %d read", n, s.Len())
		}
		model.Merge(&merged, &all, &s)
		all = merged
	}
	return ls, &all
}

func TestLinesKeepBits(t *testing.T) {
	var s model.Samples
	r := rand.New(rand.NewSource(1))
	values := []uint64{
		0x7ff0000000000002, goNaN, 0xfff8000000000001, 0x7ff8000000000000, 1, 1 << 63, 0x7ff0000000000000, 0xfff0000000000000,
		math.Float64bits(0.1), math.Float64bits(1 << 60), math.Float64bits(-(1 << 53)), math.Float64bits(123456789), math.Float64bits(-7),
	}
	for range 500 {
		values = append(values, r.Uint64())
	}
	h := &histogram.Histogram{Schema: 1, Count: 2, Sum: 3, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1, 0}}
	for i, bits := range values {
		s.Append(int64(i*10-50), int64(i%3), math.Float64frombits(bits), model.Histogram{})
		if i%50 == 0 {
			s.Append(int64(i*10-49), 0, 0, model.Histogram{Int: h})
			s.Append(int64(i*10-48), 5, 0, model.Histogram{Float: h.ToFloat(nil)})
		}
	}
	ls := labels.FromStrings("__name__", "m", "a", "b\"\\\n\u00e9\u2028", "c", "{}[],:")
	for _, maxRows := range []int{0, 1, 7} {
		got, samples := read(t, AppendSamples(nil, ls, &s, maxRows))
		if !labels.Equal(got, ls) {
			t.Errorf("labels %s", got)
		}
		if samples.Len() != s.Len() {
			t.Fatalf("%d rows, want %d", samples.Len(), s.Len())
		}
		for i := range s.T {
			if !samples.EqualAt(i, &s, i) {
				t.Fatalf("row %d of %d: %x, want %x", i, s.Len(), math.Float64bits(samples.V[i]), math.Float64bits(s.V[i]))
			}
		}
	}
}

func TestLinesOfVictoriaMetrics(t *testing.T) {
	line := ` { "metric" : {"__name__":"up","job":"node_exporter"}, "extra":{"a":[1,{"b":"]}"}]},
	 "values":[0,-1.5e3,null,"Infinity","-Infinity","NaN","3"],"timestamps":[1549891472010,1549891487724,-3,1e3,5,6,7] } `
	ls, s := read(t, []byte(strings.ReplaceAll(line, "\n", "")))
	if ls.String() != `{__name__="up", job="node_exporter"}` || s.Len() != 7 {
		t.Fatalf("%s, %d rows", ls, s.Len())
	}
	got := map[int64]float64{}
	for i, ts := range s.T {
		got[ts] = s.V[i]
	}
	if got[1549891472010] != 0 || got[1549891487724] != -1500 || got[1000] != math.Inf(1) || got[5] != math.Inf(-1) || got[7] != 3 || got[-3] == got[-3] {
		t.Errorf("%v", got)
	}
}

func TestBadLinesAreRefused(t *testing.T) {
	for _, line := range []string{
		"", "{", "[]", "null", `{"metric":{}}`, `{"metric":{},"values":[1]}`, `{"metric":[],"values":[1],"timestamps":[1]}`,
		`{"metric":{"a"},"values":[1],"timestamps":[1]}`, `{"metric":{"a":1},"values":[1],"timestamps":[1]}`,
		`{"metric":{"a":"b"},"values":[1,2],"timestamps":[1]}`, `{"metric":{"a":"b"},"values":[1],"timestamps":[1,2]}`,
		`{"metric":{"a":"b"},"values":[1],"timestamps":[1.5]}`, `{"metric":{"a":"b"},"values":[x],"timestamps":[1]}`,
		`{"metric":{"a":"b"},"values":[1],"timestamps":[1]} x`, `{"metric":{"a":"b"},"values":[1],"timestamps":[1],"starts":[]}`,
		`{"metric":{"a":"b"},"values":["NaN:1"],"timestamps":[1]}`, `{"metric":{"a":"b"},"histograms":["AAAA"],"timestamps":[1]}`,
		`{"metric":{"a":"b"},"values":[1,],"timestamps":[1]}`, `{"metric":{"a":"b"},"values":[1]"timestamps":[1]}`,
		`{"metric":{"a":"\x"},"values":[1],"timestamps":[1]}`,
	} {
		var l Line
		err := l.Split([]byte(line))
		if err == nil {
			err = l.Labels(func(string, string) {})
		}
		if err == nil {
			err = l.Samples(&model.Samples{})
		}
		if !errors.Is(err, ErrLine) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// Lines in the usual form are read as those in any form: no line that only one of the ways
// takes, no other samples.
func TestUsualLines(t *testing.T) {
	parts := []string{
		`{"metric":{`, `{"metric":`, `"__name__":"m"`, `"a":"b"`, `"a":"}"`, `"a":"}\",\"values\":["`, `"a":"`, `{`, `}`, `,`, `},"values":[`, `],"timestamps":[`, `]}`, `]`, `[`,
		"1", "-2.5", "1e3", `"NaN"`, "null", "1700000000000", "17000000000000000000", " ", `"starts":[`, `"histograms":[`, "x", ".5", "1e999", `"`, `\`,
	}
	r := rand.New(rand.NewSource(3))
	usual := 0
	check := func(line string) {
		t.Helper()
		var fast, slow Line
		ok := fast.splitUsual([]byte(line))
		err := slow.splitAny([]byte(line))
		if !ok {
			return
		}
		usual++
		var some, all model.Samples
		errLabels := fast.Labels(func(string, string) {})
		errSamples := fast.Samples(&some)
		if err != nil {
			if errLabels == nil && errSamples == nil {
				t.Fatalf("%s: taken, although %v", line, err)
			}
			return
		}
		if errLabels == nil && string(fast.Metric) != string(slow.Metric) {
			t.Fatalf("%s: labels %s, want %s", line, fast.Metric, slow.Metric)
		}
		if string(fast.Metric) != string(slow.Metric) {
			return
		}
		if errSamples != nil && !json.Valid([]byte(line)) {
			return // the slow way is more lenient
		}
		if err := slow.anySamples(&all); (err == nil) != (errSamples == nil) {
			t.Fatalf("%s: %v, want %v", line, errSamples, err)
		} else if err != nil {
			return
		}
		if some.Len() != all.Len() {
			t.Fatalf("%s: %d samples, want %d", line, some.Len(), all.Len())
		}
		for i := range some.T {
			if !some.EqualAt(i, &all, i) {
				t.Fatalf("%s: row %d: %v at %d, want %v at %d", line, i, some.V[i], some.T[i], all.V[i], all.T[i])
			}
		}
	}
	usualParts := []string{`{"metric":{`, `"a":"b"`, `},"values":[`, "1.5", `,`, "2", `],"timestamps":[`, "17", ",", "18", `]}`}
	check(strings.Join(usualParts, ""))
	if usual != 1 {
		t.Fatal("the usual form is not")
	}
	for range 200_000 {
		line := slices.Clone(usualParts)
		for range r.Intn(4) { // replaced, left out or added
			at, part := r.Intn(len(line)), parts[r.Intn(len(parts))]
			switch r.Intn(3) {
			case 0:
				line[at] = part
			case 1:
				line[at] = ""
			default:
				line = slices.Insert(line, at, part)
			}
		}
		check(strings.Join(line, ""))
	}
	if usual < 10_000 {
		t.Errorf("only %d lines of the usual form", usual)
	}
}

// A value ends where a walk over each byte says.
func TestEndOfValue(t *testing.T) {
	walk := func(b []byte) int {
		depth, quoted := 0, false
		for i := 0; i < len(b); i++ {
			switch c := b[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				if quoted = !quoted; !quoted && depth == 0 {
					return i + 1
				}
			case quoted:
			case c == '{' || c == '[':
				depth++
			case c == '}' || c == ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return -1
	}
	r := rand.New(rand.NewSource(2))
	const alphabet = `{}[]"\,:a1 `
	for range 300_000 {
		b := []byte{`{["`[r.Intn(3)]}
		for range r.Intn(40) {
			b = append(b, alphabet[r.Intn(len(alphabet))])
		}
		p := scanner{b: b}
		got, ok := p.value()
		if want := walk(b); ok != (want >= 0) || ok && len(got) != want {
			t.Fatalf("%s: %d bytes, %v, want %d", b, len(got), ok, want)
		}
	}
}

// Whatever is read can be written and read again.
func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"metric":{"__name__":"up","a":"\u00e9"},"values":[0,-1.5e3,null,"Infinity","NaN:7ff0000000000002"],"timestamps":[1,2,3,4,5],"starts":[0,0,1,1,1]}`))
	h := model.Histogram{Int: &histogram.Histogram{Schema: 1, Count: 2, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{2}}}
	var s model.Samples
	s.Append(1, 0, 0, h)
	f.Add(AppendSamples(nil, labels.FromStrings("__name__", "h"), &s, 0))
	f.Fuzz(func(t *testing.T, line []byte) {
		var l Line
		if l.Split(line) != nil {
			return
		}
		var b labels.ScratchBuilder
		var s model.Samples
		if l.Labels(b.Add) != nil || l.Samples(&s) != nil {
			return
		}
		b.Sort()
		for text := range strings.Lines(string(AppendSamples(nil, b.Labels(), &s, 0))) {
			var again Line
			must(t, again.Split([]byte(text)))
			var out model.Samples
			must(t, again.Samples(&out))
		}
	})
}

func BenchmarkLineSamples(b *testing.B) {
	var s model.Samples
	r := rand.New(rand.NewSource(1))
	for i := range 1000 {
		s.Append(1_795_651_200_000+int64(i)*15000, 0, float64(i)*[]float64{1, 0.1}[i%2]+float64(r.Intn(10)), model.Histogram{})
	}
	line := AppendSamples(nil, labels.FromStrings("__name__", "m", "a", "b"), &s, 0)
	b.SetBytes(1000) // samples: MB/s reads as millions a second
	var l Line
	for b.Loop() {
		s.Reset()
		must(b, l.Split(line))
		must(b, l.Samples(&s))
	}
}
