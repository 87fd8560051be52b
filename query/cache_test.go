package query_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/query"
	"tsdb/query/querytest"
	"tsdb/storage"
)

// An answer that comes from the cache, or partly, is the one that comes without:
// the same series in the same order, the same bits, the same annotations, the
// same error. It is asked again and again about some random expressions, its
// range moved by some steps, while samples are written, in time, late and over
// others, and deleted, metrics come and go, the head is cut, blocks are merged,
// partitions leave, and the clock goes on, and now and then back.
func TestCachedAnswersEqualOthers(t *testing.T) {
	n := questions(t, 1200, 300)
	const perWorld = 300
	var total cacheCounts
	told, changed := 0, 0
	for first := 0; first < n && !t.Failed(); first += perWorld {
		w := newCacheWorld(t, uint64(first/perWorld), true, model.DayMs)
		for i := range min(perWorld, n-first) {
			w.change()
			w.ask()
			if t.Failed() {
				t.Logf("seed %d, case %d", first/perWorld, i)
				break
			}
		}
		total = total.plus(countsOfCache(t, w.reg))
		told, changed = told+w.told, changed+w.changed
		w.close()
	}
	t.Logf("%d queries: %+v; %d answers that came from the cache in part had infos, %d others than before", n, total, told, changed)
	if told < n/50 || changed < n/600 {
		t.Errorf("%d answers from the cache had infos, %d others than before", told, changed)
	}
	if used := total.hits + total.partial; used < float64(n)/5 || total.hits < float64(n)/50 || total.spoiled < float64(n) {
		t.Errorf("the cache was hardly used: %+v", total)
	}
}

// The cache keeps floats. What reads histograms is answered whole, with them, and
// again when it is asked again.
func TestAnswersThatReadHistogramsAreNotKept(t *testing.T) {
	w := newCacheWorld(t, 1, true, model.DayMs)
	defer w.close()
	for _, text := range []string{"native", "native_custom", "mixed", "rate(native[5m])", "sum by (job) (native)", "histogram_count(native)"} {
		q := question{text: text, step: 60_000, start: w.now() - 3600_000, end: w.now()}
		for range 2 {
			w.compare(q)
		}
		if m, err := w.exec(w.plain, q, nil).Matrix(); err != nil || len(m) == 0 {
			t.Errorf("%s: %d series, %v: nothing is tested", text, len(m), err)
		}
	}
	if n := countsOfCache(t, w.reg); n.hits+n.partial > 0 {
		t.Errorf("answers were kept: %+v", n)
	}
}

// cacheWorld is a database whose clock is ours, and two engines on it.
type cacheWorld struct {
	t     *testing.T
	r     *rand.Rand
	g     *querytest.Generator
	clock *vfs.ManualClock
	s     *querytest.Storage

	reg, plainReg *prometheus.Registry
	cached, plain *query.Engine
	pool          []question

	told    int                 // answers that came from the cache in part and had infos
	changed int                 // of them, others than the answer before
	infos   map[string][]string // by expression, of the last answer
}

