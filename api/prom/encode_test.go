package prom

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/prometheus/prometheus/util/jsonutil"
)

// upstream encodes with Prometheus' own functions.
func upstream(write func(*jsoniter.Stream)) string {
	s := jsoniter.NewStream(jsoniter.ConfigCompatibleWithStandardLibrary, nil, 64)
	write(s)
	return string(s.Buffer())
}

func checkFloat(t *testing.T, v float64) {
	t.Helper()
	got := string(appendFloat(nil, v))
	if want := upstream(func(s *jsoniter.Stream) { jsonutil.MarshalFloat(v, s) }); got != want {
		t.Errorf("%b is written %s, Prometheus writes %s", v, got, want)
	}
	back, err := strconv.ParseFloat(strings.Trim(got, `"`), 64)
	if err != nil || math.Float64bits(back) != math.Float64bits(v) && !math.IsNaN(v) {
		t.Errorf("%s reads back as %b, %v, was %b", got, back, err, v)
	}
}

func checkTime(t *testing.T, ms int64) {
	t.Helper()
	got := string(appendTime(nil, ms))
	if ms == math.MinInt64 { // Prometheus writes two signs
		if got != "-9223372036854775.808" {
			t.Errorf("%d is written %s", ms, got)
		}
		return
	}
	if want := upstream(func(s *jsoniter.Stream) { jsonutil.MarshalTimestamp(ms, s) }); got != want {
		t.Errorf("%d is written %s, Prometheus writes %s", ms, got, want)
	}
}

func TestNumbersAreWrittenAsPrometheusDoes(t *testing.T) {
	for _, v := range []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 1e-6, 9.99e-7, 1e20, 1e21, -1e21, 1 << 53, 1<<53 - 1, -(1 << 53), 1 << 63, -(1 << 63), 1 << 62, math.Pi, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN()} {
		checkFloat(t, v)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		v := float64(r.Int64N(int64(math.Pow(10, 1+16*r.Float64())))) / math.Pow(10, float64(r.IntN(5)))
		checkFloat(t, v)
		checkFloat(t, math.Nextafter(-v, 0))
	}
	for _, ms := range []int64{0, 1, -1, 2, 10, 100, 999, 1000, 1500, -1500, -1, 1767229200123, math.MaxInt64, math.MinInt64, math.MinInt64 + 1} {
		checkTime(t, ms)
	}
}

func TestStringsReadBack(t *testing.T) {
	for _, s := range []string{"", "a", "köln ☃ 𝄞", `"quoted\back"`, "\x00\x01\x1f\x7f", "line\nfeed\r\ttab", "\u2028</script>", "a\xffb\xc3", "\xed\xa0\x80"} {
		var back string
		b := appendString([]byte("prefix"), s)
		if err := json.Unmarshal(b[len("prefix"):], &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && !strings.Contains(back, "\ufffd") {
			t.Errorf("%q is written %s, which reads as %q, %v", s, b, back, err)
		}
		want, _ := json.Marshal(s)
		var std string
		if err := json.Unmarshal(want, &std); err != nil || std != back {
			t.Errorf("%q reads as %q, encoding/json's as %q", s, back, std)
		}
	}
}

func TestHistogramsAreWrittenAsPrometheusDoes(t *testing.T) {
	hs := []*histogram.FloatHistogram{
		{},
		{Count: 3, Sum: math.Inf(1), ZeroThreshold: 0.5, ZeroCount: 3},
		tsdbutil.GenerateTestFloatHistogram(7),
		tsdbutil.GenerateTestGaugeFloatHistogram(3),
		tsdbutil.GenerateTestCustomBucketsFloatHistogram(5),
		tsdbutil.GenerateTestFloatHistogram(2).Mul(-1),
	}
	for _, h := range hs {
		got := string(appendHistogram(nil, h))
		if want := upstream(func(s *jsoniter.Stream) { jsonutil.MarshalHistogram(h, s) }); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestTimesOfManySeries: the times of a series do not depend on those of the series
// before it.
func TestTimesOfManySeries(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var times timeTexts
		stray := r.IntN(3) == 0
		for range 1 + r.IntN(30) {
			for k := range int64(40) {
				ms := 1_767_229_200_000 + k*1500
				if r.IntN(5) == 0 {
					continue
				}
				if stray && r.IntN(4) == 0 {
					ms += r.Int64N(1500)
				}
				if got, want := string(times.append(nil, ms)), string(appendTime(nil, ms)); got != want {
					t.Fatalf("%d is written %s, not %s", ms, got, want)
				}
			}
		}
	}
}

// TestLongAnswersAreSentInParts: a long response is sent in parts, and none is
// lost.
func TestLongAnswersAreSentInParts(t *testing.T) {
	m := make(promql.Matrix, 30)
	for i := range m {
		m[i].Metric = labels.FromStrings("i", fmt.Sprint(i))
		for j := range 2000 {
			m[i].Floats = append(m[i].Floats, promql.FPoint{T: int64(j) * 1001, F: float64(i) / 7})
		}
	}
	var w parts
	e := newEncoder(&w)
	queryData(m, nil)(e)
	if err := e.finish(); err != nil {
		t.Fatal(err)
	}
	if w.writes < 10 || w.largest > 2*encoderBytes {
		t.Errorf("%d writes, the largest of %d bytes", w.writes, w.largest)
	}
	var back struct {
		Result []struct{ Values [][2]any }
	}
	if err := json.Unmarshal(w.all, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Result) != 30 || len(back.Result[29].Values) != 2000 {
		t.Error("points are missing")
	}
}

type parts struct {
	all             []byte
	writes, largest int
}

func (p *parts) Write(b []byte) (int, error) {
	p.all = append(p.all, b...)
	p.writes++
	p.largest = max(p.largest, len(b))
	return len(b), nil
}

// BenchmarkMatrix: bytes count points: 1 MB/s is a million points a second.
func BenchmarkMatrix(b *testing.B) {
	for _, kind := range []string{"counter", "gauge"} {
		b.Run("values="+kind, func(b *testing.B) {
			m := make(promql.Matrix, 100)
			for i := range m {
				m[i].Metric = labels.FromStrings("__name__", "x", "i", fmt.Sprint(i))
				for j := range 1000 {
					v := float64(i * j)
					if kind == "gauge" {
						v /= 7
					}
					m[i].Floats = append(m[i].Floats, promql.FPoint{T: 1767229200000 + int64(j)*15000, F: v})
				}
			}
			b.SetBytes(100_000)
			b.ReportAllocs()
			var w parts
			for b.Loop() {
				w.all = w.all[:0]
				e := newEncoder(&w)
				queryData(m, nil)(e)
				if err := e.finish(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
