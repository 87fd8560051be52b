package query_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/internal/model"
	"tsdb/query"
)

// writeMinutes writes a sample a minute of a metric, from one minute after a time
// to another.
func (w *cacheWorld) writeMinutes(name string, begin int64, from, to int) {
	w.t.Helper()
	app := w.s.AppenderV2(w.t.Context())
	for i := from; i < to; i++ {
		if _, err := app.Append(0, labels.FromStrings("__name__", name, "of", name), 0, begin+int64(i)*60_000, float64(i), nil, nil, promstorage.AOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		w.t.Fatal(err)
	}
}

// infosOf asks both engines, which must agree, and returns the infos. want is how
// the answer is to be found.
func (w *cacheWorld) infosOf(q question, want cacheCounts) []string {
	w.t.Helper()
	before := countsOfCache(w.t, w.reg)
	w.compare(q)
	after := countsOfCache(w.t, w.reg)
	if got := (cacheCounts{hits: after.hits - before.hits, partial: after.partial - before.partial, misses: after.misses - before.misses}); got != want {
		w.t.Errorf("%v: counted %+v, want %+v", q, got, want)
	}
	return w.infos[q.text]
}

func nonCounter(name, position string) string {
	return fmt.Sprintf("PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: %q (%s)", name, position)
}

// An answer from the cache has infos about the metrics that have values within its own
// range, whatever else the cache keeps.
func TestInfosAreThoseOfTheRange(t *testing.T) {
	w := newCacheWorld(t, 1, false, 0)
	defer w.close()
	begin := w.now() - 100*60_000
	w.writeMinutes("early", begin, 0, 30)
	w.writeMinutes("late", begin, 25, 80)
	w.writeMinutes("counted_total", begin, 0, 80)
	hit, partial, miss := cacheCounts{hits: 1}, cacheCounts{partial: 1}, cacheCounts{misses: 1}
	text := `sum(rate({__name__=~"early|late|counted_total"}[5m]))`
	f := func(from, to int, found cacheCounts, names ...string) {
		t.Helper()
		var want []string
		for _, n := range names {
			want = append(want, nonCounter(n, "1:10"))
		}
		q := question{text: text, start: begin + int64(from)*60_000, end: begin + int64(to)*60_000, step: 60_000}
		if got := w.infosOf(q, found); !slices.Equal(got, want) {
			t.Errorf("minutes %d to %d: %q, want %q", from, to, got, want)
		}
	}
	f(0, 60, miss, "early", "late")
	f(0, 60, hit, "early", "late")
	f(0, 24, hit, "early")
	f(0, 26, hit, "early", "late") // a rate takes two samples
	f(0, 25, hit, "early")
	f(32, 60, hit, "early", "late")
	f(33, 60, hit, "late") // one sample is left
	f(30, 70, partial, "early", "late")
	f(34, 79, partial, "late")
	f(0, 79, hit, "early", "late")
	f(0, 1, cacheCounts{}, "early") // too few steps to ask the cache
	// A range that has come to be without samples is asked again, and one into
	// which late ones are written.
	if err := w.s.DB.Delete(t.Context(), 0, model.TimeRange{Min: begin, Max: begin + 20*60_000}, labels.MustNewMatcher(labels.MatchEqual, "__name__", "early")); err != nil {
		t.Fatal(err)
	}
	f(0, 20, miss)
	w.writeMinutes("late", begin, 5, 8)
	f(0, 12, miss, "late")
	f(0, 5, hit)
}

// Positions are those in the query at hand, however the one was written that
// filled the cache.
func TestInfosPointIntoTheQueryAtHand(t *testing.T) {
	w := newCacheWorld(t, 1, false, 0)
	defer w.close()
	begin := w.now() - 100*60_000
	w.writeMinutes("a", begin, 0, 60)
	w.writeMinutes("b", begin, 0, 40)
	hit, miss := cacheCounts{hits: 1}, cacheCounts{misses: 1}
	f := func(text string, from, to int, found cacheCounts, want ...string) {
		t.Helper()
		q := question{text: text, start: begin + int64(from)*60_000, end: begin + int64(to)*60_000, step: 60_000}
		if got := w.infosOf(q, found); !slices.Equal(got, want) {
			t.Errorf("%q, minutes %d to %d: %q, want %q", text, from, to, got, want)
		}
	}
	f(`sum(rate(a[5m]))`, 0, 60, miss, nonCounter("a", "1:10"))
	f("\n sum (\n  rate( {__name__=\"a\"} [300s] ) )", 0, 60, miss, nonCounter("a", "3:9")) // no other text for us
	f("\n sum (\n  rate( a [300s] ) )", 0, 50, hit, nonCounter("a", "3:9"))
	// Of two rates, the last one that has values says where.
	const two = `sum(rate({of="a"}[5m])) or sum(rate({of=~"a|b"}[5m])) or sum(increase({of="b"}[10m] offset 30m))`
	f(two, 0, 20, miss, nonCounter("a", "1:37"), nonCounter("b", "1:37"))
	f(two, 0, 60, cacheCounts{partial: 1}, nonCounter("a", "1:37"), nonCounter("b", "1:71"))
	f(two, 0, 30, hit, nonCounter("a", "1:37"), nonCounter("b", "1:37"))
	f(two, 0, 31, hit, nonCounter("a", "1:37"), nonCounter("b", "1:71"))
	f(two, 46, 60, hit, nonCounter("a", "1:37"), nonCounter("b", "1:71"))
}

// Infos that belong to other steps than those of the query are not kept.
func TestInfosOfOtherStepsAreNotKept(t *testing.T) {
	w := newCacheWorld(t, 1, false, 0)
	defer w.close()
	begin := w.now() - 100*60_000
	w.writeMinutes("a", begin, 0, 60)
	for _, text := range []string{
		"max_over_time(rate(a[5m])[10m:1m])",
		fmt.Sprintf("rate(a[5m] @ %d)", begin/1000+600),
		fmt.Sprintf("rate(a[5m]) + rate(a[5m] @ %d)", begin/1000+600),
	} {
		q := question{text: text, start: begin, end: begin + 60*60_000, step: 60_000}
		for range 2 {
			if infos := w.infosOf(q, cacheCounts{misses: 1}); len(infos) != 1 {
				t.Errorf("%s: %q", text, infos)
			}
		}
	}
}

// What is kept of infos counts as memory of the cache, and while a query works
// with them as that of the query.
func TestInfosCountAsMemory(t *testing.T) {
	w := newCacheWorld(t, 1, false, 0)
	defer w.close()
	const names, minutes = 300, 90
	begin := w.now() - 100*60_000
	for i := range names {
		w.writeMinutes(fmt.Sprintf("of_%d", i), begin, 0, minutes)
		w.writeMinutes(fmt.Sprintf("of_%d_total", i), begin, 0, minutes)
	}
	q := question{start: begin, end: begin + minutes*60_000, step: 1000}
	cacheBytes := func() float64 {
		families, err := w.reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "tsdb_query_cache_bytes" {
				return f.Metric[0].Gauge.GetValue()
			}
		}
		t.Fatal("there is no such metric")
		return 0
	}
	bytesOf := func(text string, infos int) float64 {
		t.Helper()
		w.cached.DropCache()
		q.text = text
		if got := len(w.infosOf(q, cacheCounts{misses: 1})); got != infos {
			t.Errorf("%s has %d infos", text, got)
		}
		return cacheBytes()
	}
	more := bytesOf(`sum(rate({__name__=~"of_[0-9]+"}[5m]))`, names) - bytesOf(`sum(rate({__name__=~"of_[0-9]+_total"}[5m]))`, 0)
	const steps = minutes * 60 / 8 // bytes a metric
	if least := float64(names * steps); more < least || more > 2*least {
		t.Errorf("%d infos of %d bytes each take %v bytes", names, steps, more)
	}
	small := query.New(query.Options{MaxBytes: 450 << 10, Cores: 1, CacheBytes: 1 << 20})
	defer small.Close()
	if res := w.exec(small, q, nil); res.Err != nil {
		t.Error(res.Err)
	}
	q.text = `sum(rate({__name__=~"of_[0-9]+"}[5m]))`
	var limit *query.LimitError
	if res := w.exec(small, q, nil); !errors.As(res.Err, &limit) {
		t.Errorf("with infos: %v", res.Err)
	}
	if n := small.MemoryBytes(); n != 0 {
		t.Errorf("%d bytes are held still", n)
	}
}

