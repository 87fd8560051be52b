package admission

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// In these tests work is sleep, and time is virtual: what is asserted
// of it holds exactly, on every machine.

// job is a query that works and yields after every stride.
type job struct {
	share *CPUShare
	did   atomic.Int64 // nanoseconds
}

const stride = 100 * time.Microsecond

// run works for a time, on one slot.
func (j *job) run(ctx context.Context, work time.Duration) {
	j.share.Acquire(ctx)
	defer j.share.Release()
	for done := time.Duration(0); done < work && ctx.Err() == nil; done += stride {
		time.Sleep(stride)
		j.did.Add(int64(stride))
		j.share.yield(ctx)
	}
}

func (j *job) worked() time.Duration { return time.Duration(j.did.Load()) }

// startHeavy starts n queries that work until the test ends, and waits until they are
// heavy.
func startHeavy(t *testing.T, c *Scheduler, n int) []*job {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.mu.inUse != 0 || c.mu.light != 0 || len(c.mu.waiting) != 0 || len(c.mu.working) != 0 {
			t.Errorf("left: %d cores in use, %d of them light, %d waiting, %d working", c.mu.inUse, c.mu.light, len(c.mu.waiting), len(c.mu.working))
		}
	})
	jobs := make([]*job, n)
	for i := range jobs {
		jobs[i] = &job{share: c.NewShare()}
		wg.Go(func() { jobs[i].run(ctx, time.Hour) })
	}
	time.Sleep(time.Duration(n) * 2 * heavyAfter)
	for i, j := range jobs {
		if !j.share.heavy.Load() {
			t.Errorf("query %d is light after %v", i, j.worked())
		}
	}
	return jobs
}

func total(jobs []*job) (d time.Duration) {
	for _, j := range jobs {
		d += j.worked()
	}
	return d
}

func TestLightQueriesDoNotWaitForHeavyOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewScheduler(2, nil)
		heavy := startHeavy(t, c, 20)
		for range 50 {
			time.Sleep(7 * time.Millisecond)
			before, began := total(heavy), time.Now()
			light := [2]*job{{share: c.NewShare()}, {share: c.NewShare()}}
			var wg sync.WaitGroup
			for _, j := range light {
				wg.Go(func() { j.run(t.Context(), 5*time.Millisecond) })
			}
			wg.Wait()
			if took := time.Since(began); took != 5*time.Millisecond {
				t.Fatalf("5 ms of work took %v", took)
			}
			// The two that had a core keep it for a slice, and stand still then.
			if did := total(heavy) - before; did > 2*(timeSlice+stride) {
				t.Fatalf("heavy queries worked for %v meanwhile", did)
			}
		}
	})
}

// One light query takes one core; the others go on.
func TestLightQueriesLeaveTheOtherCores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewScheduler(4, nil)
		heavy := startHeavy(t, c, 10)
		before := total(heavy)
		(&job{share: c.NewShare()}).run(t.Context(), 10*time.Millisecond)
		if did := total(heavy) - before; did < 28*time.Millisecond || did > 32*time.Millisecond {
			t.Errorf("heavy queries worked for %v on three cores in 10 ms", did)
		}
	})
}

// A new query does not wait for earlier ones of unknown size.
func TestFreshQueriesComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewScheduler(2, nil)
		var wg sync.WaitGroup
		for range 20 { // 190 ms of work
			wg.Go(func() { (&job{share: c.NewShare()}).run(t.Context(), 19*time.Millisecond) })
		}
		time.Sleep(50 * time.Millisecond) // 5 ms each
		began := time.Now()
		(&job{share: c.NewShare()}).run(t.Context(), 2*time.Millisecond)
		if took := time.Since(began); took > 4*time.Millisecond {
			t.Errorf("2 ms of work took %v", took)
		}
		wg.Wait()
	})
}

// Four queries that do not yield for a second delay a fifth one until
// they are known to be heavy, and no longer.
func TestWorkThatDoesNotYieldBecomesHeavy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewScheduler(2, nil)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				s := c.NewShare()
				s.Acquire(t.Context())
				time.Sleep(time.Second)
				s.Release()
			})
		}
		synctest.Wait()
		began := time.Now()
		(&job{share: c.NewShare()}).run(t.Context(), stride)
		if took := time.Since(began); took < heavyAfter || took > heavyAfter+tickInterval+stride {
			t.Errorf("waited for %v", took)
		}
		wg.Wait()
	})
}

