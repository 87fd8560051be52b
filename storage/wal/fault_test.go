package wal

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// fastClock is a manual clock that another goroutine advances as soon as a timer is
// pending.
func fastClock(t testing.TB) *vfs.ManualClock {
	clock := vfs.NewManualClock(time.UnixMilli(1_700_000_000_000))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			clock.BlockUntil(1)
			select {
			case <-stop:
				return
			default:
				clock.Advance(50 * time.Millisecond)
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		clock.After(time.Hour)
		wg.Wait()
	})
	return clock
}

// Every operation fails once, in each way it can. The log may refuse further
// writes, but never panics and never has acknowledged frames that are not on disk.
func TestNothingAcknowledgedIsLostWhenAnOperationFails(t *testing.T) {
	errs := []error{syscall.EIO, syscall.ENOSPC, vfs.ErrShortWrite}
	if testing.Short() {
		errs = errs[:1]
	}
	o := small()
	o.Clock = fastClock(t)
	total, poisoned := 0, 0
	for _, fail := range errs {
		for k := 1; ; k++ {
			mem := vfs.NewMem()
			fault := vfs.NewFault(mem)
			if fail == vfs.ErrShortWrite {
				fault.Count(vfs.Ops(vfs.OpWrite))
			}
			fault.FailAt(k, fail)
			var g ledger
			err := workload(fault, &g, rand.New(rand.NewSource(int64(k%5))), o, 40)
			if fault.N() < k {
				must(t, err)
				break
			}
			if errors.Is(err, log.ErrPoisoned) {
				poisoned++
			} else if err != nil && !errors.Is(err, fail) {
				t.Fatalf("operation %d failed with %v, the workload with %v", k, fail, err)
			}
			if n := mem.OpenFiles(); n != 0 {
				t.Fatalf("operation %d failed with %v: %d files left open", k, fail, n)
			}
			acked, low, appended := g.state()
			total++
			rng := rand.New(rand.NewSource(int64(k)))
			for name, fs := range map[string]*vfs.Mem{"process": mem.Clone(), "power cut": mem.CrashClone(vfs.CrashOptions{})} {
				if err := recoverTwice(fs, rng, acked, low, appended, low, nil); err != nil {
					t.Fatalf("operation %d failed with %v (%v), new %s: %v", k, fail, err, name, err)
				}
			}
		}
	}
	t.Logf("%d failures, %d of them poisoned the log", total, poisoned)
	if poisoned == 0 {
		t.Fatal("no failure poisoned the log")
	}
}

func TestAFailedWriteOrSyncPoisonsTheLog(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpWrite, vfs.OpSync} {
		t.Run(kind.String(), func(t *testing.T) {
			ctx := context.Background()
			mem := vfs.NewMem()
			fault := vfs.NewFault(mem)
			l := openLog(t, fault, small())
			good := put(t, l, 1, "good")
			must(t, l.Wait(ctx, good))
			prepared(l) // so that only the flusher writes and syncs from here on
			fault.Count(vfs.Ops(vfs.OpWrite, vfs.OpSync))
			fault.SetHook(func(o vfs.Op) error {
				if o.Kind == kind {
					return syscall.EIO
				}
				return nil
			})
			bad := put(t, l, 1, "bad")
			waits := make(chan error, 5)
			for range cap(waits) {
				go func() { waits <- l.Wait(ctx, bad) }()
			}
			for range cap(waits) {
				if err := <-waits; !errors.Is(err, log.ErrPoisoned) || !errors.Is(err, syscall.EIO) {
					t.Fatalf("wait: %v", err)
				}
			}
			fault.SetHook(nil)
			n := fault.N()
			must(t, l.Wait(ctx, good))
			for what, err := range map[string]error{
				"wait":           l.Wait(ctx, bad),
				"reserve":        l.Reserve(ctx, 100),
				"prepare rotate": l.PrepareRotate(ctx),
				"release":        l.Release(1, 1),
				"err":            l.Err(),
				"close":          l.Close(),
			} {
				if !errors.Is(err, log.ErrPoisoned) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if _, err := l.ReserveDelete(ctx, 100); !errors.Is(err, log.ErrPoisoned) {
				t.Errorf("reserve for a delete: %v", err)
			}
			if _, _, err := l.Rotate(); !errors.Is(err, log.ErrPoisoned) {
				t.Errorf("rotate: %v", err)
			}
			if fault.N() != n {
				t.Fatalf("%d writes or syncs after the failure", fault.N()-n)
			}
			got := replayAll(t, scan(t, mem.CrashClone(vfs.CrashOptions{})))
			wantEntries(t, got, []entry{{good, 1, 1, "good"}})
		})
	}
}