// Several rates of a metric make one annotation. Where it points to is for
// Prometheus to say.
func TestRatesOfAMetricPointWherePrometheusDoes(t *testing.T) {
	d := newDifferential(t, false, false, false, false, 5)
	defer d.close()
	for _, text := range []string{
		"rate(gauge[5m]) * scalar(sum(rate(gauge[1m])))",
		"scalar(sum(rate(gauge[1m]))) * rate(gauge[5m])",
		"rate(gauge[5m]) > bool scalar(sum(rate(gauge[1m])))",
		"clamp(rate(gauge[5m]), scalar(sum(rate(gauge[1m]))), 5)",
		"round(rate(gauge[5m]), scalar(sum(rate(gauge[1m]))))",
		"rate(gauge[5m]) * on(instance,job) rate(gauge[1m])",
		"rate(gauge[5m]) and rate(gauge[1m])",
		"nosuch and rate(gauge[1m])",
		"rate(gauge[1m]) * nosuch",
		"rate(gauge[1m]) or rate(shortlived[5m]) or rate(nosuch[1m])",
		"topk(scalar(sum(rate(gauge[1m]))), rate(gauge[5m]))",
		"quantile(scalar(sum(rate(gauge[1m]))), rate(gauge[5m]))",
		"quantile_over_time(scalar(rate(gauge[5m])), rate(gauge[1m])[5m:])",
		"quantile_over_time(scalar(rate(gauge[5m])), gauge[5m]) + rate(ints[5m])",
		"predict_linear(rate(gauge[1m])[5m:], scalar(rate(gauge[5m])))",
		"histogram_quantile(scalar(rate(gauge[1m])), rate(gauge[5m]))",
		"max_over_time(rate(gauge[5m])[5m:1m]) + rate(gauge[1m])",
		"rate(gauge[1m])+ max_over_time(rate(gauge[5m])[5m:1m])",
		"rate(rate(gauge[1m])[5m:1m])",
		"rate(last_over_time(gauge[1m])[5m:1m]) + rate(gauge[1m])",
		"rate(gauge[1m]) + rate(last_over_time(gauge[1m])[5m:1m])",
		"rate(gauge[1m] @ 1800) + rate(gauge[5m]) - rate(gauge[2m] @ 1800)",
		"sum(increase(gauge[1m])) by (job) / -sum(rate(gauge[5m])) by (job)",
		"absent(rate(gauge[1m])) or label_replace(rate(gauge[5m]), \"a\", \"b\", \"c\", \"\")",
	} {
		d.ask(question{text: text, start: 1000000, end: 1000000 + 100*60000, step: 60000})
		d.ask(question{text: text, start: 1000000, instant: true})
	}
	if d.undecided > 0 || d.failed > 0 {
		t.Errorf("%d times Prometheus differed from itself, %d questions failed", d.undecided, d.failed)
	}
}
