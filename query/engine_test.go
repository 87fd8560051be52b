package query_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/internal/model"
	"tsdb/query"
	"tsdb/query/querytest"
	"tsdb/storage"
)

// loaded returns a database with a series "dense" of 50,000 samples, one a
// minute from time 0 on, and 100 series "many" of one sample.
func loaded(t testing.TB) *querytest.Storage {
	t.Helper()
	s := querytest.New(t, false)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	app := s.AppenderV2(t.Context())
	add := func(ls labels.Labels, ms int64, v float64) {
		if _, err := app.Append(0, ls, 0, ms, v, nil, nil, promstorage.AOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range int64(denseSamples) {
		add(labels.FromStrings("__name__", "dense"), i*60_000, float64(i*7919%denseSamples))
	}
	for i := range 100 {
		add(labels.FromStrings("__name__", "many", "i", fmt.Sprint(i)), 1000, float64(i))
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	return s
}

const denseSamples = 50_000

var denseEnd = time.UnixMilli(60_000 * denseSamples)

// Queries that would run for minutes.
var endless = []struct {
	name, expr string
	step       time.Duration
}{
	{"one series, a sample each step", "quantile_over_time(0.5, dense[60d])", time.Minute},
	{"one series, many steps a sample", "quantile_over_time(0.5, dense[60d])", 10 * time.Millisecond},
	{"one series behind its last sample", "quantile_over_time(0.5, dense[60d] offset -30d)", 10 * time.Minute},
	{"more values than fit", `count_values("v", quantile_over_time(0.5, dense[60d]))`, time.Minute},
	{"sorted windows of a group", "quantile(0.5, quantile_over_time(0.5, dense[60d]))", time.Minute},
	{"many operators", "dense" + strings.Repeat("+dense", 1500), time.Second},
	{"values of a subquery", "quantile_over_time(0.5, sum(dense)[2d:1m])", time.Second},
}

// patience is after what time an endless query is stopped.
const patience = 200 * time.Millisecond

// stopsIn runs a query that is to end early, after so long, and returns how long
// its client waited from then on, and since when a processor has worked on it: see
// lasted.
func stopsIn(t *testing.T, e *watchedEngine, s *querytest.Storage, expr string, step time.Duration, cancel bool, after time.Duration) (waited time.Duration, gone spent) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var want error = promql.ErrQueryCanceled("")
	at := time.Now().Add(after)
	if cancel {
		time.AfterFunc(after, end)
	} else {
		want = promql.ErrQueryTimeout("")
		ctx, end = context.WithDeadline(ctx, at)
		defer end()
	}
	ended := make(chan spent, 1)
	context.AfterFunc(ctx, func() { ended <- spentNow(t) })
	q, err := e.NewRangeQuery(ctx, s, nil, expr, denseEnd.Add(-10_000*step), denseEnd, step)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	res := q.Exec(ctx)
	if fmt.Sprintf("%T", res.Err) != fmt.Sprintf("%T", want) {
		t.Errorf("error %v (%T), want %T", res.Err, res.Err, want)
	}
	return time.Since(at), <-ended
}

// spent is what a process has used at a time.
type spent struct {
	at  time.Time
	cpu time.Duration
}

func spentNow(t *testing.T) spent { return spent{time.Now(), cpuTime(t)} }

// lasted waits for the end of all queries, and returns how long they went on: on
// the wall, or on processors if that is less, for a busy machine takes them away.
func (since spent) lasted(t *testing.T, e *watchedEngine) time.Duration {
	e.awaitIdle()
	now := spentNow(t)
	return min(now.at.Sub(since.at), now.cpu-since.cpu)
}

// grace is how long a query may go on. A machine that is busy with other tests
// can be late, but neither at every try nor by the query's own work.
const (
	grace = 100 * time.Millisecond * raceFactor
	tries = 10
)

// A query ends within 100 ms of its client, or of its time.
func TestEndlessQueriesStop(t *testing.T) {
	s := loaded(t)
	e := newWatchedEngine(query.Options{Timeout: time.Hour})
	for _, c := range endless {
		for _, cancel := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, cancel=%v", c.name, cancel), func(t *testing.T) {
				best := time.Hour
				for range tries {
					_, gone := stopsIn(t, e, s, c.expr, c.step, cancel, patience)
					if best = min(best, gone.lasted(t, e)); best <= grace {
						return
					}
				}
				t.Errorf("went on for %v at least", best)
			})
		}
	}
	if err := e.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// The only kind of query that does not notice its context in time, a subquery on
