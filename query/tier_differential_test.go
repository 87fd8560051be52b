package query_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"tsdb/query"
)

// The differential test of tiers asks random questions about random samples, once of
// tiers and once of the samples. The answers have the same bits and annotations.
// There are two exceptions, for calls of functions that add up values which are not
// integers: sums and averages differ by at most sumTolerance × Σ|x|, and so do rates
// and increases of series with many resets.
const sumTolerance = 1e-12

func TestTiersAnswerAsSamplesDo(t *testing.T) {
	n := questions(t, 10_000, 600)
	const perWorld, perChange = 400, 25
	var total tierCounts
	for first := 0; first < n && !t.Failed(); first += perWorld {
		w := newTierWorld(t, uint64(first/perWorld))
		w.compact()
		for i := range min(perWorld, n-first) {
			if i%perChange == perChange-1 {
				w.change()
			}
			w.compare(&total)
			if t.Failed() {
				t.Logf("seed %d, question %d", w.seed, i)
				break
			}
		}
		w.close()
	}
	t.Logf("%d questions: %+v", n, total)
	if total.tiered < n/3 || total.forced < n/4 || total.rounded < n/100 {
		t.Errorf("too few of %d questions were answered from buckets: %+v", n, total)
	}
}

// tierCounts counts questions.
type tierCounts struct {
	tiered  int // answered from buckets
	forced  int // of those, with a tier that was asked for
	rounded int // answered with other bits, within the tolerance
	empty   int
	buckets float64
}

// compare asks a question of a tier and of the samples.
func (w *tierWorld) compare(total *tierCounts) {
	g := tierQuestions{w.r}
	q, rounded := g.question()
	resolution := pickOf(w.r, "auto", "auto", "auto", "1m", "1h", "1h", "6h")
	read := w.check(w.engine, w.reg, q, rounded, resolution, total)
	if total.buckets += read; read > 0 {
		total.tiered++
		if resolution != "auto" {
			total.forced++
		}
	}
}

// check compares the answers of an engine at a resolution with that of the samples. It
// returns how many buckets were read.
func (w *tierWorld) check(e *query.Engine, reg *prometheus.Registry, q question, rounded *roundedCall, resolution string, total *tierCounts) (read float64) {
	before := bucketsRead(w.t, reg)
	got := w.exec(e, q, query.WithResolution(nil, resolutionOf(w.t, resolution)))
	read = bucketsRead(w.t, reg) - before
	want := w.ask(q, query.WithResolution(nil, resolutionOf(w.t, "raw")))
	if want.Err == nil && isEmpty(want.Value) {
		total.empty++
	}
	why := differs(q, got, want, 0)
	if why != "" && rounded != nil && want.Err == nil && got.Err == nil {
		if why = w.exceeds(q, rounded, got, want); why == "" {
			total.rounded++
		}
	}
	if why != "" {
		w.t.Errorf("%v\nat %s (%v buckets) and raw: %s\ngot  %s\nwant %s", q, resolution, read, why, clip(got), clip(want))
	}
	return read
}

// Answers from the cache are those of samples too, of whatever tiers their parts were
// read, and whatever changes between.
func TestCachedAnswersOfTiersAreThoseOfSamples(t *testing.T) {
	n := questions(t, 1200, 400)
	const perWorld, perChange = 200, 20
	var counts cacheCounts
	var total tierCounts
	for first := 0; first < n && !t.Failed(); first += perWorld {
		w := newTierWorld(t, uint64(first/perWorld))
		w.compact()
		g := tierQuestions{w.r}
		type asked struct {
			q       question
			rounded *roundedCall
		}
		var pool []asked
		for len(pool) < 10 {
			if q, rounded := g.question(); !q.instant && q.end > q.start+5*q.step {
				pool = append(pool, asked{q, rounded})
			}
		}
		for i := range min(perWorld, n-first) {
			if i%perChange == perChange-1 {
				w.change()
			}
			a := pickOf(w.r, pool...)
			move := a.q.step * (w.r.Int64N(5) - 2)
			a.q.start, a.q.end = a.q.start+move, a.q.end+move+a.q.step*w.r.Int64N(3)
			total.buckets += w.check(w.cached, w.cacheReg, a.q, a.rounded, pickOf(w.r, "auto", "auto", "1h"), &total)
			w.cached.SettleCache()
			if t.Failed() {
				t.Logf("seed %d, question %d", w.seed, i)
				break
			}
		}
		counts = counts.plus(countsOfCache(t, w.cacheReg))
		w.close()
	}
	t.Logf("%d questions: %+v, %+v", n, counts, total)
	if counts.hits+counts.partial < float64(n)/5 || total.buckets < float64(n) {
		t.Error("the cache or the tiers were hardly used")
	}
}

