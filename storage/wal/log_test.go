package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

func TestFramesComeBackInOrder(t *testing.T) {
	for _, mode := range []Mode{Always, Interval(time.Second), Off} {
		t.Run(mode.String(), func(t *testing.T) {
			fs := vfs.NewMem()
			o := small()
			o.Sync = mode
			l := openLog(t, fs, o)
			var want []entry
			for i := range 300 {
				p := fmt.Sprintf("%d-%s", i, strings.Repeat("x", i))
				lsn := put(t, l, i%16, p)
				want = append(want, entry{lsn, l.Generation(), i % 16, p})
				if i%10 == 0 {
					must(t, l.Wait(context.Background(), lsn))
				}
				if i == 100 || i == 200 {
					must(t, l.PrepareRotate(context.Background()))
					gen, last, err := l.Rotate()
					must(t, err)
					if gen != l.Generation() || last != lsn {
						t.Fatalf("rotated to %d at %d, want %d at %d", gen, last, l.Generation(), lsn)
					}
				}
			}
			total, active := l.Bytes()
			if active <= 0 || total <= active {
				t.Fatalf("bytes %d, of the running generation %d", total, active)
			}
			must(t, l.Close())
			must(t, l.Close())
			if fs.OpenFiles() != 0 {
				t.Fatalf("%d files open", fs.OpenFiles())
			}
			for _, fs := range []*vfs.Mem{fs, fs.CrashClone(vfs.CrashOptions{})} {
				r := scan(t, fs)
				rep := r.Report()
				if rep.Damages != 0 || rep.Torn.File != "" {
					t.Fatalf("report %+v", rep)
				}
				wantEntries(t, replayAll(t, r), want)
				if got := fmt.Sprint(r.Generations()); got != "[1 2 3]" {
					t.Fatalf("generations %s", got)
				}
				if rep.Synced < want[len(want)-1].lsn {
					t.Fatalf("synced LSN %d, last frame %d", rep.Synced, want[len(want)-1].lsn)
				}
			}
		})
	}
}

func TestNumbersAreNeverUsedAgain(t *testing.T) {
	fs := vfs.NewMem()
	var last log.Pos
	for i := range 5 {
		l := openLog(t, fs, small())
		lsn := put(t, l, 0, "x")
		must(t, l.Wait(context.Background(), lsn))
		if l.Generation() <= last.Generation || lsn <= last.LSN {
			t.Fatalf("run %d: generation %d, LSN %d after %+v", i, l.Generation(), lsn, last)
		}
		must(t, l.Close())
		high := scan(t, fs).Highest()
		if high.Generation != l.Generation() || high.LSN < lsn || high.Segment <= last.Segment {
			t.Fatalf("run %d: highest %+v after %+v", i, high, last)
		}
		last = high
	}
	l, err := Open(fs, testDir, small(), log.Pos{Generation: 100, LSN: 1000, Segment: 10000}, scan(t, fs))
	must(t, err)
	if lsn := put(t, l, 0, "x"); l.Generation() != 101 || lsn <= 1000 {
		t.Fatalf("generation %d, LSN %d", l.Generation(), lsn)
	}
	must(t, l.Close())
	r := scan(t, fs)
	if rep := r.Report(); rep.Damages != 0 {
		t.Fatalf("jumping numbers count as damage: %+v", rep)
	}
	if len(replayAll(t, r)) != 6 || r.Highest().Segment <= 10000 {
		t.Fatalf("highest %+v", r.Highest())
	}
}

func TestOneSyncServesAllThatWait(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	l := openLog(t, fault, Options{SegmentBytes: 1 << 20, PendingBytes: 1 << 16, Clock: small().Clock})
	prepared(l)
	fault.Count(vfs.Ops(vfs.OpWrite, vfs.OpSync))
	hold, syncing := make(chan struct{}), make(chan struct{}, 100)
	fault.SetHook(func(o vfs.Op) error {
		if o.Kind == vfs.OpSync {
			syncing <- struct{}{}
			<-hold
		}
		return nil
	})
	first := put(t, l, 0, "first")
	done := make(chan error, 1)
	go func() { done <- l.Wait(context.Background(), first) }()
	<-syncing
	var wg sync.WaitGroup
	before := fault.N()
	for i := range 50 {
		lsn := put(t, l, i%16, "later")
		wg.Go(func() {
			if err := l.Wait(context.Background(), lsn); err != nil {
				t.Error(err)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Wait(ctx, l.LastLSN()); !errors.Is(err, context.Canceled) {
		t.Fatalf("wait with a context that has ended: %v", err)
	}
	close(hold)
	must(t, <-done)
	wg.Wait()
	if n := fault.N() - before; n != 2 {
		t.Fatalf("%d operations for 50 frames, want a write and a sync", n)
	}
	if l.durable.Load() != l.LastLSN() {
		t.Fatalf("durable %d, last %d", l.durable.Load(), l.LastLSN())
	}
	fault.SetHook(nil)
}

// A goroutine that waits flushes itself while nobody else does. flushLoop may be about to
// start a timer at that moment, so this is asked of a few commits.
func TestAWaiterFlushesItself(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	l := openLog(t, fault, Options{SegmentBytes: 1 << 20, PendingBytes: 1 << 16, Clock: small().Clock})
	prepared(l)
	var own atomic.Int64
	fault.SetHook(func(o vfs.Op) error {
		if stack := make([]byte, 16<<10); o.Kind == vfs.OpSync && bytes.Contains(stack[:runtime.Stack(stack, false)], []byte("(*Log).Wait")) {
			own.Add(1)
		}
		return nil
	})
	for range 1000 {
		must(t, l.Wait(context.Background(), put(t, l, 0, "frame")))
		if own.Load() > 0 {
			break
		}
	}
	if own.Load() == 0 {
		t.Error("1,000 commits, and another goroutine flushed each")
	}
	fault.SetHook(nil)
}
