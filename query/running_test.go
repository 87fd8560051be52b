package query_test

import (
	"sync"

	"tsdb/query"
)

// watchedEngine is an engine whose running queries can be waited for.
type watchedEngine struct {
	*query.Engine

	mu      sync.Mutex
	changed sync.Cond
	running int
}

func newWatchedEngine(o query.Options) *watchedEngine {
	e := &watchedEngine{}
	e.changed.L = &e.mu
	o.Started = func(string) func() {
		e.add(1)
		return func() { e.add(-1) }
	}
	e.Engine = query.New(o)
	return e
}

func (e *watchedEngine) add(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running += n
	e.changed.Broadcast()
}

// active returns the number of queries that hold a slot.
func (e *watchedEngine) active() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running
}

// awaitActive waits until the number of running queries satisfies ok.
func (e *watchedEngine) awaitActive(ok func(n int) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !ok(e.running) {
		e.changed.Wait()
	}
}

// awaitIdle waits until no query is running.
func (e *watchedEngine) awaitIdle() { e.awaitActive(func(n int) bool { return n == 0 }) }