func TestAppendsAfterAPoisoningGoNowhere(t *testing.T) {
	ctx := context.Background()
	fault := vfs.NewFault(vfs.NewMem())
	l := openLog(t, fault, small())
	must(t, l.Reserve(ctx, 1000))
	must(t, l.PrepareRotate(ctx))
	fault.Count(vfs.Ops(vfs.OpSync))
	fault.SetHook(func(vfs.Op) error { return syscall.ENOSPC })
	one := l.Append(0, 0, log.FrameSamples, []byte("one"))
	if err := l.Wait(ctx, one); !errors.Is(err, log.ErrPoisoned) {
		t.Fatal(err)
	}
	two := l.Append(0, 0, log.FrameSamples, []byte("two"))
	if err := l.Wait(ctx, two); two <= one || !errors.Is(err, log.ErrPoisoned) {
		t.Fatalf("LSN %d after %d, %v", two, one, err)
	}
	l.Unreserve(1000 - 2*log.FrameBytes(3))
}

// fill appends until the log has no space, and returns the frames.
func fill(t testing.TB, l *Log) (all []entry) {
	t.Helper()
	for {
		p := strings.Repeat("x", 500)
		err := l.Reserve(context.Background(), log.FrameBytes(len(p)))
		if errors.Is(err, log.ErrNoSpace) {
			return all
		}
		if errors.Is(err, log.ErrBusy) {
			continue // the clock is faster than the disk
		}
		must(t, err)
		lsn := l.Append(len(all)%16, 0, log.FrameSamples, []byte(p))
		all = append(all, entry{lsn, l.Generation(), len(all) % 16, p})
		if len(all)%4 == 0 {
			must(t, l.Wait(context.Background(), lsn))
		}
	}
}

func TestAFullDiskRefusesWritesAndResumesByItself(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	mem.SetCapacity(5 * minSegmentBytes)
	o := small()
	o.Clock = fastClock(t)
	l := openLog(t, mem, o)
	all := fill(t, l)
	if len(all) < 50 {
		t.Fatalf("only %d frames fit", len(all))
	}
	must(t, l.Wait(ctx, l.LastLSN()))
	for range 3 {
		if err := l.Reserve(ctx, 1000); !errors.Is(err, log.ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("reserve: %v", err)
		}
	}

	// Deletes, cuts and their marks go on.
	done, err := l.ReserveDelete(ctx, log.FrameBytes(100)+log.FrameBytes(200))
	must(t, err)
	p := strings.Repeat("d", 100)
	all = append(all, entry{l.Append(5, 0, log.FrameTombstone, []byte(p)), l.Generation(), 5, p})
	done()
	must(t, l.Wait(ctx, l.LastLSN()))
	must(t, l.PrepareRotate(ctx))
	gen, last, err := l.Rotate()
	must(t, err)
	// A mark may follow its first frame at once: the clock is fast.
	if last < all[len(all)-1].lsn || last >= l.LastLSN() {
		t.Fatalf("last LSN %d, of the log %d, of a frame before %d", last, l.LastLSN(), all[len(all)-1].lsn)
	}
	must(t, l.Release(gen-1, 5))

	// Space comes back.
	mem.SetCapacity(20 * minSegmentBytes)
	for {
		err := l.Reserve(ctx, 1000)
		if err == nil {
			l.Unreserve(1000)
			break
		}
		if !errors.Is(err, log.ErrNoSpace) && !errors.Is(err, log.ErrBusy) {
			t.Fatal(err)
		}
	}
	all = append(all, fill(t, l)...)
	must(t, l.Close())
	r := scan(t, mem)
	wantEntries(t, replayAll(t, r), all)
	if rep := r.Report(); rep.Damages != 0 || rep.Edit != 5 {
		t.Fatalf("report %+v", rep)
	}
}

// prepareRotate is for a clock that is faster than the disk.
func prepareRotate(t testing.TB, l *Log) {
	t.Helper()
	for {
		if err := l.PrepareRotate(context.Background()); !errors.Is(err, log.ErrBusy) && !errors.Is(err, log.ErrNoSpace) {
			must(t, err)
			return
		}
	}
}

