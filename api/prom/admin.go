package prom

import (
	"context"
	"net/http"

	"tsdb/storage"
)

// flush cuts the head and responds when its blocks are durable.
func (a *API) flush(r *http.Request) (answer, *apiError) {
	return a.work(r, (*storage.DB).Flush)
}

// compact merges every partition, today's included, to its final form.
func (a *API) compact(r *http.Request) (answer, *apiError) {
	return a.work(r, (*storage.DB).Compact)
}

// dropCaches empties the caches, so that the next query runs cold.
func (a *API) dropCaches(*http.Request) (answer, *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	a.opts.Engine.DropCache()
	db.DropCaches()
	return answer{data: jsonValue(struct{}{})}, nil
}

// work runs a job while the client waits. The job is canceled if the client
// disconnects.
func (a *API) work(r *http.Request, job func(*storage.DB, context.Context) (storage.Summary, error)) (answer, *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	s, err := job(db, r.Context())
	if err != nil {
		return answer{}, classifyWork(err)
	}
	return answer{data: jsonValue(struct {
		Blocks int   `json:"blocks"`
		Bytes  int64 `json:"bytes"`
	}{s.Blocks, s.Bytes})}, nil
}
