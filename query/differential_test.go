package query_test

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cortexproject/promqlsmith"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/util/stats"

	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/query/querytest"
)

// The differential test asks our engine and Prometheus' the same random
// questions about the same random samples, and compares values, whether there
// is an error, annotations, and the counts of samples a step.
//
// Floats must have the same bits, with these exceptions. A NaN is a NaN. And
// Prometheus adds up the results of operators and functions in the order of a
// map: what follows from such sums, and which of equal values a topk takes,
// differs from run to run there. So where we differ, Prometheus is asked again:
// if its answers differ among themselves, ours may differ from them by the
// tolerance.
const tolerance = 1e-9

// soakQueries is the environment variable with the number of queries of the
// long form.
const soakQueries = "TSDB_SOAK_QUERIES"

// questions returns how many questions a test asks: those of the long form, if it
// is asked for.
func questions(t *testing.T, n, short int) int {
	t.Helper()
	if testing.Short() {
		n = short
	}
	if s := os.Getenv(soakQueries); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestAnswersEqualPrometheusEngine(t *testing.T) {
	n := questions(t, 1500, 300)
	variants := []struct {
		name            string
		settle, delayed bool
		starts          bool
		rollups         bool
	}{
		{"head", false, false, false, false},
		{"blocks", true, false, true, false},
		{"blocks, delayed names", true, true, false, false},
		{"rollups", true, false, true, true},
	}
	for vi, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			const perFill = 5000
			for first := 0; first < n/len(variants); first += perFill {
				seed := uint64(vi*1_000_000 + first)
				d := newDifferential(t, v.settle, v.delayed, v.starts, v.rollups, seed)
				d.run(min(perFill, n/len(variants)-first))
				d.close()
			}
		})
	}
}

type differential struct {
	t         *testing.T
	s         *querytest.Storage
	g         *querytest.Generator
	smith     *promqlsmith.PromQLSmith
	ours      *query.Engine
	reg       *prometheus.Registry
	theirs    *promql.Engine
	rollups   bool // our engine reads hours wherever they can answer: it counts a bucket as one sample
	seed      uint64
	rounded   int // times that our answer had sums that were rounded otherwise
	skipped   int // queries with an @ in the parameter of an aggregation
	undecided int // times that Prometheus differed from itself
	failed    int // times that the answer was an error
	empty     int
}

func newDifferential(t *testing.T, settle, delayed, starts, rollups bool, seed uint64) *differential {
	d := &differential{t: t, g: querytest.NewGenerator(seed), reg: prometheus.NewRegistry(), rollups: rollups, seed: seed}
	resolution := query.ResolutionAuto
	if rollups {
		d.s = querytest.NewWithRollups(t, settle, block.Hour)
		resolution = resolutionOf(t, "1h")
	} else {
		d.s = querytest.New(t, settle)
	}
	querytest.Fill(t, d.s, seed)
	d.smith = newSmith(t, d.s, seed)
	const most = 5_000_000
	d.ours = query.New(query.Options{
		Parser: promqltest.TestParserOpts, MaxSamples: most, DelayedNameRemoval: delayed, UseStartTimestamps: starts,
		Registerer: d.reg, PerStepStats: true, Resolution: resolution,
	})
	d.theirs = promql.NewEngine(promql.EngineOpts{
		MaxSamples: most, Timeout: time.Minute, LookbackDelta: query.DefaultLookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return query.DefaultSubqueryStep.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true,
		EnableDelayedNameRemoval: delayed, UseStartTimestamps: starts, EnablePerStepStats: true,
		Parser: parser.NewParser(promqltest.TestParserOpts),
	})
	return d
}

func (d *differential) close() {
	if err := d.s.Close(); err != nil {
		d.t.Error(err)
	}
}