func TestReleasedSegmentsAreUsedAgainWhenTheDiskIsFull(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	mem.SetCapacity(5 * minSegmentBytes)
	o := small()
	o.Clock = fastClock(t)
	fault := vfs.NewFault(mem)
	fault.Count(vfs.Ops(vfs.OpRename))
	var reused atomic.Int32
	fault.SetHook(func(o vfs.Op) error {
		if strings.HasSuffix(o.Name, freeSuffix) && strings.HasSuffix(o.To, segmentSuffix) {
			reused.Add(1)
		}
		return nil
	})
	l := openLog(t, fault, o)
	for range 5 {
		all := fill(t, l)
		must(t, l.Wait(ctx, l.LastLSN()))
		prepareRotate(t, l)
		gen, _, err := l.Rotate()
		must(t, err)
		wantEntries(t, slices.DeleteFunc(replayAll(t, scan(t, mem.Clone())), func(e entry) bool { return e.gen < gen-1 }), all)
		must(t, l.Release(gen, gen))
		prepareRotate(t, l)
	}
	if reused.Load() == 0 {
		t.Fatal("no segment was used again")
	}
}

func TestALogOpensOnAFullDiskAndResumes(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	mem.SetCapacity(minSegmentBytes / 2)
	o := small()
	o.Clock = fastClock(t)
	l := openLog(t, mem, o)
	if err := l.Reserve(ctx, 100); !errors.Is(err, log.ErrNoSpace) {
		t.Fatalf("reserve: %v", err)
	}
	if err := l.PrepareRotate(ctx); !errors.Is(err, log.ErrNoSpace) {
		t.Fatalf("prepare rotate: %v", err)
	}
	if err := l.Release(1, 1); !errors.Is(err, log.ErrNoSpace) {
		t.Fatalf("release: %v", err)
	}
	must(t, l.Wait(ctx, l.LastLSN())) // no client data is pending
	mem.SetCapacity(-1)
	for {
		err := l.Reserve(ctx, log.FrameBytes(1))
		if err == nil {
			break
		}
		if !errors.Is(err, log.ErrNoSpace) && !errors.Is(err, log.ErrBusy) {
			t.Fatal(err)
		}
	}
	lsn := l.Append(0, 0, log.FrameSamples, []byte("x"))
	must(t, l.Wait(ctx, lsn))
	must(t, l.Close())
	wantEntries(t, replayAll(t, scan(t, mem)), []entry{{lsn, 1, 0, "x"}})
}

func TestAWriterWaitsASecondForTheBuffer(t *testing.T) {
	ctx := context.Background()
	clock := vfs.NewManualClock(time.UnixMilli(0))
	o := small()
	o.Clock = clock
	l := openLog(t, vfs.NewMem(), o)
	must(t, l.PrepareRotate(ctx))
	if err := l.Reserve(ctx, l.MaxReserve()+1); !errors.Is(err, log.ErrTooLarge) {
		t.Fatalf("reserve: %v", err)
	}
	must(t, l.Reserve(ctx, l.MaxReserve()))
	result := make(chan error, 1)
	wait := func(ctx context.Context) { result <- l.Reserve(ctx, 1000) }
	untilWaiting := func() { // the timers of the log itself come and go
		for waiting := false; !waiting; runtime.Gosched() {
			l.mu.Lock()
			waiting = l.mu.space != nil
			l.mu.Unlock()
		}
	}
	go wait(ctx)
	untilWaiting() // its timer has begun
	clock.Advance(reserveWait)
	if err := <-result; !errors.Is(err, log.ErrBusy) {
		t.Fatalf("after a second: %v", err)
	}
	go wait(ctx)
	untilWaiting()
	l.Unreserve(l.MaxReserve())
	must(t, <-result)
	l.Unreserve(1000)

	must(t, l.Reserve(ctx, l.MaxReserve()))
	canceled, cancel := context.WithCancel(ctx)
	go wait(canceled)
	untilWaiting()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("canceled: %v", err)
	}
	l.Unreserve(l.MaxReserve())
}

func TestOneDeleteReservesAtATime(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	l := openLog(t, vfs.NewMem(), small())
	done, err := l.ReserveDelete(ctx, 1000)
	must(t, err)
	cancel()
	if _, err := l.ReserveDelete(ctx, 1000); !errors.Is(err, context.Canceled) {
		t.Fatalf("second delete: %v", err)
	}
	done()
	done, err = l.ReserveDelete(context.Background(), 1000)
	must(t, err)
	done()
	func() {
		defer func() {
			if p := recover(); !strings.HasPrefix(fmt.Sprint(p), "BUG") {
				t.Fatalf("panic: %v", p)
			}
		}()
		l.Append(0, 0, log.FrameTombstone, []byte("x"))
		t.Fatal("appended a tombstone that was not reserved")
	}()
}
