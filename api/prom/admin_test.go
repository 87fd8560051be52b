package prom

import (
	"fmt"
	"testing"
	"time"

	"tsdb/api/prom/promtest"
	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/query"
	"tsdb/query/querytest"
	"tsdb/storage"
)

// TestCacheIsUsedBypassedAndDropped: a range query is answered from the cache,
// unless no_cache is set or the cache has been emptied.
func TestCacheIsUsedBypassedAndDropped(t *testing.T) {
	fs := doctortest.NewMem(t)
	db, err := storage.Open(ctx, fs, "data", storage.Options{Clock: vfs.NewManualClock(time.Unix(promtest.End+3600, 0))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	if err := promtest.Load(&querytest.Storage{Queryable: query.NewQueryable(db, model.DefaultTenant), DB: db, FS: fs}); err != nil {
		t.Fatal(err)
	}
	e := query.New(query.Options{CacheBytes: 1 << 20})
	defer e.Close()
	s := newServer(t, Options{DB: func() (*storage.DB, error) { return db, nil }, Engine: e})
	const steps = 61
	cached := func(params ...string) int {
		t.Helper()
		// The cache stores results asynchronously.
		var data struct{ Stats struct{ CachedSteps int } }
		s.get(t, "/query_range", append([]string{
			"query", "sum(rate(http_requests_total[5m]))", "start", fmt.Sprint(promtest.End - 600), "end", fmt.Sprint(promtest.End), "step", "10", "stats", "all",
		}, params...)...).data(t, &data)
		return data.Stats.CachedSteps
	}
	if n := cached(); n != 0 {
		t.Errorf("%d steps of the first query came from the cache", n)
	}
	for deadline := time.Now().Add(10 * time.Second); cached() != steps; {
		if time.Now().After(deadline) {
			t.Fatal("no answer was kept")
		}
	}
	if n := cached("nocache", "1"); n != 0 {
		t.Errorf("%d steps with nocache=1 came from the cache", n)
	}
	if n := cached("nocache", "0"); n != steps {
		t.Errorf("%d steps with nocache=0 came from the cache", n)
	}
	s.post(t, "/admin/drop_caches").data(t, &struct{}{})
	if n := cached(); n != 0 {
		t.Errorf("%d steps came from a cache that had been emptied", n)
	}
}