func (d *differential) run(n int) {
	for i := range n {
		q := question{start: int64(i%7) * 1_000_000, step: int64(i%5)*17_000 + 10_000}
		q.end = q.start + q.step*int64(i%4*40)
		q.instant = i%4 == 0
		switch { // the two generators take turns
		case i%8 < 4:
			q.text = d.g.Expr()
		case q.instant:
			q.text = d.smith.WalkInstantQuery().String()
		default:
			q.text = d.smith.WalkRangeQuery().String()
		}
		if looksElsewhere(q.text) {
			d.skipped++
			continue
		}
		d.ask(q)
		if d.t.Failed() {
			d.t.Logf("seed %d, query %d", d.seed, i)
			return
		}
	}
	d.t.Logf("%d queries, %d errors, %d empty answers, %d skipped, %d times Prometheus differed from itself, on Prometheus' engine %v", n, d.failed, d.empty, d.skipped, d.undecided, fallbacks(d.t, d.reg))
	if d.rollups {
		read := bucketsRead(d.t, d.reg)
		d.t.Logf("%v buckets read, %d answers rounded otherwise", read, d.rounded)
		if read < float64(n) {
			d.t.Errorf("%d queries read %v buckets: too few", n, read)
		}
	}
	if d.undecided > n/10 {
		d.t.Errorf("Prometheus differs from itself in %d of %d queries: the generator is too wild", d.undecided, n)
	}
}

// looksElsewhere reports whether the parameter of an aggregation has an @: where
// Prometheus looks there moves with the steps all the same.
func looksElsewhere(text string) (found bool) {
	expr, err := parser.NewParser(promqltest.TestParserOpts).ParseExpr(text)
	if err != nil {
		return false // both will say so
	}
	at := func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			found = found || n.Timestamp != nil || n.StartOrEnd != 0
		case *parser.SubqueryExpr:
			found = found || n.Timestamp != nil || n.StartOrEnd != 0
		}
		return nil
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok && a.Param != nil {
			parser.Inspect(a.Param, at)
		}
		return nil
	})
	return found
}

// question is a query with its times in milliseconds.
type question struct {
	text             string
	start, end, step int64
	instant          bool
}

func (q question) String() string {
	return fmt.Sprintf("%s  from %d to %d by %d, instant %v", q.text, q.start, q.end, q.step, q.instant)
}

func (d *differential) exec(e promql.QueryEngine, q question) (*promql.Result, *stats.QuerySamples) {
	opts := promql.NewPrometheusQueryOpts(true, 0)
	var p promql.Query
	var err error
	if q.instant {
		p, err = e.NewInstantQuery(d.t.Context(), d.s, opts, q.text, time.UnixMilli(q.start))
	} else {
		p, err = e.NewRangeQuery(d.t.Context(), d.s, opts, q.text, time.UnixMilli(q.start), time.UnixMilli(q.end), time.Duration(q.step)*time.Millisecond)
	}
	if err != nil {
		return &promql.Result{Err: fmt.Errorf("prepare: %w", err)}, nil
	}
	return p.Exec(d.t.Context()), p.Stats().Samples // not closed: Prometheus would reuse the memory of the result
}

func (d *differential) ask(q question) {
	ours, ourCounts := d.exec(d.ours, q)
	theirs, theirCounts := d.exec(d.theirs, q)
	if theirs.Err == nil && ours.Err == nil && !d.rollups {
		if a, b := countsOf(ourCounts), countsOf(theirCounts); a != b {
			d.t.Errorf("%v\ncounts %s\nand    %s", q, a, b)
		}
	}
	switch {
	case theirs.Err != nil:
		d.failed++
	case isEmpty(theirs.Value):
		d.empty++
	}
	why := differs(q, ours, theirs, 0)
	if why == "" {
		return
	}
	if d.rollups && differs(q, ours, theirs, sumTolerance) == "" {
		d.rounded++
		return
	}
	for range 30 {
		again, _ := d.exec(d.theirs, q)
		if differs(q, again, theirs, 0) != "" || differs(q, ours, again, 0) == "" {
			d.undecided++
			return
		}
	}
	if differs(q, ours, theirs, tolerance) == "" {
		d.undecided++
		return
	}
	d.t.Errorf("%v\n%s\nours       %s\nPrometheus %s", q, why, clip(ours), clip(theirs))
}

