package rpc

import (
	"testing"
	"time"

	"tsdb/api/prom/promtest"
	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/query"
	"tsdb/query/querytest"
	"tsdb/storage"
)

// TestCacheIsUsedOrBypassed: a range query uses the cache unless no_cache is set.
func TestCacheIsUsedOrBypassed(t *testing.T) {
	fs := doctortest.NewMem(t)
	db, err := storage.Open(t.Context(), fs, "data", storage.Options{Clock: vfs.NewManualClock(time.UnixMilli(endMs + 3600_000))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if err := promtest.Load(&querytest.Storage{Queryable: query.NewQueryable(db, model.DefaultTenant), DB: db, FS: fs}); err != nil {
		t.Fatal(err)
	}
	e := query.New(query.Options{CacheBytes: 1 << 20})
	defer e.Close()
	s := newServer(t, Options{DB: func() (*storage.DB, error) { return db, nil }, Engine: e})
	cached := func(o *tsdbv1.QueryOptions) uint32 {
		t.Helper()
		stream, err := s.QueryRange(t.Context(), &tsdbv1.QueryRangeRequest{
			Query: "sum(rate(http_requests_total[5m]))", StartMs: endMs - 600_000, EndMs: endMs, StepMs: 10_000, Options: o,
		})
		messages, err := all(t, stream, err)
		if err != nil {
			t.Fatal(err)
		}
		return assemble(t, messages).end.Stats.CachedSteps
	}
	if n := cached(nil); n != 0 {
		t.Errorf("%d steps of the first query came from the cache", n)
	}
	// The cache stores results asynchronously.
	for deadline := time.Now().Add(10 * time.Second); cached(nil) != 61; {
		if time.Now().After(deadline) {
			t.Fatal("no answer was kept")
		}
	}
	if n := cached(&tsdbv1.QueryOptions{NoCache: true}); n != 0 {
		t.Errorf("%d steps came from the bypassed cache", n)
	}
}
