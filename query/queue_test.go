package query

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/promql"
)

func running(ctx context.Context) context.Context { return context.WithValue(ctx, toRun{}, true) }

func TestQueueLetsABoundedNumberRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2, 3, nil)
		var most, now atomic.Int64
		for i := range 5 { // two run, three wait
			go func() {
				n, err := q.Insert(running(t.Context()), "up")
				if err != nil {
					t.Errorf("query %d: %v", i, err)
					return
				}
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				q.Delete(n)
			}()
		}
		synctest.Wait()
		if got := q.waiting.Load(); got != 3 || len(q.list()) != 2 {
			t.Errorf("%d wait and %d run, want 3 and 2", got, len(q.list()))
		}
		if _, err := q.Insert(running(t.Context()), "up"); !errors.Is(err, ErrOverloaded) {
			t.Errorf("a sixth query got %v", err)
		}
		time.Sleep(time.Minute)
		if most.Load() != 2 || q.waiting.Load() != 0 || len(q.list()) != 0 || len(q.heavy) != 0 {
			t.Errorf("%d ran at a time; left: %d waiting, %d running", most.Load(), q.waiting.Load(), len(q.list()))
		}
	})
}

func TestWaitingQueryLeavesWithItsClient(t *testing.T) {
	q := newQueue(1, 1, nil)
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
	q := newQueue(1, 1, nil)
	if _, err := q.Insert(running(t.Context()), "up"); err != nil {
		t.Fatal(err)
	}
	n, err := q.Insert(t.Context(), "down")
	if err != nil {
		t.Fatal(err)
	}
	q.Delete(n)
	if got := q.list(); len(got) != 1 || got[0].Query != "up" {
		t.Errorf("running: %v", got)
	}
}

func TestQueueTellsOfBeginAndEnd(t *testing.T) {
	var events []string
	q := newQueue(1, 1, func(query string) func() {
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
		q := newQueue(2, 1, nil)
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
		other := newQueue(1, 0, nil)
		if _, err := other.Insert(running(t.Context()), "up"); err != nil {
			t.Fatal(err)
		}
		if err := other.drain(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("draining a busy queue: %v", err)
		}
		begin := time.Now()
		if err := q.drain(t.Context()); err != nil || time.Since(begin) < time.Second-time.Millisecond {
			t.Errorf("drained after %v: %v", time.Since(begin), err)
		}
	})
}

// Heavy queries in every heavy place do not keep light ones out; a light one
// that turns out heavy leaves, and begins anew when there is a place.
func TestHeavyQueriesLeaveThePlacesOfLightOnes(t *testing.T) {
	q := newQueue(1, 5, nil)
	enter := func(heavy bool) *place {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		p, err := q.enter(ctx, "up", heavy)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := enter(false)
	for range 2 {
		if !first.becomeHeavy() {
			t.Fatal("no place though nobody has one")
		}
	}
	second := enter(false)
	if second.becomeHeavy() {
		t.Error("two heavy queries run where one may")
	}
	second.leave()
	again := make(chan *place)
	go func() { again <- enter(true) }()
	third := enter(false)
	first.leave()
	second = <-again
	if second.leave(); !third.becomeHeavy() {
		t.Error("a place did not come back")
	}
	third.leave()
	if len(q.light) != 0 || len(q.heavy) != 0 || len(q.list()) != 0 {
		t.Errorf("left: %d light places, %d heavy ones, %v", len(q.light), len(q.heavy), q.list())
	}
}
