package admission

import (
	"context"
	"sync"
	"sync/atomic"
)

// Queue bounds the number of running and of waiting queries. It has as many slots
// for light queries (see Scheduler) as for heavy ones, so that heavy queries cannot
// hold all slots for minutes. A query starts in a light slot and moves to a heavy
// slot when it becomes heavy. If no heavy slot is free it stays in its light slot.
// Once it has worked for longAfter and a light query waits for its slot, it is
// preempted: it releases all its resources and restarts when a heavy slot is free.
// Waiting queries hold no memory. Queue implements promql.QueryTracker for
// Prometheus' engine.
type Queue struct {
	light, heavy chan struct{} // one token for each running query
	waiting      atomic.Int64
	lightWaiting atomic.Int64 // queries waiting for a light slot
	maxWaiting   int64
	started      func(query string) func()

	mu struct {
		sync.Mutex
		last      int // number of the query started last
		active    map[int]*Slot
		preempted int64 // heavy queries that are giving up their light slots
	}
}

// Slot is a query's permission to run. It is safe for concurrent use.
type Slot struct {
	queue  *Queue
	number int
	ended  func()

	heavy     atomic.Bool
	preempted bool // guarded by queue.mu
}

// NewQueue returns a queue in which up to concurrent light queries and as many heavy
// ones run, and up to waiting queries wait. started, if not nil, is called when a
// query starts; the function it returns is called when the query ends.
func NewQueue(concurrent, waiting int, started func(string) func()) *Queue {
	q := &Queue{
		light: make(chan struct{}, concurrent), heavy: make(chan struct{}, concurrent),
		maxWaiting: int64(waiting), started: started,
	}
	q.mu.active = make(map[int]*Slot)
	return q
}

// ForExecution marks the context of a query about to run: see Insert.
func ForExecution(ctx context.Context) context.Context {
	return context.WithValue(ctx, executionKey{}, true)
}

// GetMaxConcurrent returns the number of queries that may run at a time.
func (q *Queue) GetMaxConcurrent() int { return cap(q.heavy) }

// RunningLight returns the number of light slots in use.
func (q *Queue) RunningLight() int { return len(q.light) }

// RunningHeavy returns the number of heavy slots in use.
func (q *Queue) RunningHeavy() int { return len(q.heavy) }

// Waiting returns the number of queries waiting for a slot.
func (q *Queue) Waiting() int { return int(q.waiting.Load()) }

// executionKey is the context key of ForExecution. Prometheus' engine also calls
// Insert before it parses a query, which is fast and needs no slot.
type executionKey struct{}

// Insert acquires a heavy slot for a query of Prometheus' engine, because such a
// query cannot be restarted.
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

// Delete releases the slot acquired by Insert.
func (q *Queue) Delete(number int) {
	if number == 0 { // the query was only parsed
		return
	}
	q.mu.Lock()
	p := q.mu.active[number]
	q.mu.Unlock()
	p.Release()
}

// Acquire waits for a slot or the end of ctx. It returns ErrOverloaded if the queue
// is full.
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

// begin registers a query that has a token.
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

// mayContinue reports whether a heavy query may continue: it has moved to a heavy
// slot, has not worked for longAfter, or no query waits for its light slot.
// Otherwise the query must end.
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

// Release releases the slot at the end of the query.
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

// Drain acquires every slot and keeps it. It acquires light slots first, so that
// queries that become heavy meanwhile can still move to heavy slots.
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
