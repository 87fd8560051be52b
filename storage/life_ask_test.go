package storage_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/query/tiers"
)

var lifeParser = parser.NewParser(parser.Options{})

// lifeReference is Prometheus' engine, which reads models.
var lifeReference = sync.OnceValue(func() *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: time.Minute, LookbackDelta: query.DefaultLookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return query.DefaultSubqueryStep.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true, Parser: lifeParser,
	})
})

// lifeEngine is ours with a cache of answers by database. An answer holds the change
// counters of its database, up to a megabyte: so each life has an engine of its own.
type lifeEngine struct {
	*query.Engine
	metrics *prometheus.Registry
}

func newLifeEngine() *lifeEngine {
	e := &lifeEngine{metrics: prometheus.NewRegistry()}
	e.Engine = query.New(query.Options{CacheBytes: 8 << 20, Registerer: e.metrics})
	return e
}

// cached returns how many answers were wholly or partly in the cache.
func (e *lifeEngine) cached() (n int64) {
	families, err := e.metrics.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		if f.GetName() != "tsdb_query_cache_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() != "miss" {
				n += int64(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

// lifeQuestion is a query. It is an instant query if step is 0.
type lifeQuestion struct {
	text             string
	selector         string
	start, end, step int64 // Unix milliseconds
	reach            int64 // how far back from start it reads, milliseconds
	rounded          bool  // sums of fractions may differ in their last digits
}

func (q lifeQuestion) String() string {
	if q.step == 0 {
		return fmt.Sprintf("%s at %s", q.text, lifeTime(q.start))
	}
	return fmt.Sprintf("%s from %s to %s step %v", q.text, lifeTime(q.start), lifeTime(q.end), time.Duration(q.step)*time.Millisecond)
}

// question returns a question, or one that was asked before on a later range: the cache
// has most of its answer.
func (g *lifeGenerator) question() lifeQuestion {
	if len(g.asked) > 0 && g.chance(40) {
		q := pickOf(g.r, g.asked...)
		by := q.step * g.r.Int64N(4)
		q.start, q.end = q.start+by, q.end+by
		return q
	}
	q := g.newQuestion()
	if g.chance(25) {
		q = g.oldQuestion()
	}
	if q.step > 0 {
		if g.asked = append(g.asked, q); len(g.asked) > 8 {
			g.asked = g.asked[1:]
		}
	}
	return q
}

// oldQuestion returns a question about whole hours of the last weeks, which hours answer
// after the samples have expired, and in a third of the cases six hours do.
func (g *lifeGenerator) oldQuestion() lifeQuestion {
	unit, reaches := model.HourMs, []int64{model.HourMs, model.HourMs, 3 * model.HourMs, model.DayMs}
	if g.chance(33) {
		unit, reaches = 6*model.HourMs, []int64{6 * model.HourMs, 12 * model.HourMs, model.DayMs}
	}
	q := lifeQuestion{step: unit * pickOf(g.r, int64(1), 1, 6), selector: g.selector()}
	if len(g.written) > 0 && g.chance(60) {
		q.selector = fmt.Sprintf(`{i="%d"}`, pickOf(g.r, g.written...).series)
	}
	q.start = (g.now-g.r.Int64N(14*model.DayMs))/unit*unit + unit
	q.end = q.start + q.step*g.r.Int64N(60)
	fn := pickOf(g.r, "rate", "increase", "delta", "count_over_time", "sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "last_over_time",
		"present_over_time", "changes", "resets")
	q.reach = pickOf(g.r, reaches...)
	q.text = fmt.Sprintf("%s(%s[%dms])", fn, q.selector, q.reach)
	q.rounded = true
	return q
}

func (g *lifeGenerator) newQuestion() lifeQuestion {
	q := lifeQuestion{start: g.now - g.r.Int64N(pickOf(g.r, model.HourMs, model.DayMs, 14*model.DayMs))}
	q.start -= q.start % pickOf(g.r, int64(1), 60_000, model.HourMs, model.HourMs, model.DayMs)
	if g.chance(70) {
		q.step = pickOf(g.r, int64(15_000), 60_000, model.HourMs, model.HourMs, model.DayMs)
		q.end = q.start + q.step*g.r.Int64N(40)
	} else {
		q.end = q.start
	}
	fn := pickOf(g.r, "", "rate", "increase", "delta", "count_over_time", "sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "last_over_time",
		"present_over_time", "changes", "resets", "irate", "stddev_over_time", "quantile_over_time")
	sel := g.selector()
	near := len(g.written) > 0 && g.chance(50) // to the samples of a burst, in windows that rollups answer
	if near {
		b := pickOf(g.r, g.written...)
		sel, fn = pickOf(g.r, kindOf(b.series).metric(), fmt.Sprintf(`{i="%d"}`, b.series)), cmp.Or(fn, "count_over_time")
		q.step = model.HourMs
		q.start = b.from - b.from%model.HourMs + model.HourMs
		q.end = q.start + q.step*g.r.Int64N(6)
	}
	q.selector = sel
	q.reach = query.DefaultLookback.Milliseconds()
	if fn != "" {
		q.reach = pickOf(g.r, int64(300_000), model.HourMs, model.HourMs, 3*model.HourMs, model.DayMs)
		sel += "[" + fmt.Sprintf("%dms", q.reach) + "]"
	}
	if near {
		q.reach = max(q.reach, model.HourMs)
		sel = sel[:strings.LastIndexByte(sel, '[')] + fmt.Sprintf("[%dms]", q.reach)
	}
	if g.chance(10) {
		offset := pickOf(g.r, int64(60_000), model.HourMs, model.DayMs)
		sel += " offset " + fmt.Sprintf("%dms", offset)
		q.reach += offset
	}
	switch fn {
	case "":
		q.text = sel
	case "quantile_over_time":
		q.text = fmt.Sprintf("%s(0.9, %s)", fn, sel)
	default:
		q.text = fmt.Sprintf("%s(%s)", fn, sel)
	}
	q.rounded = fn == "sum_over_time" || fn == "avg_over_time" || fn == "rate" || fn == "increase"
	if g.chance(30) {
		agg := pickOf(g.r, "sum", "max", "count", "avg")
		q.text = fmt.Sprintf("%s by (%s) (%s)", agg, pickOf(g.r, "__name__", "env", "i"), q.text)
	}
	return q
}

type queryEngine interface {
	NewInstantQuery(ctx context.Context, q promstorage.Queryable, opts promql.QueryOpts, text string, at time.Time) (promql.Query, error)
	NewRangeQuery(ctx context.Context, q promstorage.Queryable, opts promql.QueryOpts, text string, start, end time.Time, step time.Duration) (promql.Query, error)
}

func exec(ctx context.Context, e queryEngine, on promstorage.Queryable, opts promql.QueryOpts, q lifeQuestion) (parser.Value, error) {
	v, _, err := execNoting(ctx, e, on, opts, q)
	return v, err
}

// execNoting returns the answer and its annotations.
func execNoting(ctx context.Context, e queryEngine, on promstorage.Queryable, opts promql.QueryOpts, q lifeQuestion) (parser.Value, annotations.Annotations, error) {
	var p promql.Query
	var err error
	if q.step == 0 {
		p, err = e.NewInstantQuery(ctx, on, opts, q.text, time.UnixMilli(q.start))
	} else {
		p, err = e.NewRangeQuery(ctx, on, opts, q.text, time.UnixMilli(q.start), time.UnixMilli(q.end), time.Duration(q.step)*time.Millisecond)
	}
	if err != nil {
		return nil, nil, err
	}
	r := p.Exec(ctx)
	return r.Value, r.Warnings, r.Err
}

// selected returns the series that a question is about.
func (w *lifeWorld) selected(q lifeQuestion) (list []int) {
	ms := matchers(q.selector)
	for i, ls := range lifeLabels {
		if matchesAll(ms, ls) {
			list = append(list, i)
		}
	}
	return list
}

// ask compares the answer of samples with that of the model, and the answer of rollups
// with both.
func (w *lifeWorld) ask(q lifeQuestion) error {
	if w.mayHaveExpired(q) {
		return w.askExpired(q)
	}
	return w.askKept(q)
}

// mayHaveExpired reports whether samples that a question reads may have expired.
func (w *lifeWorld) mayHaveExpired(q lifeQuestion) bool {
	return slices.ContainsFunc(w.selected(q), func(i int) bool { return q.start-q.reach < w.floors.highest[i] })
}

// askKept asks about samples that have not expired.
func (w *lifeWorld) askKept(q lifeQuestion) error {
	theirs, ours := lifeReference(), w.engine.Engine
	want, wantErr := exec(w.ctx, theirs, modelQueryable{w.model, false}, nil, q)
	rawOnly, err := query.ParseResolution("raw")
	if err != nil {
		return err
	}
	raw, rawErr := exec(w.ctx, ours, w.queryable, query.Uncached(query.WithResolution(nil, rawOnly)), q)
	if (wantErr == nil) != (rawErr == nil) {
		return fmt.Errorf("samples: error %w, want %w", rawErr, wantErr)
	}
	if wantErr != nil {
		return nil
	}
	if err := compareValues(raw, want, false); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	w.counts.answers++
	auto, notes, err := execNoting(w.ctx, ours, w.queryable, nil, q)
	if err != nil || expiredNoted(notes) {
		v, viewErr := w.db.View()
		if viewErr != nil {
			return viewErr
		}
		defer v.Release()
		if q.start-q.reach < v.FloorFor(matchers(q.selector), block.Raw) { // by what the selector says, samples may have expired
			w.counts.oldDoubts++
			return nil
		}
		return fmt.Errorf("rollups: %w, %v", err, notes)
	}
	if err := compareValues(auto, want, q.rounded); err != nil {
		return fmt.Errorf("rollups: %w", err)
	}
	return nil
}

// expiredNoted reports whether an answer says that it lacks what has expired.
func expiredNoted(notes annotations.Annotations) bool {
	return slices.ContainsFunc(notes.AsErrors(), func(err error) bool { return strings.Contains(err.Error(), "have expired") })
}

// coarseHas reports whether rows of a tier are there for all that a question reads, and no
// window of it cuts one.
func (w *lifeWorld) coarseHas(tier block.Tier, q lifeQuestion) bool {
	if ms := int64(tier); q.step == 0 || q.start%ms != 0 || q.step%ms != 0 || q.reach%ms != 0 || !w.o.made(tier) {
		return false
	}
	return !slices.ContainsFunc(w.selected(q), func(i int) bool {
		return q.start-q.reach < w.floors.since[tier][i] || w.o.keep(tier, i) < 0
	})
}

// askExpired compares the answer of hours, or six hours, in the place of samples that have
// expired. An answer that says what it lacks, or is refused, is not compared.
func (w *lifeWorld) askExpired(q lifeQuestion) error {
	hours := w.coarseHas(block.Hour, q)
	if !hours && !w.coarseHas(block.Hours6, q) {
		return nil
	}
	theirs, ours := lifeReference(), w.engine.Engine
	want, err := exec(w.ctx, theirs, modelQueryable{w.model, true}, nil, q)
	if err != nil {
		return err
	}
	got, notes, err := execNoting(w.ctx, ours, w.queryable, nil, q)
	var expired *tiers.ExpiredError
	if errors.As(err, &expired) {
		w.counts.oldDoubts++
		return nil
	}
	if err != nil {
		return err
	}
	if expiredNoted(notes) {
		w.counts.oldDoubts++
		return nil
	}
	if err := compareValues(got, want, q.rounded); err != nil {
		return fmt.Errorf("hours: %w", err)
	}
	if w.counts.oldAnswers++; !hours {
		w.counts.sixAnswers++
	}
	return nil
}

// compareValues compares answers, to the bit unless they are rounded.
func compareValues(got, want parser.Value, rounded bool) error {
	g, h := matrixOf(got), matrixOf(want)
	if len(g) != len(h) {
		return fmt.Errorf("%d series, want %d: %s, want %s", len(g), len(h), clipped(got), clipped(want))
	}
	for i := range g {
		if !labels.Equal(g[i].Metric, h[i].Metric) {
			return fmt.Errorf("series %s, want %s", g[i].Metric, h[i].Metric)
		}
		if len(g[i].Floats) != len(h[i].Floats) || len(g[i].Histograms) != len(h[i].Histograms) {
			return fmt.Errorf("series %s: %d and %d points, want %d and %d: %s, want %s", g[i].Metric, len(g[i].Floats), len(g[i].Histograms), len(h[i].Floats), len(h[i].Histograms), clipped(got), clipped(want))
		}
		for k, p := range g[i].Floats {
			if o := h[i].Floats[k]; p.T != o.T || !sameValue(p.F, o.F, rounded) {
				return fmt.Errorf("series %s: %v at %s, want %v at %s", g[i].Metric, p.F, lifeTime(p.T), o.F, lifeTime(o.T))
			}
		}
		for k, p := range g[i].Histograms {
			if o := h[i].Histograms[k]; p.T != o.T || p.H.Count != o.H.Count || math.Abs(p.H.Sum-o.H.Sum) > 1e-6 {
				return fmt.Errorf("series %s: %v at %s, want %v at %s", g[i].Metric, p.H, lifeTime(p.T), o.H, lifeTime(o.T))
			}
		}
	}
	return nil
}

func sameValue(a, b float64, rounded bool) bool {
	return math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b) || rounded && math.Abs(a-b) <= 1e-9*max(1, math.Abs(b))
}

// matrixOf returns an answer as a matrix that is sorted by labels.
func matrixOf(v parser.Value) promql.Matrix {
	m, ok := v.(promql.Matrix)
	if vector, isVector := v.(promql.Vector); isVector {
		m, ok = nil, true
		for _, s := range vector {
			row := promql.Series{Metric: s.Metric}
			if s.H != nil {
				row.Histograms = []promql.HPoint{{T: s.T, H: s.H}}
			} else {
				row.Floats = []promql.FPoint{{T: s.T, F: s.F}}
			}
			m = append(m, row)
		}
	}
	if !ok {
		panic(fmt.Sprintf("BUG: answer is a %T", v))
	}
	m = append(promql.Matrix(nil), m...)
	slices.SortFunc(m, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	return m
}

func clipped(v parser.Value) string {
	s := strings.ReplaceAll(v.String(), "\n", "; ")
	return s[:min(len(s), 500)]
}