// A query that has a core, and no CPU to run on, is not working.
func TestWaitingForCPUsIsNoWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := NewScheduler(2, func() time.Duration { return time.Since(began) / 10 })
		s := c.NewShare()
		s.Acquire(t.Context())
		time.Sleep(9 * heavyAfter)
		if s.heavy.Load() {
			t.Error("heavy after less than the time on a CPU")
		}
		time.Sleep(2*heavyAfter + tickInterval)
		if !s.heavy.Load() || s.long.Load() {
			t.Error("light after more than the time, or worked long")
		}
		time.Sleep(10 * longAfter)
		if !s.long.Load() {
			t.Error("has not worked long")
		}
		s.Release()
	})
}

// Among heavy queries the one that has worked least comes first.
func TestShorterHeavyQueriesComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewScheduler(2, nil)
		startHeavy(t, c, 20)
		time.Sleep(10 * time.Second) // half a second each
		began := time.Now()
		(&job{share: c.NewShare()}).run(t.Context(), 200*time.Millisecond)
		if took := time.Since(began); took > 300*time.Millisecond { // in turn it would be 2 s
			t.Errorf("200 ms of work took %v", took)
		}
	})
}

// Light queries that keep all cores busy leave heavy ones a tenth of one.
func TestHeavyQueriesGetOnBesideManyLightOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewScheduler(2, nil)
		heavy := startHeavy(t, c, 3)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for ctx.Err() == nil {
					(&job{share: c.NewShare()}).run(ctx, 2*time.Millisecond)
				}
			})
		}
		time.Sleep(time.Second)
		before := total(heavy)
		time.Sleep(time.Second)
		if did := total(heavy) - before; did < 50*time.Millisecond || did > 200*time.Millisecond {
			t.Errorf("heavy queries worked for %v in a second", did)
		}
		cancel()
		wg.Wait()
	})
}

// A stream of queries that are heavy, but not very, does not keep the heaviest
// one from its turns.
func TestTheHeaviestQueryGetsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewScheduler(1, nil)
		heaviest := startHeavy(t, c, 1)
		time.Sleep(10 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				for ctx.Err() == nil {
					(&job{share: c.NewShare()}).run(ctx, 4*heavyAfter)
				}
			})
		}
		time.Sleep(time.Second)
		before := total(heaviest)
		time.Sleep(10 * time.Second)
		if did := total(heaviest) - before; did < 300*time.Millisecond {
			t.Errorf("it worked for %v in 10 s", did)
		}
		cancel()
		wg.Wait()
	})
}

// A goroutine that waits for a slot when its query ends stops waiting.
func TestWaitingForACoreEndsWithTheQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewScheduler(1, nil)
		s := c.NewShare()
		for range lightSlotsFactor {
			s.Acquire(t.Context())
		}
		other := c.NewShare()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		other.Acquire(ctx)
		if took := time.Since(began); took != time.Millisecond {
			t.Errorf("waited for %v", took)
		}
		other.Release()
		for range lightSlotsFactor {
			s.Release()
		}
		if c.mu.inUse != 0 || c.mu.light != 0 || len(c.mu.waiting) != 0 {
			t.Errorf("left: %d cores in use, %d of them light, %d waiting", c.mu.inUse, c.mu.light, len(c.mu.waiting))
		}
	})
}

// Whatever queries do, no more slots are in use than there are, except those
// that heavy ones have yet to release; and all queries finish.
func TestCoresAreCountedRight(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			c := NewScheduler(1+r.IntN(4), nil)
			var wg sync.WaitGroup
			for range 40 {
				s := c.NewShare()
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(1000))*time.Millisecond)
				for range 1 + r.IntN(3) {
					work := time.Duration(r.IntN(100)) * time.Millisecond
					delay := time.Duration(r.IntN(300)) * time.Millisecond
					wg.Go(func() {
						time.Sleep(delay)
						(&job{share: s}).run(ctx, work)
					})
				}
				t.Cleanup(cancel)
			}
			for range 100 {
				time.Sleep(3 * time.Millisecond)
				c.mu.Lock()
				sum, light := 0, 0
				for _, s := range c.mu.working {
					if sum += s.inUse; !s.heavy.Load() {
						light += s.inUse
					}
				}
				if sum != c.mu.inUse || light != c.mu.light {
					t.Errorf("seed %d: %d cores in use, %d of them light; counted as %d and %d", seed, sum, light, c.mu.inUse, c.mu.light)
				}
				c.mu.Unlock()
			}
			wg.Wait()
			if c.mu.inUse != 0 || c.mu.light != 0 || len(c.mu.waiting) != 0 {
				t.Errorf("seed %d left: %d cores in use, %d of them light, %d waiting", seed, c.mu.inUse, c.mu.light, len(c.mu.waiting))
			}
		})
	}
}
