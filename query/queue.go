package query

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ActiveQuery is a query that is running.
type ActiveQuery struct {
	Query   string
	Started time.Time
}

// queue lets a bounded number of queries run and a bounded number wait. It is
// the engine's promql.QueryTracker.
type queue struct {
	slots      chan struct{} // one token a running query
	waiting    atomic.Int64
	maxWaiting int64
	started    func(query string) func()

	mu struct {
		sync.Mutex
		last   int // number of the newest query that ran
		active map[int]activeEntry
	}
}

type activeEntry struct {
	ActiveQuery
	ended func()
}

func newQueue(concurrent, waiting int, started func(string) func()) *queue {
	q := &queue{slots: make(chan struct{}, concurrent), maxWaiting: int64(waiting), started: started}
	q.mu.active = make(map[int]activeEntry)
	return q
}

// GetMaxConcurrent returns how many queries may run at a time.
func (q *queue) GetMaxConcurrent() int { return cap(q.slots) }

// toRun marks the context of a query that is to run. The engine asks its
// tracker for leave to parse as well, which is quick and needs no turn.
type toRun struct{}

// Insert waits for its turn to run. A query whose context ends leaves the
// queue; one that finds it full gets ErrOverloaded.
func (q *queue) Insert(ctx context.Context, query string) (int, error) {
	if ctx.Value(toRun{}) == nil {
		return 0, nil
	}
	select {
	case q.slots <- struct{}{}:
		return q.begin(query), nil
	default:
	}
	if q.waiting.Add(1) > q.maxWaiting {
		q.waiting.Add(-1)
		return 0, ErrOverloaded
	}
	defer q.waiting.Add(-1)
	select {
	case q.slots <- struct{}{}:
		return q.begin(query), nil
	case <-ctx.Done():
		return 0, contextError(ctx.Err(), inQueue)
	}
}

func (q *queue) begin(query string) int {
	e := activeEntry{ActiveQuery: ActiveQuery{Query: query, Started: time.Now()}}
	if q.started != nil {
		e.ended = q.started(query)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.last++
	q.mu.active[q.mu.last] = e
	return q.mu.last
}

// Delete ends a query that Insert let run.
func (q *queue) Delete(number int) {
	if number == 0 { // it was parsed only
		return
	}
	q.mu.Lock()
	e := q.mu.active[number]
	delete(q.mu.active, number)
	q.mu.Unlock()
	if e.ended != nil {
		e.ended()
	}
	<-q.slots
}

func (q *queue) list() []ActiveQuery {
	q.mu.Lock()
	defer q.mu.Unlock()
	numbers := make([]int, 0, len(q.mu.active))
	for n := range q.mu.active {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	l := make([]ActiveQuery, len(numbers))
	for i, n := range numbers {
		l[i] = q.mu.active[n].ActiveQuery
	}
	return l
}

// drain takes every slot, for good.
func (q *queue) drain(ctx context.Context) error {
	for range cap(q.slots) {
		select {
		case q.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Close does nothing: a queue has no files.
func (q *queue) Close() error { return nil }
