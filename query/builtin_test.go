package query_test

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/query/querytest"
)

// builtinEvals is the number of eval commands in the test files that
// promqltest of the Prometheus version in go.mod carries.
const builtinEvals = 2195

// TestPromQLBuiltin runs Prometheus' own PromQL cases over our engine and our
// storage: with the samples as they were written, in the head, with the
// samples cut into blocks and merged before the first read, and with hours in
// their place wherever these can answer. Every case must run and pass.
func TestPromQLBuiltin(t *testing.T) {
	if testing.Short() {
		t.Skip("6,585 cases: they run without -short")
	}
	exprs, err := promqltest.GetBuiltInExprs()
	if err != nil {
		t.Fatal(err)
	}
	if len(exprs) != builtinEvals {
		t.Fatalf("the files hold %d evals, expected %d", len(exprs), builtinEvals)
	}
	for _, c := range []struct {
		name    string
		settle  bool
		rollups []block.Tier // the last is read
	}{{"head", false, nil}, {"blocks", true, nil}, {"rollups", true, []block.Tier{block.Hour}}} {
		t.Run(c.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			counter := &evalCounter{QueryEngine: builtinEngine(t, reg, c.rollups)}
			files := &fileRunner{T: t}
			t.Cleanup(func() { // after the parallel files
				ran, skipped := counter.count(), files.skipped
				if t.Failed() {
					return
				}
				if ran != builtinEvals || skipped != 0 {
					t.Errorf("%d evals passed and %d files were skipped, expected %d and 0", ran, skipped, builtinEvals)
				}
				if n := bucketsRead(t, reg); len(c.rollups) > 0 && n < 10_000 {
					t.Errorf("%v buckets were read: cases must read tiers", n)
				}
				t.Logf("%d passed, %d skipped; %v buckets read; of %d queries, those that ran on Prometheus' engine: %v", ran, skipped, bucketsRead(t, reg), counter.queries, fallbacks(t, reg))
			})
			promqltest.RunBuiltinTestsWithStorage(files, counter, func(t testing.TB) promstorage.Storage {
				return querytest.NewWithRollups(t, c.settle, c.rollups...)
			})
		})
	}
}

// builtinEngine is set up as promqltest sets its own engine up.
func builtinEngine(t *testing.T, reg prometheus.Registerer, rollups []block.Tier) *query.Engine {
	resolution := query.ResolutionAuto
	if len(rollups) > 0 {
		resolution = resolutionOf(t, rollups[len(rollups)-1].String())
	}
	return query.New(query.Options{
		Resolution:         resolution,
		Registerer:         reg,
		Timeout:            100 * time.Second,
		MaxSamples:         promqltest.DefaultMaxSamplesPerQuery,
		SubqueryStep:       time.Minute,
		Parser:             promqltest.TestParserOpts,
		DelayedNameRemoval: true,
		UseStartTimestamps: true,
	})
}

// fileRunner runs the test files at the same time.
type fileRunner struct {
	*testing.T
	mu      sync.Mutex
	skipped int
}

func (r *fileRunner) Run(name string, f func(*testing.T)) bool {
	return r.T.Run(name, func(t *testing.T) {
		t.Parallel()
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if t.Skipped() {
				r.skipped++
			}
		}()
		f(t)
	})
}

// evalCounter counts the evals whose queries reach the engine. One eval runs
// several queries, all in the goroutine that its subtest has for itself: so
// there are as many evals as there are goroutines, and a subtest that is
// skipped has none.
type evalCounter struct {
	promql.QueryEngine
	mu         sync.Mutex
	goroutines map[string]struct{}
	queries    int
}

// fallbacks returns how many queries ran on Prometheus' engine, by reason.
func fallbacks(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	by := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != "tsdb_query_fallback_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			by[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return by
}

func (c *evalCounter) NewInstantQuery(ctx context.Context, q promstorage.Queryable, opts promql.QueryOpts, qs string, ts time.Time) (promql.Query, error) {
	c.note()
	return c.QueryEngine.NewInstantQuery(ctx, q, opts, qs, ts)
}

func (c *evalCounter) NewRangeQuery(ctx context.Context, q promstorage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (promql.Query, error) {
	c.note()
	return c.QueryEngine.NewRangeQuery(ctx, q, opts, qs, start, end, interval)
}

// note remembers the calling goroutine by the number that leads its stack
// trace, "goroutine 7 [running]:"; numbers are never used twice.
func (c *evalCounter) note() {
	var buf [64]byte
	head := buf[:runtime.Stack(buf[:], false)]
	id := string(bytes.Fields(head)[1])
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.goroutines == nil {
		c.goroutines = make(map[string]struct{})
	}
	c.goroutines[id] = struct{}{}
	c.queries++
}

func (c *evalCounter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.goroutines)
}