func resolutionOf(t *testing.T, name string) query.Resolution {
	r, err := query.ParseResolution(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// exceeds says where two answers of a call differ by more than the tolerance, nothing
// if they do not.
func (w *tierWorld) exceeds(q question, c *roundedCall, got, want *promql.Result) string {
	wa, ia := got.Warnings.AsStrings(q.text, 0, 0)
	wb, ib := want.Warnings.AsStrings(q.text, 0, 0)
	if fmt.Sprint(wa, ia) != fmt.Sprint(wb, ib) {
		return fmt.Sprintf("annotations %q %q and %q %q", wa, ia, wb, ib)
	}
	a, b := matrixOf(got), matrixOf(want)
	if len(a) != len(b) {
		return "numbers of series"
	}
	for i := range a {
		if !labels.Equal(a[i].Metric, b[i].Metric) || len(a[i].Floats) != len(b[i].Floats) || len(a[i].Histograms) != len(b[i].Histograms) {
			return fmt.Sprintf("points of %v", a[i].Metric)
		}
		for k, x := range a[i].Floats {
			y := b[i].Floats[k]
			if x.T != y.T {
				return fmt.Sprintf("times of %v", a[i].Metric)
			}
			if sameFloat(x.F, y.F, 0) {
				continue
			}
			if most := w.tolerance(q, c, a[i].Metric, x.T); !(math.Abs(x.F-y.F) <= most) {
				return fmt.Sprintf("%v at %d: %v and %v differ by more than %v", a[i].Metric, x.T, x.F, y.F, most)
			}
		}
	}
	return ""
}

// tolerance returns the difference that is allowed of a call's value for a series at a
// time.
func (w *tierWorld) tolerance(q question, c *roundedCall, metric labels.Labels, at int64) float64 {
	s := c.rangedSelector
	s.selector = fmt.Sprintf("{__name__=%q,i=%q}", c.name(), metric.Get("i"))
	for name, t := range map[string]int64{"start()": q.start, "end()": q.end} {
		s.modifiers = strings.Replace(s.modifiers, name, fmt.Sprintf("%.3f", float64(t)/1000), 1)
	}
	res := w.ask(question{text: s.String(), start: at, end: at, instant: true}, query.WithResolution(nil, resolutionOf(w.t, "raw")))
	if res.Err != nil {
		w.t.Fatal(res.Err)
	}
	sum, n := 0.0, 0
	var first, last int64
	for _, series := range res.Value.(promql.Matrix) {
		for _, p := range series.Floats {
			if n++; !math.IsNaN(p.F) && !math.IsInf(p.F, 0) {
				sum += math.Abs(p.F)
			}
		}
		if n > 0 {
			first, last = series.Floats[0].T, series.Floats[n-1].T
		}
	}
	switch c.function {
	case "sum_over_time":
		return sumTolerance * sum
	case "avg_over_time":
		return sumTolerance * sum / float64(n)
	}
	if c.name() != "gauge" && c.name() != "seconds_total" && c.name() != "odd" && c.name() != "constant" {
		return 0
	}
	factor := float64(s.width) / float64(max(last-first, 1)) // of the extrapolation, at most
	if c.function == "rate" {
		factor /= float64(s.width) / 1000
	}
	return sumTolerance * sum * factor
}

// name returns the name of the metric.
func (c *roundedCall) name() string {
	for i, r := range c.selector {
		if r == '{' {
			return c.selector[:i]
		}
	}
	return c.selector
}

// matrixOf returns an answer as a matrix.
func matrixOf(r *promql.Result) promql.Matrix {
	switch v := r.Value.(type) {
	case promql.Matrix:
		return v
	case promql.Vector:
		var m promql.Matrix
		for _, s := range v {
			if s.H == nil {
				m = append(m, promql.Series{Metric: s.Metric, Floats: []promql.FPoint{{T: s.T, F: s.F}}})
			}
		}
		return m
	}
	return nil
}

// bucketsRead returns how many buckets queries were answered from.
func bucketsRead(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "tsdb_query_buckets_read_total" {
			return f.Metric[0].Counter.GetValue()
		}
	}
	t.Fatal("buckets are not counted")
	return 0
}
