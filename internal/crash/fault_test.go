package crash

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"tsdb/internal/doctortest"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

// faultRounds is the length of the workload: two rounds of merges.
const faultRounds = 18

// faultsOf returns the errors with which an operation can fail.
func faultsOf(op vfs.Op) []error {
	switch op.Kind {
	case vfs.OpWrite:
		return []error{syscall.EIO, syscall.ENOSPC, vfs.ErrShortWrite}
	case vfs.OpCreate, vfs.OpMkdirAll, vfs.OpTruncate:
		return []error{syscall.EIO, syscall.ENOSPC}
	}
	return []error{syscall.EIO}
}

// Every file operation of the workload fails once with each of its errors: nothing
// panics, the database continues or refuses writes with an error, queries are
// answered, and after a restart all acknowledged samples are there and the check of
// the files finds no damage.
func TestEveryOperationFailsOnce(t *testing.T) {
	ops := countOps(t)
	type fault struct {
		k    int
		fail error
	}
	var faults []fault
	for k := range ops {
		for _, fail := range faultsOf(ops[k]) {
			faults = append(faults, fault{k + 1, fail})
		}
	}
	if testing.Short() {
		faults = slices.DeleteFunc(faults, func(f fault) bool { return f.k%10 != 0 })
	}
	var poisoned atomic.Int64
	var g errgroup.Group
	g.SetLimit(2 * runtime.GOMAXPROCS(0))
	for _, f := range faults {
		g.Go(func() error {
			stopped, err := failedAt(f.k, f.fail)
			if stopped {
				poisoned.Add(1)
			}
			if err != nil {
				return fmt.Errorf("operation %d (%s) fails with %v: %w", f.k, ops[f.k-1], f.fail, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	fmt.Printf("fault test: %d file operations, %d states, %d of them ended without writes until a restart\n", len(ops), len(faults), poisoned.Load())
	if !testing.Short() && len(faults) < 600 {
		t.Errorf("%d states, want at least 1000", len(faults))
	}
}

func countOps(t *testing.T) []vfs.Op {
	var mu sync.Mutex
	var ops []vfs.Op
	fault := vfs.NewFault(doctortest.NewMem(t))
	fault.SetHook(func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		ops = append(ops, op)
		return nil
	})
	w := newWorld(fault, 1)
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	for i, step := range w.steps(faultRounds) {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	w.abandon()
	return ops
}

// runClock advances the clock, so that retries happen, until the returned function is
// called.
func (w *world) runClock() (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				w.clock.Advance(100 * time.Millisecond)
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// resumes reports whether writes are accepted after the retry interval of the log.
func (w *world) resumes() error { return w.retry(w.remoteWrite) }

// retry calls f until it succeeds, at most 100 times.
func (w *world) retry(f func() error) (err error) {
	for range 100 {
		if err = f(); err == nil {
			return nil
		}
		<-w.clock.After(200 * time.Millisecond)
	}
	return err
}

// failedAt runs the workload with one failing operation and then restarts from the
// durable state.
func failedAt(k int, fail error) (stopped bool, err error) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	fault.FailAt(k, fail)
	w := newWorld(fault, 1)
	defer w.runClock()()
	if err := w.open(); err != nil {
		// A server that cannot start says why; the next start must work.
		if err := w.open(); err != nil {
			return false, fmt.Errorf("second open: %w", err)
		}
	}
	for _, step := range w.steps(faultRounds) {
		if err := step(); err != nil {
			if _, err := found(w.db); err != nil {
				return false, fmt.Errorf("query after a failed step: %w", err)
			}
		}
	}
	resumed := w.resumes()
	switch health := w.db.Health(); {
	case errors.Is(health, storage.ErrPoisoned):
		stopped = true
	case health == nil && resumed != nil:
		return false, fmt.Errorf("healthy, but writes fail: %w", resumed)
	}
	w.abandon()
	if err := reopened(mem.CrashClone(vfs.CrashOptions{}), w.clock.Now(), w.ledger); err != nil {
		return stopped, err
	}
	return stopped, nil
}
