package crash

import (
	"context"
	"fmt"
	"math/rand"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// remove deletes a random range of one series or of all series of a metric, and returns
// what it does to a ledger.
func (w *world) remove() (apply func(ledger), err error) {
	name, id := fmt.Sprintf("m%d", w.rand.Intn(3)), w.rand.Intn(floatSeries)
	ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", name)}
	part := fmt.Sprintf(`{__name__="%s", `, name)
	if w.rand.Intn(2) == 0 {
		name = fmt.Sprintf("m%d", id%3)
		part = fmt.Sprintf(`{__name__="%s", i="%d"}`, name, id)
		ms = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", name), labels.MustNewMatcher(labels.MatchEqual, "i", fmt.Sprint(id))}
	}
	tr := model.TimeRange{Min: w.now() - w.rand.Int63n(2*model.DayMs), Max: w.now() + 1}
	if w.rand.Intn(2) == 0 {
		tr.Max = tr.Min + 1 + w.rand.Int63n(model.DayMs)
	}
	apply = func(l ledger) {
		for k := range l {
			if strings.HasPrefix(k.series, part) && tr.Contains(k.t) {
				delete(l, k)
			}
		}
	}
	return apply, w.db.Delete(context.Background(), model.DefaultTenant, tr, ms...)
}

// deletionSteps are writes and deletions with cuts, merges and the clean-up of
// tombstones in between. during holds what the present step deletes, from its begin.
func (w *world) deletionSteps(rounds int, during *func(ledger)) []func() error {
	ctx := context.Background()
	remove := func() error {
		apply, err := w.remove()
		*during = apply
		if err == nil {
			apply(w.ledger)
		}
		return err
	}
	var steps []func() error
	for i := range rounds {
		steps = append(steps, w.remoteWrite, remove, func() error {
			w.clock.Advance(time.Duration(1+w.rand.Intn(200)) * time.Minute)
			return nil
		})
		switch i % 4 {
		case 1:
			steps = append(steps, func() error { _, err := w.db.Flush(ctx); return err }, remove)
		case 2:
			steps = append(steps, remove, func() error { _, err := w.db.CleanTombstones(ctx); return err })
		case 3:
			steps = append(steps, func() error { _, err := w.db.Compact(ctx); return err })
		}
	}
	return steps
}

// After a power cut at any operation of a workload with deletions each deletion is
// there as a whole or, if it was not acknowledged, not at all; samples written again
// after one are there.
func TestPowerCutsBesideDeletions(t *testing.T) {
	mem := doctortest.NewMem(t)
	fault := vfs.NewFault(mem)
	fault.Count(vfs.MutatingOps)
	w := newWorld(fault, 3)
	rng := rand.New(rand.NewSource(3))
	var mu sync.Mutex
	type frame struct {
		op string
		fs *vfs.Mem
	}
	var frames []frame
	fault.SetHook(func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		for _, mode := range []vfs.CrashOptions{
			{Mode: vfs.CrashLose},
			{Mode: vfs.CrashSectors, Keep: 0.5, Rand: rand.New(rand.NewSource(rng.Int63()))},
			{Mode: vfs.CrashSectors, Keep: 1, Rand: rand.New(rand.NewSource(1))}, // a deletion that was not acknowledged stays
		} {
			frames = append(frames, frame{op.String(), mem.CrashClone(mode)})
		}
		return nil
	})
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	states := 0
	var undone, done atomic.Int64 // unacknowledged deletions that a crash left out, or kept
	drain := func(before ledger, during func(ledger)) {
		mu.Lock()
		list := frames
		frames = nil
		mu.Unlock()
		states += len(list)
		at, seen := w.clock.Now(), distinct{}
		for _, f := range list {
			if !seen.add(f.fs) {
				continue
			}
			g.Go(func() error {
				err := reopened(f.fs, at, before)
				if during != nil && err == nil {
					undone.Add(1)
				}
				if during != nil && err != nil {
					after := before.clone()
					during(after)
					if err = reopened(f.fs, at, after); err == nil {
						done.Add(1)
					}
				}
				if err != nil {
					return fmt.Errorf("power cut before %s: %w", f.op, err)
				}
				return nil
			})
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.open())
	drain(ledger{}, nil)
	var during func(ledger)
	for _, step := range w.deletionSteps(8, &during) {
		promised := w.ledger.clone()
		must(step())
		promised.doubtful(w.lastSent)
		w.lastSent = nil
		drain(promised, during)
		during = nil
	}
	w.abandon()
	fault.SetHook(nil)
	drain(w.ledger, nil)
	must(g.Wait())
	fmt.Printf("crash test with deletions: %d states, %d without and %d with the deletion under way\n", states, undone.Load(), done.Load())
	if states < 200 || undone.Load() == 0 || done.Load() == 0 {
		t.Errorf("%d states, %d without and %d with the deletion", states, undone.Load(), done.Load())
	}
}

// Every operation of the workload fails once. A deletion that failed may be there or
// not after a restart, others are.
func TestFaultsBesideDeletions(t *testing.T) {
	const rounds = 5
	run := func(k int) (ops int, err error) {
		var mu sync.Mutex
		n := 0
		fault := vfs.NewFault(vfs.NewMem())
		fault.Count(vfs.MutatingOps)
		fault.SetHook(func(op vfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if n++; n == k {
				return faultsOf(op)[0]
			}
			return nil
		})
		w := newWorld(fault, 5)
		if err := w.open(); err != nil {
			if k == 0 {
				return n, err
			}
			fault.SetHook(nil)
			return n, reopened(fault, w.clock.Now(), ledger{})
		}
		stop := func() {}
		if k > 0 { // on a slow machine a running clock ends waits of the log that nothing made fail
			stop = w.runClock()
		}
		var during func(ledger)
		either := []ledger{w.ledger}
		for _, step := range w.deletionSteps(rounds, &during) {
			before := w.ledger.clone()
			err := step()
			if err != nil && k == 0 {
				stop()
				return n, err
			}
			if err != nil {
				before.doubtful(w.lastSent)
				either = []ledger{before, w.ledger}
				if during != nil {
					after := before.clone()
					during(after)
					either = append(either, after)
				}
				break // whether later steps succeed is for the test of all operations
			}
			w.lastSent, during = nil, nil
			either = []ledger{w.ledger}
		}
		stop()
		w.abandon()
		fault.SetHook(nil)
		for _, l := range either {
			if err = reopened(fault, w.clock.Now(), l); err == nil {
				break
			}
		}
		return n, err
	}
	ops, err := run(0)
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	step := 1
	if testing.Short() {
		step = 10
	}
	for k := 1; k <= ops; k += step {
		g.Go(func() error {
			if _, err := run(k); err != nil {
				return fmt.Errorf("operation %d fails: %w", k, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	fmt.Printf("fault test with deletions: %d file operations\n", ops)
}