func newCacheWorld(t *testing.T, seed uint64, fill bool, retentionMs int64) *cacheWorld {
	t.Helper()
	w := &cacheWorld{
		t: t, r: rand.New(rand.NewPCG(seed, 4)), g: querytest.NewGenerator(seed),
		clock: vfs.NewManualClock(time.UnixMilli(querytest.FillEndMs)),
		reg:   prometheus.NewRegistry(), plainReg: prometheus.NewRegistry(),
		infos: make(map[string][]string),
	}
	fs := doctortest.NewMem(t)
	db, err := storage.Open(t.Context(), fs, "data", storage.Options{
		Clock: w.clock, Seed: 1, RetentionMs: retentionMs, MaxFutureMs: 365 * model.DayMs,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.s = &querytest.Storage{Queryable: query.NewQueryable(db, model.DefaultTenant), DB: db, FS: fs}
	if fill {
		querytest.Fill(t, w.s, seed)
		app := w.s.AppenderV2(t.Context())
		for ms := w.r.Int64N(60_000); ms < querytest.FillEndMs; ms += w.r.Int64N(60_000) {
			if _, err := app.Append(0, labels.FromStrings(pulse(w.r, ms)...), 0, ms, w.r.Float64(), nil, nil, promstorage.AOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	o := query.Options{Parser: promqltest.TestParserOpts, MaxSamples: 5_000_000, CacheBytes: 16 << 20, Registerer: w.reg}
	w.cached = query.New(o)
	o.CacheBytes, o.Registerer = 0, w.plainReg
	w.plain = query.New(o)
	return w
}

func (w *cacheWorld) close() {
	w.t.Helper()
	w.cached.Close()
	if err := w.s.Close(); err != nil {
		w.t.Error(err)
	}
}

func (w *cacheWorld) now() int64 { return w.clock.Now().UnixMilli() }

// change does something that can make kept answers wrong, or nothing.
func (w *cacheWorld) change() {
	w.t.Helper()
	var err error
	switch n := w.r.IntN(1000); {
	case n < 300:
		w.write(1+w.r.IntN(30), func() int64 { return w.now() - w.r.Int64N(4*60_000) })
	case n < 500:
		w.write(1+w.r.IntN(8), func() int64 { return w.late() })
	case n < 530:
		from := w.late()
		err = w.s.DB.Delete(w.t.Context(), model.DefaultTenant, model.TimeRange{Min: from, Max: from + 1 + w.r.Int64N(3600_000)}, w.matcher())
	case n < 560:
		_, err = w.s.DB.Flush(w.t.Context())
	case n < 580:
		_, err = w.s.DB.Compact(w.t.Context())
	case n < 700:
		w.clock.Advance(time.Duration(w.r.IntN(600)) * time.Second)
	case n < 720:
		w.clock.Advance(-time.Duration(w.r.IntN(1200)) * time.Second)
	case n < 723:
		w.clock.Advance(12 * time.Hour)
		err = w.s.DB.Retain(w.t.Context())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// late returns a time not long ago, or rarely one long ago.
func (w *cacheWorld) late() int64 {
	back := w.r.Int64N(3 * 3600_000)
	if w.r.IntN(10) == 0 {
		back = w.r.Int64N(model.DayMs)
	}
	return w.now() - back
}

func (w *cacheWorld) matcher() *labels.Matcher {
	switch w.r.IntN(4) {
	case 0:
		return labels.MustNewMatcher(labels.MatchEqual, "job", "a")
	case 1:
		return labels.MustNewMatcher(labels.MatchRegexp, "__name__", "gauge|ints")
	}
	return labels.MustNewMatcher(labels.MatchEqual, "__name__", pickOne(w.r, "requests_total", "gauge", "ints", "odd", "latency_bucket", "native", "mixed", "pulse_0", "pulse_1"))
}

// pulse returns the labels of a metric that is there at a time, and not for long:
// there are twelve, each for ten minutes of two hours.
func pulse(r *rand.Rand, ms int64) []string {
	name := fmt.Sprint("pulse_", ms/600_000%12)
	return []string{"__name__", name, "tag", name, "job", pickOne(r, "a", "b")}
}

func pickOne[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// write writes n samples of random series at the times that at returns.
func (w *cacheWorld) write(n int, at func() int64) {
	w.t.Helper()
	app := w.s.AppenderV2(w.t.Context())
	for range n {
		name := pickOne(w.r, "requests_total", "requests_total", "gauge", "gauge", "ints", "odd", "latency_bucket", "native", "mixed", "shortlived", "tagged_a", "tagged_b", "pulse", "pulse", "pulse", "pulse")
		ms := at()
		ls := []string{"__name__", name, "job", pickOne(w.r, "a", "b"), "instance", strconv.Itoa(w.r.IntN(3))}
		if w.r.IntN(3) == 0 {
			ls = append(ls, "env", pickOne(w.r, "dev", "prod"))
		}
		if name == "latency_bucket" {
			ls = append(ls, "le", pickOne(w.r, "0.1", "0.5", "1", "5", "+Inf"))
		}
		if strings.HasPrefix(name, "tagged_") && w.r.IntN(20) > 0 { // else two can become one
			ls = append(ls, "tag", name)
		}
		if name == "pulse" {
			ls = pulse(w.r, ms)
		}
		var h *histogram.Histogram
		v := float64(w.r.IntN(1000))
		switch {
		case name == "native" || name == "mixed" && w.r.IntN(2) == 0:
			n := w.r.Int64N(50)
			h = &histogram.Histogram{
				Schema: 1, Count: uint64(2*n + 1), Sum: v, ZeroThreshold: 1e-3, ZeroCount: uint64(n),
				PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}}, PositiveBuckets: []int64{n + 1},
			}
		case w.r.IntN(20) == 0:
			v = math.Float64frombits(value.StaleNaN)
		case name == "odd":
			v = pickOne(w.r, math.NaN(), math.Inf(1), 0, math.Copysign(0, -1), v)
		}
		if _, err := app.Append(0, labels.FromStrings(ls...), 0, ms, v, h, nil, promstorage.AOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
	// A sample before the retention is refused: that is no error here.
	_ = app.Commit()
}

// ratesOfOthers are rates of what does not look like a counter: they have infos.
var ratesOfOthers = []string{
	`sum by (job) (rate({__name__=~"pulse_.*|gauge"}[5m]))`,
	`increase({__name__=~"pulse_[0-8]"}[10m])`,
	`sum(rate(pulse_0[5m])) or sum(rate( {__name__=~"pulse_.*"}[5m] offset -2m))`,
	`sum(rate({__name__=~"pulse_[0-5]"}[5m])) / sum(increase({__name__=~"pulse_[3-9]"}[10m]))`,
	`rate(pulse_1[5m] offset 7m) > 0.001`,
	`rate(gauge[5m]) * scalar(sum(rate({__name__=~"gauge|pulse_1.*"}[10m])))`,
	`topk(2, rate({__name__=~"ints|pulse_.*"}[5m]))`,
	`irate(pulse_3[5m]) + deriv(gauge[5m])`,
	`rate(pulse_4[15m:1m])`,
	`rate({__name__=~"shortlived|pulse_.*"}[5m] anchored)`,
	// Not kept: they have infos of other steps than the query's.
	`max_over_time(rate(pulse_2[2m])[10m:1m])`,
	`rate(gauge[5m] @ 6000) + on(job) group_left() sum by (job) (rate({__name__=~"pulse_.*"}[5m]))`,
}

// ask asks a question both engines.
func (w *cacheWorld) ask() {
	w.t.Helper()
	const most = 12
	k := w.r.IntN(most)
	if k >= len(w.pool) || w.r.IntN(25) == 0 {
		q := question{text: w.g.Expr(), step: int64(w.r.IntN(6))*17_000 + 10_000}
		if w.r.IntN(8) == 0 {
			q.text = pickOne(w.r, `sum by (job) (max_over_time({__name__=~"tagged_.*"}[5m]))`, `count_over_time({__name__=~"tagged_.*",job="a"}[20m])`,
				`avg_over_time({__name__=~"tagged_a|tagged_b"}[10m] offset 3m) > 500`, `max(increase({__name__=~"tagged_(a|b)",instance="1"}[30m]))`)
		} else if w.r.IntN(3) == 0 {
			q.text = pickOne(w.r, ratesOfOthers...)
		}
		q.end = w.now() - w.r.Int64N(600_000)
		q.start = q.end - q.step*int64(w.r.IntN(150))
		if k < len(w.pool) {
			w.pool[k] = q
		} else {
			w.pool, k = append(w.pool, q), len(w.pool)
		}
	}
	q := &w.pool[k]
	if w.r.IntN(25) == 0 { // between the times of before
		d := w.r.Int64N(q.step)
		q.start, q.end = q.start+d, q.end+d
	}
	if w.r.IntN(40) == 0 {
		q.step += 10_000
	}
	switch w.r.IntN(8) {
	case 0: // the same
	case 1:
		q.start -= q.step * w.r.Int64N(20)
	case 2:
		q.end -= min(q.step*w.r.Int64N(20), q.end-q.start)
	case 3: // to now
		d := (w.now() - q.end) / q.step * q.step
		q.start, q.end = q.start+d, q.end+d
	default:
		d := q.step * w.r.Int64N(6)
		q.start, q.end = q.start+d, q.end+d
	}
	w.compare(*q)
}

// compare asks both engines and expects the same answer.
func (w *cacheWorld) compare(q question) {
	w.t.Helper()
	before := fmt.Sprint(fallbacks(w.t, w.plainReg))
	plain := w.exec(w.plain, q, nil)
	if fmt.Sprint(fallbacks(w.t, w.plainReg)) != before {
		return // Prometheus' engine differs from itself now and then
	}
	cached, fromCache := w.execCounting(w.cached, q, nil)
	w.cached.SettleCache()
	_, infos := cached.Warnings.AsStrings(q.text, 0, 0)
	slices.Sort(infos)
	if fromCache > 0 && len(infos) > 0 {
		w.told++
		if before := w.infos[q.text]; before != nil && !slices.Equal(before, infos) {
			w.changed++
		}
	}
	w.infos[q.text] = infos
	if why := unequal(q, cached, plain); why != "" {
		w.t.Errorf("%v, now %d\n%s\ncached  %s\nplain   %s", q, w.now(), why, clip(cached), clip(plain))
	}
}

func (w *cacheWorld) exec(e *query.Engine, q question, opts promql.QueryOpts) *promql.Result {
	w.t.Helper()
	res, _ := w.execCounting(e, q, opts)
	return res
}

// execCounting asks one engine. It returns how many steps came from its cache, too.
func (w *cacheWorld) execCounting(e *query.Engine, q question, opts promql.QueryOpts) (*promql.Result, int) {
	w.t.Helper()
	p, err := e.Range(w.t.Context(), w.s, opts, q.text, time.UnixMilli(q.start), time.UnixMilli(q.end), time.Duration(q.step)*time.Millisecond)
	if err != nil {
		return &promql.Result{Err: err}, 0
	}
	defer p.Close()
	res := p.Exec(w.t.Context())
	return res, p.CachedSteps()
}

// unequal says how two answers differ in anything.
func unequal(q question, a, b *promql.Result) string {
	if fmt.Sprint(a.Err) != fmt.Sprint(b.Err) {
		return fmt.Sprintf("errors %v and %v", a.Err, b.Err)
	}
	wa, ia := a.Warnings.AsStrings(q.text, 0, 0)
	wb, ib := b.Warnings.AsStrings(q.text, 0, 0)
	for _, s := range [][]string{wa, ia, wb, ib} {
		slices.Sort(s)
	}
	if !slices.Equal(wa, wb) || !slices.Equal(ia, ib) {
		return fmt.Sprintf("annotations %q %q\nand %q %q", wa, ia, wb, ib)
	}
	if a.Err != nil {
		return ""
	}
	ma, mb := a.Value.(promql.Matrix), b.Value.(promql.Matrix)
	if len(ma) != len(mb) {
		return fmt.Sprintf("%d and %d series", len(ma), len(mb))
	}
	for i := range ma {
		if !labels.Equal(ma[i].Metric, mb[i].Metric) {
			return fmt.Sprintf("series %d: labels %v and %v", i, ma[i].Metric, mb[i].Metric)
		}
		if !slices.EqualFunc(ma[i].Floats, mb[i].Floats, func(x, y promql.FPoint) bool {
			return x.T == y.T && math.Float64bits(x.F) == math.Float64bits(y.F)
		}) || !slices.EqualFunc(ma[i].Histograms, mb[i].Histograms, func(x, y promql.HPoint) bool {
			return x.T == y.T && sameHistogram(x, y, 0)
		}) {
			return fmt.Sprintf("points of %v", ma[i].Metric)
		}
	}
	return ""
}

type cacheCounts struct{ hits, partial, misses, spoiled float64 }

func (c cacheCounts) plus(o cacheCounts) cacheCounts {
	return cacheCounts{c.hits + o.hits, c.partial + o.partial, c.misses + o.misses, c.spoiled + o.spoiled}
}

func countsOfCache(t *testing.T, reg *prometheus.Registry) (c cacheCounts) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			switch f.GetName() {
			case "tsdb_query_cache_spoiled_steps_total":
				c.spoiled = m.Counter.GetValue()
			case "tsdb_query_cache_requests_total":
				switch m.Label[0].GetValue() {
				case "hit":
					c.hits = m.Counter.GetValue()
				case "partial":
					c.partial = m.Counter.GetValue()
				case "miss":
					c.misses = m.Counter.GetValue()
				}
			}
		}
	}
	return c
}

// Which of equal series are taken can be a matter of what else is asked: then the
// answer is not kept.
func TestTiesAreNotKept(t *testing.T) {
	w := newCacheWorld(t, 1, false, 0)
	defer w.close()
	begin := w.now() - 7200_000
	app := w.s.AppenderV2(t.Context())
	for minute := range int64(100) {
		// In the second half the first series of group a comes after that of b.
		first := "0"
		if minute >= 50 {
			first = "9"
		}
		for _, ls := range [][]string{{"g", "a", "i", first}, {"g", "b", "i", "5"}} {
			if _, err := app.Append(0, labels.FromStrings(append(ls, "__name__", "x")...), 0, begin+minute*60_000, 1, nil, nil, promstorage.AOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"topk(1, sum by (g) (x))", "bottomk(1, sum by (g) (x))", "limitk(1, sum by (g) (x))", "topk(1, x)"} {
		w.compare(question{text: text, start: begin, end: begin + 40*60_000, step: 60_000})
		w.compare(question{text: text, start: begin, end: begin + 99*60_000, step: 60_000})
	}
}

// What reads times that are not settled yet is not kept, however it gets there.
func TestWhatIsReadOfNowIsNotKept(t *testing.T) {
	w := newCacheWorld(t, 1, false, 0)
	defer w.close()
	v := 0.0
	write := func(at int64) {
		app := w.s.AppenderV2(t.Context())
		v++
		if _, err := app.Append(0, labels.FromStrings("__name__", "x"), 0, at, v, nil, nil, promstorage.AOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	now := w.now()
	for i := range int64(60) {
		write(now - i*60_000)
	}
	for _, text := range []string{
		"x", fmt.Sprintf("x @ %d", now/1000), "x offset -30m", fmt.Sprintf("x - max_over_time(x[5m] @ %d)", now/1000-60),
		fmt.Sprintf("sum_over_time(x[10m:1m] @ %d offset -10m)", now/1000-600), "deriv(x[5m:30s] offset -1h)",
	} {
		for i := range int64(3) {
			w.compare(question{text: text, start: now - 3600_000, end: now - i*1200_000, step: 60_000})
			write(now - 60_000*w.r.Int64N(5)) // over one that is there
			w.compare(question{text: text, start: now - 3600_000, end: now - i*1200_000, step: 60_000})
		}
	}
}

// An agent that is a quarter of an hour behind spoils the answers of its own
// metric as it writes, and no others.
func TestOneLateAgentSpoilsItsOwnAnswersOnly(t *testing.T) {
	w := newCacheWorld(t, 1, false, model.DayMs)
	defer w.close()
	if model.MetricNumber("late_total") == model.MetricNumber("good_total") {
		t.Fatal("the names have the same number")
	}
	write := func(name string, at int64) {
		app := w.s.AppenderV2(t.Context())
		for i := range 3 {
			if _, err := app.Append(0, labels.FromStrings("__name__", name, "i", strconv.Itoa(i)), 0, at, float64(at/1000), nil, nil, promstorage.AOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	const behind, step, n = 15 * 60_000, 15_000, 240
	begin := w.now()
	var counts [2]cacheCounts
	for i := range 2 * n {
		now := w.now()
		write("good_total", now)
		write("late_total", now-behind)
		if i < n {
			w.clock.Advance(step * time.Millisecond)
			continue
		}
		for k, name := range []string{"good_total", "late_total"} {
			before := countsOfCache(t, w.reg)
			end := begin + (now-begin)/step*step
			w.compare(question{text: "sum(rate(" + name + "[5m]))", start: end - n*step, end: end, step: step})
			after := countsOfCache(t, w.reg)
			counts[k] = counts[k].plus(cacheCounts{after.hits - before.hits, after.partial - before.partial, after.misses - before.misses, after.spoiled - before.spoiled})
		}
		w.clock.Advance(step * time.Millisecond)
	}
	t.Logf("of good_total %+v, of late_total %+v", counts[0], counts[1])
	if want := (cacheCounts{partial: n - 1, misses: 1}); counts[0] != want {
		t.Errorf("good_total: %+v, want %+v", counts[0], want)
	}
	if counts[1].spoiled < n {
		t.Errorf("late_total was spoiled %v times", counts[1].spoiled)
	}
}

// Queries that run beside writers see what was acknowledged before they began.
func TestCachedAnswersBesideWriters(t *testing.T) {
	w := newCacheWorld(t, 1, false, model.DayMs)
	defer w.close()
	const metrics, minutes = 3, 60
	begin := w.now() - 3*3600_000
	versions := int64(100)
	if testing.Short() {
		versions = 25
	}
	var acked [metrics]atomic.Int64
	name := func(m int) string { return fmt.Sprint("m", m) }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fail := func(args ...any) {
		t.Error(args...)
		cancel()
	}
	answered := make(chan struct{})  // a query has been answered, for a writer that waits for that
	committed := make(chan struct{}) // for the goroutine that cuts
	var writers, others sync.WaitGroup
	for m := range metrics {
		writers.Go(func() {
			// Every sample of the metric is overwritten with a higher value.
			for v := int64(1); v <= versions; v++ {
				// A cut may evict a series between its lookup and the commit; a door
				// then looks it up again, too.
				err := storage.ErrStaleRef
				for errors.Is(err, storage.ErrStaleRef) {
					app := w.s.AppenderV2(t.Context())
					for i := range minutes {
						if _, err := app.Append(0, labels.FromStrings("__name__", name(m)), 0, begin+int64(i)*60_000, float64(v), nil, nil, promstorage.AOptions{}); err != nil {
							fail(err)
							return
						}
					}
					err = app.Commit()
				}
				if err != nil {
					fail(err)
					return
				}
				acked[m].Store(v)
				if v%5 == 0 {
					select {
					case committed <- struct{}{}:
					case <-ctx.Done():
						return
					}
				}
				select {
				case <-answered:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	others.Go(func() {
		for {
			select {
			case <-committed:
			case <-ctx.Done():
				return
			}
			if _, err := w.s.DB.Flush(context.Background()); err != nil {
				fail(err)
				return
			}
		}
	})
	for range 4 {
		others.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				m := k % metrics
				before := acked[m].Load()
				first := begin + int64(k%5)*60_000
				res := w.exec(w.cached, question{text: name(m), start: first, end: begin + (minutes-1)*60_000, step: 60_000}, nil)
				if res.Err != nil {
					fail(res.Err)
					return
				}
				select {
				case answered <- struct{}{}:
				default:
				}
				if before == 0 {
					continue
				}
				mat := res.Value.(promql.Matrix)
				if len(mat) != 1 || len(mat[0].Floats) != minutes-k%5 {
					fail("got", mat)
					return
				}
				for _, p := range mat[0].Floats {
					if p.F < float64(before) {
						fail(fmt.Sprintf("%s at %d is %v, %d was acknowledged before", name(m), p.T, p.F, before))
						return
					}
				}
			}
		})
	}
	writers.Wait()
	cancel()
	others.Wait()
	t.Logf("%+v", countsOfCache(t, w.reg))
}

// Queries can do without the cache, and the cache can be emptied.
func TestCacheCanBeLeftOutAndDropped(t *testing.T) {
	w := newCacheWorld(t, 1, true, model.DayMs)
	defer w.close()
	q := question{text: "sum by (job) (rate(requests_total[5m]))", start: 600_000, end: 6_000_000, step: 60_000}
	f := func(opts promql.QueryOpts, want cacheCounts) {
		t.Helper()
		before := countsOfCache(t, w.reg)
		if res := w.exec(w.cached, q, opts); res.Err != nil {
			t.Fatal(res.Err)
		}
		w.cached.SettleCache()
		after := countsOfCache(t, w.reg)
		if got := (cacheCounts{after.hits - before.hits, after.partial - before.partial, after.misses - before.misses, after.spoiled - before.spoiled}); got != want {
			t.Errorf("counted %+v, want %+v", got, want)
		}
	}
	f(nil, cacheCounts{misses: 1})
	f(nil, cacheCounts{hits: 1})
	f(query.Uncached(nil), cacheCounts{})
	f(query.Uncached(promql.NewPrometheusQueryOpts(false, time.Minute)), cacheCounts{})
	f(promql.NewPrometheusQueryOpts(false, time.Minute), cacheCounts{misses: 1}) // another lookback
	q.text = "sum(rate(requests_total [300s] ))by(job)"
	f(nil, cacheCounts{hits: 1})
	q.start, q.end = q.start+60_000, q.end+60_000
	f(nil, cacheCounts{partial: 1})
	w.cached.DropCache()
	f(nil, cacheCounts{misses: 1})
}

// Limits hold for answers from the cache.
func TestLimitsHoldForCachedAnswers(t *testing.T) {
	w := newCacheWorld(t, 1, true, model.DayMs)
	defer w.close()
	strict := query.New(query.Options{MaxSamples: 500, CacheBytes: 1 << 20})
	defer strict.Close()
	q := question{text: "gauge", start: 600_000, end: 600_000 + 99*60_000, step: 60_000} // 516 points
	var tooMany promql.ErrTooManySamples
	if res := w.exec(strict, q, nil); !errors.As(res.Err, &tooMany) {
		t.Fatalf("got %v", res.Err)
	}
	// Part by part it can be had, and much of it comes to be in the cache.
	for first := range int64(4) {
		part := q
		part.start += first * 25 * 60_000
		part.end = part.start + 24*60_000
		if res := w.exec(strict, part, nil); res.Err != nil {
			t.Fatal(res.Err)
		}
		strict.SettleCache()
	}
	if res := w.exec(strict, q, nil); !errors.As(res.Err, &tooMany) {
		t.Errorf("got %v", res.Err)
	}
}

// What the cache may take is not for queries, and is at most a quarter of what all
// may hold together.
func TestCacheIsAPartOfTheMemoryOfQueries(t *testing.T) {
	w := newCacheWorld(t, 1, true, 0)
	defer w.close()
	q := question{text: "gauge", start: 0, end: querytest.FillEndMs, step: 1000} // 43,000 points
	f := func(total, cache int64, fails bool) {
		t.Helper()
		e := query.New(query.Options{TotalBytes: total, CacheBytes: cache})
		defer e.Close()
		var limit *query.LimitError
		if res := w.exec(e, q, query.Uncached(nil)); errors.As(res.Err, &limit) != fails || !fails && res.Err != nil {
			t.Errorf("%d bytes, %d for the cache: %v", total, cache, res.Err)
		}
	}
	const enough = 800_000
	f(enough, 0, false)
	f(enough, enough/4, true)
	f(enough, 100*enough, true) // no more than a quarter
	f(2*enough, 100*enough, false)
}
