package query_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/query"
	"tsdb/query/querytest"
)

// A query of many series ends within 100 ms of its client wherever it is:
// looking values up, selecting, comparing labels, joining, sorting.
func TestQueriesOfManySeriesStop(t *testing.T) {
	if raceEnabled {
		t.Skip("what takes ten times as long stops ten times as late")
	}
	n := 50_000
	if testing.Short() {
		n = 20_000
	}
	for _, settled := range []bool{false, true} {
		t.Run(fmt.Sprintf("in blocks=%v", settled), func(t *testing.T) {
			s := querytest.New(t, settled)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			app := s.AppenderV2(t.Context())
			for i := range n {
				ls := labels.FromStrings("__name__", "many_total", "instance", fmt.Sprintf("host-%06d.example.org:9100", i), "job", fmt.Sprint(i%7))
				for k := range int64(3) {
					if _, err := app.Append(0, ls, 0, k*60_000, float64(i), nil, nil, promstorage.AOptions{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := app.Commit(); err != nil {
				t.Fatal(err)
			}
			stopsEverywhere(t, s)
		})
	}
}

func stopsEverywhere(t *testing.T, s *querytest.Storage) {
	e := newWatchedEngine(query.Options{})
	for _, expr := range []string{
		`count({instance=~".*[0-9]{2}[13579].*[02468][.].*"})`,
		`many_total`,
		`sum by (job) (rate({__name__=~".+"}[5m]))`,
		`many_total * on (instance) group_left many_total`,
		`sort(many_total)`,
		`label_replace(many_total, "x", "$1", "instance", "host-(.*)[.]example.*")`,
		`quantile by (job) (0.5, many_total)`,
		`topk by (job) (1000, many_total)`,
		`count_values by (job) ("v", many_total)`,
	} {
		took, _ := runsFor(t, e, s, expr, time.Hour)
		// It is stopped at five places of its way. A machine that is busy with
		// other tests can be late, but neither at every try nor by its own work.
		for part := range time.Duration(5) {
			after := took * part / 5
			best := time.Hour
			for range tries {
				_, late := runsFor(t, e, s, expr, after)
				if best = min(best, late); best <= grace {
					break
				}
			}
			if best > grace {
				t.Errorf("%s: stopped after %v of %v it went on for %v", expr, after, took, best)
			}
		}
	}
}

// runsFor runs an instant query whose client goes after a time, and returns when
// the last of its work ended, and how long it went on after the client had gone.
func runsFor(t *testing.T, e *watchedEngine, s *querytest.Storage, expr string, patience time.Duration) (took, late time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	gone := make(chan spent, 1)
	context.AfterFunc(ctx, func() { gone <- spentNow(t) })
	q, err := e.NewInstantQuery(ctx, s, nil, expr, time.UnixMilli(120_000))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	began := spentNow(t)
	res := q.Exec(ctx)
	began.lasted(t, e)
	took = time.Since(began.at)
	if ctx.Err() != nil {
		late = (<-gone).lasted(t, e)
	}
	if _, timeout := res.Err.(promql.ErrQueryTimeout); res.Err != nil && !timeout {
		t.Errorf("%s: %v", expr, res.Err)
	}
	return took, late
}