// differs says how two answers differ, nothing if they do not.
func differs(q question, a, b *promql.Result, eps float64) string {
	if (a.Err != nil) != (b.Err != nil) {
		return fmt.Sprintf("errors %v and %v", a.Err, b.Err)
	}
	if a.Err != nil {
		return ""
	}
	wa, ia := a.Warnings.AsStrings(q.text, 0, 0)
	wb, ib := b.Warnings.AsStrings(q.text, 0, 0)
	for _, s := range [][]string{wa, ia, wb, ib} {
		for i := range s {
			s[i] = mergedCount.ReplaceAllString(s[i], "over some samples")
		}
		slices.Sort(s)
	}
	if !slices.Equal(wa, wb) || !slices.Equal(ia, ib) {
		return fmt.Sprintf("annotations %q %q\nand %q %q", wa, ia, wb, ib)
	}
	switch va := a.Value.(type) {
	case promql.Scalar:
		vb, ok := b.Value.(promql.Scalar)
		if !ok || va.T != vb.T || !sameFloat(va.V, vb.V, eps) {
			return "scalars"
		}
	case promql.Vector:
		vb, ok := b.Value.(promql.Vector)
		if !ok {
			return "types"
		}
		return vectorsDiffer(va, vb, eps)
	case promql.Matrix:
		vb, ok := b.Value.(promql.Matrix)
		if !ok {
			return "types"
		}
		return matricesDiffer(va, vb, eps)
	default:
		return fmt.Sprintf("unknown type %T", a.Value)
	}
	return ""
}

// mergedCount is the number of times that the buckets of histograms had to be
// forced to be monotonic. Prometheus doubles it at each step of some queries.
var mergedCount = regexp.MustCompile("over [-0-9]+ samples")

func vectorsDiffer(a, b promql.Vector, eps float64) string {
	if len(a) != len(b) {
		return fmt.Sprintf("%d and %d samples", len(a), len(b))
	}
	byLabels := func(x, y promql.Sample) int { return cmp.Compare(x.Metric.String(), y.Metric.String()) }
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortStableFunc(a, byLabels)
	slices.SortStableFunc(b, byLabels)
	for i := range a {
		if a[i].Metric.String() != b[i].Metric.String() || a[i].T != b[i].T {
			return fmt.Sprintf("labels %v and %v", a[i].Metric, b[i].Metric)
		}
		if (a[i].H == nil) != (b[i].H == nil) || a[i].H == nil && !sameFloat(a[i].F, b[i].F, eps) ||
			a[i].H != nil && !sameHistogram(promql.HPoint{H: a[i].H}, promql.HPoint{H: b[i].H}, eps) {
			return fmt.Sprintf("values of %v", a[i].Metric)
		}
	}
	return ""
}

func matricesDiffer(a, b promql.Matrix, eps float64) string {
	if len(a) != len(b) {
		return fmt.Sprintf("%d and %d series", len(a), len(b))
	}
	for i := range a {
		if a[i].Metric.String() != b[i].Metric.String() {
			return fmt.Sprintf("labels %v and %v", a[i].Metric, b[i].Metric)
		}
		same := slices.EqualFunc(a[i].Floats, b[i].Floats, func(x, y promql.FPoint) bool {
			return x.T == y.T && sameFloat(x.F, y.F, eps)
		}) && slices.EqualFunc(a[i].Histograms, b[i].Histograms, func(x, y promql.HPoint) bool {
			return x.T == y.T && sameHistogram(x, y, eps)
		})
		if !same {
			return fmt.Sprintf("points of %v", a[i].Metric)
		}
	}
	return ""
}

// countsOf returns the counts that do not depend on how an engine works.
func countsOf(s *stats.QuerySamples) string {
	return fmt.Sprint(s.TotalSamples, s.SamplesRead, s.TotalSamplesPerStep, s.SamplesReadPerStep)
}

func isEmpty(v parser.Value) bool {
	switch v := v.(type) {
	case promql.Vector:
		return len(v) == 0
	case promql.Matrix:
		return len(v) == 0
	}
	return false
}

// clip returns the beginning of an answer as text. Prometheus panics when it
// prints some of its own histograms.
func clip(r *promql.Result) (s string) {
	defer func() {
		if p := recover(); p != nil {
			s = fmt.Sprint(p)
		}
	}()
	s = r.String()
	return s[:min(len(s), 2000)]
}

func sameFloat(a, b, eps float64) bool {
	if math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b) {
		return true
	}
	return eps > 0 && math.Abs(a-b) <= eps*max(math.Abs(a), math.Abs(b), 1)
}

func sameHistogram(a, b promql.HPoint, eps float64) bool {
	if a.H.CounterResetHint != b.H.CounterResetHint {
		return false
	}
	if eps == 0 {
		return a.H.Equals(b.H)
	}
	return sameFloat(a.H.Sum, b.H.Sum, eps) && sameFloat(a.H.Count, b.H.Count, eps)
}