// Prometheus' engine, is answered anyway, and counts as running until it
// ends.
func TestNonCooperativeQueriesAreAbandoned(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the end of a query that cannot be ended: long")
	}
	s := loaded(t)
	e := newWatchedEngine(query.Options{Timeout: time.Hour, Parser: promqltest.TestParserOpts})
	// A query that is still running was not waited for.
	abandoned := false
	for i := 0; i < tries && !abandoned; i++ {
		// The values of the subquery are made first, and that does notice: a slow
		// machine needs more time to be past it.
		stopsIn(t, e, s, "quantile_over_time(0.5, sum(dense smoothed)[2d:1m])", time.Second, true, time.Duration(i+1)*patience)
		abandoned = e.active() > 0
	}
	if !abandoned {
		t.Error("the client waited for the end of the query, or the query is not listed as running")
	}
	if err := e.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if n := e.active(); n != 0 {
		t.Errorf("%d queries are still running", n)
	}
}

func TestEngineHasATimeoutOfItsOwn(t *testing.T) {
	s := loaded(t)
	e := query.New(query.Options{Timeout: 200 * time.Millisecond})
	q, err := e.NewRangeQuery(t.Context(), s, nil, "quantile_over_time(0.5, dense[60d])", denseEnd.Add(-1e7*time.Millisecond), denseEnd, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var timeout promql.ErrQueryTimeout
	if res := q.Exec(t.Context()); !errors.As(res.Err, &timeout) {
		t.Errorf("got %v", res.Err)
	}
	if err := e.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTooManySamplesAreRefused(t *testing.T) {
	s := loaded(t)
	e := query.New(query.Options{MaxSamples: 1000})
	q, err := e.NewInstantQuery(t.Context(), s, nil, "count_over_time(dense[60d])", denseEnd)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var tooMany promql.ErrTooManySamples
	if res := q.Exec(t.Context()); !errors.As(res.Err, &tooMany) {
		t.Errorf("got %v", res.Err)
	}
}

// broken is a database that cannot be read.
type broken struct{ err error }

func (b broken) View() (*storage.View, error) { return nil, b.err }
func (b broken) Changes() *storage.Changes    { return nil }

func TestFaultsOfTheStorageAreTold(t *testing.T) {
	e := query.New(query.Options{})
	exec := func(err error) error {
		q, perr := e.NewInstantQuery(t.Context(), query.NewQueryable(broken{err}, model.DefaultTenant), nil, "up", time.Unix(0, 0))
		if perr != nil {
			t.Fatal(perr)
		}
		defer q.Close()
		return q.Exec(t.Context()).Err
	}
	var fault promql.ErrStorage
	if err := exec(errors.New("read chunk raw/x.tsb@12: checksum")); !errors.As(err, &fault) {
		t.Errorf("a read error came back as %T %v", err, err)
	}
	if err := exec(fmt.Errorf("open: %w", storage.ErrClosed)); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("a closed database came back as %T %v", err, err)
	}
	if err := exec(storage.ErrBusy); !errors.Is(err, storage.ErrBusy) {
		t.Errorf("a starting database came back as %T %v", err, err)
	}
}

// A query holds its view while it runs and no longer: the file of a block that
// it read goes after a merge, but not under a reader.
func TestQueriesReleaseTheirView(t *testing.T) {
	for _, held := range []bool{false, true} {
		t.Run(fmt.Sprintf("reader=%v", held), func(t *testing.T) {
			s := loaded(t)
			cutOne := func(ms int64) {
				app := s.AppenderV2(t.Context())
				if _, err := app.Append(0, labels.FromStrings("__name__", "late"), 0, ms, 1, nil, nil, promstorage.AOptions{}); err != nil {
					t.Fatal(err)
				}
				if err := app.Commit(); err != nil {
					t.Fatal(err)
				}
				if _, err := s.DB.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			cutOne(1)
			before := blockFiles(t, s.FS, "data/l0")
			if held {
				q, err := s.Querier(0, 1)
				if err != nil {
					t.Fatal(err)
				}
				defer q.Close()
			}
			e := newWatchedEngine(query.Options{})
			for _, expr := range []string{"dense", "many + on(x) many", "sum(many)", "quantile_over_time(2, dense[1h])"} {
				q, err := e.NewRangeQuery(t.Context(), s, nil, expr, denseEnd.Add(-time.Hour), denseEnd, time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				q.Exec(t.Context())
				q.Close()
			}
			if n := e.active(); n != 0 {
				t.Errorf("%d queries are still running", n)
			}
			if _, err := s.DB.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
			cutOne(2) // sweeps blocks that no view holds
			after := blockFiles(t, s.FS, "data/l0")
			for name := range before {
				if _, there := after[name]; there != held {
					t.Errorf("%s is there: %v", name, there)
				}
			}
		})
	}
}

// Many clients at once, more than may run, all get the same answer.
func TestManyClientsGetTheSameAnswer(t *testing.T) {
	s := loaded(t)
	e := query.New(query.Options{MaxConcurrent: 3, MaxQueued: 100})
	var wg sync.WaitGroup
	for range 24 {
		wg.Go(func() {
			q, err := e.NewRangeQuery(t.Context(), s, nil, "sum(rate(dense[1h])) + count(many @ 1)", denseEnd.Add(-time.Hour), denseEnd, time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			defer q.Close()
			m, err := q.Exec(t.Context()).Matrix()
			if err != nil || len(m) != 1 || len(m[0].Floats) != 61 {
				t.Errorf("got %v, %v", m, err)
			}
		})
	}
	wg.Wait()
}

// Queries that run for minutes, more than may, do not keep a small one waiting,
// and all of them end with their client.
func TestSmallQueriesRunBesideEndlessOnes(t *testing.T) {
	s := loaded(t)
	e := newWatchedEngine(query.Options{Timeout: time.Hour, MaxConcurrent: 2})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			q, err := e.NewRangeQuery(ctx, s, nil, "quantile_over_time(0.5, dense[60d])", denseEnd.Add(-10_000*time.Minute), denseEnd, time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			defer q.Close()
			var canceled promql.ErrQueryCanceled
			if res := q.Exec(ctx); !errors.As(res.Err, &canceled) {
				t.Errorf("got %v", res.Err)
			}
		})
	}
	e.awaitActive(func(n int) bool { return n == 4 })
	for tick := time.Tick(time.Millisecond); e.Waiting() < 2; {
		select {
		case <-tick:
		case <-t.Context().Done():
			t.Fatal("the other two queries do not wait")
		}
	}
	for range 100 {
		q, err := e.NewInstantQuery(t.Context(), s, nil, "sum(many)", time.UnixMilli(1000))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := q.Exec(t.Context()).Vector(); err != nil || len(v) != 1 || v[0].F != 4950 {
			t.Fatalf("got %v, %v", v, err)
		}
		q.Close()
	}
	if n := e.active() + e.Waiting(); n != 6 {
		t.Errorf("of 6 queries %d are left", n)
	}
	cancel()
	wg.Wait()
	if err := e.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}
