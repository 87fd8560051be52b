package admission

import (
	"context"
	"sync"
	"sync/atomic"
)

// Queue lets a bounded number of queries run and a bounded number wait. There
// are as many places for light queries (see cores) as for heavy ones, so that
// these cannot take all for minutes. A query begins in a light place and moves
// when it turns out to be heavy. If no heavy place is free it stays, but once it
// has worked long only until somebody waits for a light one: then it lets go of
// all it holds, and begins anew when there is a heavy place. Who waits holds no
// memory. It is the engine's promql.QueryTracker.
type Queue struct {
	light, heavy chan struct{} // one token a running query
	waiting      atomic.Int64
	lightWaiting atomic.Int64 // of them, for a light place
	maxWaiting   int64
	started      func(query string) func()

	mu struct {
		sync.Mutex
		last      int // number of the newest query that ran
		active    map[int]*Slot
		preempted int64 // heavy queries in light places that make room
	}
}

// Slot is a query's leave to run. It is safe for concurrent use.
type Slot struct {
	queue  *Queue
	number int
	ended  func()

	heavy     atomic.Bool
	preempted bool // guarded by queue.mu
}

func NewQueue(concurrent, waiting int, started func(string) func()) *Queue {
	q := &Queue{
		light: make(chan struct{}, concurrent), heavy: make(chan struct{}, concurrent),
		maxWaiting: int64(waiting), started: started,
	}
	q.mu.active = make(map[int]*Slot)
	return q
}

// ForExecution marks the context of a query that is about to run: see Insert.
func ForExecution(ctx context.Context) context.Context {
	return context.WithValue(ctx, executionKey{}, true)
}

// GetMaxConcurrent returns how many queries may run at a time.
func (q *Queue) GetMaxConcurrent() int { return cap(q.heavy) }

// RunningLight returns the number of light slots in use.
func (q *Queue) RunningLight() int { return len(q.light) }

// RunningHeavy returns the number of heavy slots in use.
func (q *Queue) RunningHeavy() int { return len(q.heavy) }

// Waiting returns the number of queries that wait for a slot.
func (q *Queue) Waiting() int { return int(q.waiting.Load()) }

// executionKey marks the context of a query that is to run. The engine asks its
// tracker for leave to parse as well, which is quick and needs no turn.
type executionKey struct{}

// Insert lets a query of Prometheus' engine run, in a heavy place: nothing can
// make it begin anew.
func (q *Queue) Insert(ctx context.Context, query string) (int, error) {
	if ctx.Value(executionKey{}) == nil {
		return 0, nil
	}
	p, err := q.Acquire(ctx, query, true)
	if err != nil {
		return 0, err
	}
	return p.number, nil
}

// Delete ends a query that Insert let run.
func (q *Queue) Delete(number int) {
	if number == 0 { // it was parsed only
		return
	}
	q.mu.Lock()
	p := q.mu.active[number]
	q.mu.Unlock()
	p.Release()
}

// Acquire waits for a place. A query whose context ends leaves the queue; one that
// finds it full gets ErrOverloaded.
func (q *Queue) Acquire(ctx context.Context, query string, heavy bool) (*Slot, error) {
	slots, waiting := q.heavy, new(atomic.Int64)
	if !heavy {
		slots, waiting = q.light, &q.lightWaiting
	}
	select {
	case slots <- struct{}{}:
		return q.begin(query, heavy), nil
	default:
	}
	if q.waiting.Add(1) > q.maxWaiting {
		q.waiting.Add(-1)
		return nil, ErrOverloaded
	}
	defer q.waiting.Add(-1)
	waiting.Add(1)
	defer waiting.Add(-1)
	select {
	case slots <- struct{}{}:
		return q.begin(query, heavy), nil
	case <-ctx.Done():
		return nil, ContextError(ctx.Err(), inQueue)
	}
}

func (q *Queue) begin(query string, heavy bool) *Slot {
	p := &Slot{queue: q}
	p.heavy.Store(heavy)
	if q.started != nil {
		p.ended = q.started(query)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.last++
	p.number = q.mu.last
	q.mu.active[p.number] = p
	return p
}

// mayContinue reports whether the query, which is heavy, may go on: it has moved to a
// heavy place, has not worked long yet, or nobody wants its light place.
// Otherwise it is to leave.
func (p *Slot) mayContinue(long bool) bool {
	if p.heavy.Load() {
		return true
	}
	q := p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case p.heavy.Load():
		return true
	case p.preempted:
		return false
	}
	select {
	case q.heavy <- struct{}{}:
		p.heavy.Store(true)
		<-q.light
		return true
	default:
	}
	if !long || q.lightWaiting.Load() <= q.mu.preempted {
		return true
	}
	p.preempted = true
	q.mu.preempted++
	return false
}

// Release ends the query.
func (p *Slot) Release() {
	q := p.queue
	q.mu.Lock()
	delete(q.mu.active, p.number)
	if p.preempted {
		q.mu.preempted--
	}
	slots := q.light
	if p.heavy.Load() {
		slots = q.heavy
	}
	q.mu.Unlock()
	if p.ended != nil {
		p.ended()
	}
	<-slots
}

// Drain takes every place, for good. Light ones are taken first: what turns out
// heavy meanwhile can still move.
func (q *Queue) Drain(ctx context.Context) error {
	for _, slots := range []chan struct{}{q.light, q.heavy} {
		for range cap(slots) {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// Close does nothing: a queue has no files.
func (q *Queue) Close() error { return nil }
