package admission

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/promql"
)

func running(ctx context.Context) context.Context {
	return context.WithValue(ctx, executionKey{}, true)
}

func TestQueueLetsABoundedNumberRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(2, 3, nil)
		var most, now atomic.Int64
		for i := range 5 { // two run, three wait
			go func() {
				n, err := q.Insert(running(t.Context()), "up")
				if err != nil {
					t.Errorf("query %d: %v", i, err)
					return
				}
				for n := now.Add(1); ; {
					if was := most.Load(); n <= was || most.CompareAndSwap(was, n) {
						break
					}
				}
				time.Sleep(time.Second)
				now.Add(-1)
				q.Delete(n)
			}()
		}
		synctest.Wait()
		if got := q.waiting.Load(); got != 3 || registered(q) != 2 {
			t.Errorf("%d wait and %d run, want 3 and 2", got, registered(q))
		}
		if _, err := q.Insert(running(t.Context()), "up"); !errors.Is(err, ErrOverloaded) {
			t.Errorf("a sixth query got %v", err)
		}
		time.Sleep(time.Minute)
		if most.Load() != 2 || q.waiting.Load() != 0 || registered(q) != 0 || len(q.heavy) != 0 {
			t.Errorf("%d ran at a time; left: %d waiting, %d running", most.Load(), q.waiting.Load(), registered(q))
		}
	})
}

func TestWaitingQueryLeavesWithItsClient(t *testing.T) {
	q := NewQueue(1, 1, nil)
	n, err := q.Insert(running(t.Context()), "first")
	if err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	var wantCanceled promql.ErrQueryCanceled
	if _, err := q.Insert(running(canceled), "second"); !errors.As(err, &wantCanceled) {
		t.Errorf("got %v, want it canceled", err)
	}
	late, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	var wantTimeout promql.ErrQueryTimeout
	if _, err := q.Insert(running(late), "third"); !errors.As(err, &wantTimeout) {
		t.Errorf("got %v, want a timeout", err)
	}
	if q.waiting.Load() != 0 {
		t.Error("queries that left are counted as waiting")
	}
	q.Delete(n)
	if _, err := q.Insert(running(t.Context()), "fourth"); err != nil {
		t.Errorf("the slot did not come back: %v", err)
	}
}

func TestParsingNeedsNoTurn(t *testing.T) {
	q := NewQueue(1, 1, nil)
	if _, err := q.Insert(running(t.Context()), "up"); err != nil {
		t.Fatal(err)
	}
	n, err := q.Insert(t.Context(), "down")
	if err != nil {
		t.Fatal(err)
	}
	q.Delete(n)
	if n := registered(q); n != 1 {
		t.Errorf("%d queries are running, want 1", n)
	}
}

func TestQueueTellsOfBeginAndEnd(t *testing.T) {
	var events []string
	q := NewQueue(1, 1, func(query string) func() {
		events = append(events, "began "+query)
		return func() { events = append(events, "ended "+query) }
	})
	n, err := q.Insert(running(t.Context()), "up")
	if err != nil {
		t.Fatal(err)
	}
	q.Delete(n)
	if len(events) != 2 || events[0] != "began up" || events[1] != "ended up" {
		t.Errorf("events: %q", events)
	}
}

func TestDrainWaitsForTheLastQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(2, 1, nil)
		n, err := q.Insert(running(t.Context()), "up")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Second)
			q.Delete(n)
		}()
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		other := NewQueue(1, 0, nil)
		if _, err := other.Insert(running(t.Context()), "up"); err != nil {
			t.Fatal(err)
		}
		if err := other.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("draining a busy queue: %v", err)
		}
		begin := time.Now()
		if err := q.Drain(t.Context()); err != nil || time.Since(begin) < time.Second-time.Millisecond {
			t.Errorf("drained after %v: %v", time.Since(begin), err)
		}
	})
}

// A heavy query moves to a heavy slot, or stays in a light one until a light query
// waits for it: then it ends, to start again when a heavy slot is free. No more
// queries end than light ones wait.
func TestHeavyQueriesMakeRoomForLightOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(2, 5, nil)
		enter := func(heavy bool) *Slot {
			p, err := q.Acquire(t.Context(), "up", heavy)
			if err != nil {
				t.Error(err)
			}
			return p
		}
		var ps [4]*Slot
		for i := range ps {
			ps[i] = enter(false)
			for range 2 {
				if !ps[i].mayContinue(true) {
					t.Fatalf("query %d blocks no light query", i)
				}
			}
			if ps[i].heavy.Load() != (i < 2) {
				t.Errorf("query %d is in a heavy slot: %v", i, ps[i].heavy.Load())
			}
		}
		light := make(chan *Slot, 1)
		go func() { light <- enter(false) }()
		synctest.Wait()
		if !ps[3].mayContinue(false) {
			t.Error("a query that has worked little does not go on")
		}
		for range 2 {
			if ps[3].mayContinue(true) {
				t.Error("a heavy query goes on in a light slot that a light query waits for")
			}
		}
		if !ps[2].mayContinue(true) || !ps[1].mayContinue(true) {
			t.Error("a second one leaves for the same")
		}
		ps[3].Release()
		last := <-light
		again := make(chan *Slot, 1)
		go func() { again <- enter(true) }()
		synctest.Wait()
		if len(again) != 0 || !ps[2].mayContinue(true) {
			t.Error("there are more than two heavy slots, or a heavy query got a light slot")
		}
		ps[0].Release()
		anew := <-again
		for _, p := range []*Slot{ps[1], ps[2], anew, last} {
			p.Release()
		}
		if len(q.light) != 0 || len(q.heavy) != 0 || registered(q) != 0 || q.waiting.Load() != 0 || q.lightWaiting.Load() != 0 || q.mu.preempted != 0 {
			t.Errorf("left: %+v", q)
		}
	})
}

// A long selection that yields moves to a heavy slot with its query, or ends for
// good.
func TestSelectionsMakeRoomForLightQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, c := NewQueue(1, 5, nil), NewScheduler(1, nil)
		var wg sync.WaitGroup
		ended := make(chan error, 2)
		for range 2 {
			wg.Go(func() {
				p, err := q.Acquire(t.Context(), "up", false)
				if err != nil {
					t.Error(err)
					return
				}
				defer p.Release()
				s := c.NewShare()
				s.Acquire(t.Context())
				defer s.Release()
				y := NewYielder(t.Context(), s, p)
				defer y.Close()
				for range 20000 {
					time.Sleep(stride)
					if err = y.Yield(); err != nil {
						for range 3 {
							if again := y.Yield(); again != err {
								t.Errorf("ends with %v, then with %v", err, again)
							}
						}
						break
					}
				}
				ended <- err
			})
			time.Sleep(4 * longAfter)
		}
		began := time.Now()
		p, err := q.Acquire(t.Context(), "up", false)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*stride {
			t.Errorf("waited for %v", took)
		}
		p.Release()
		wg.Wait()
		if one, other := <-ended, <-ended; one != ErrPreempted && other != ErrPreempted || one != nil && other != nil {
			t.Errorf("the selections ended with %v and %v, want one to go on and one to make room", one, other)
		}
	})
}

// registered returns the number of queries that hold a slot.
func registered(q *Queue) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.mu.active)
}
