package wal

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tsdb/internal/vfs"
)

func TestModesReadWhatTheyWrite(t *testing.T) {
	for _, m := range []Mode{Always, Off, Interval(time.Second), Interval(1500 * time.Millisecond)} {
		if got, err := ParseMode(m.String()); err != nil || got != m {
			t.Errorf("%v: got %v, %v", m, got, err)
		}
	}
	for _, s := range []string{"never", "interval", "interval=", "interval=0s", "interval=-1s", "Always"} {
		if m, err := ParseMode(s); err == nil {
			t.Errorf("%q is taken for %v", s, m)
		}
	}
}

func TestOptionsReportAllMistakes(t *testing.T) {
	err := Options{SegmentBytes: 1000, PendingBytes: -1, Sync: Mode{kind: modeInterval}}.Validate()
	for _, want := range []string{"segment size", "pending bytes", "sync interval"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in %v", want, err)
		}
	}
	if err := (Options{}).Validate(); err != nil {
		t.Error(err)
	}
}

// countSyncs returns how many syncs of segments a log has done since.
func countSyncs(fault *vfs.Fault) *atomic.Int64 {
	var n atomic.Int64
	fault.SetHook(func(o vfs.Op) error {
		if o.Kind == vfs.OpSync {
			n.Add(1)
		}
		return nil
	})
	return &n
}

func TestIntervalSyncsLaterAndOffNever(t *testing.T) {
	ctx := context.Background()
	for _, mode := range []Mode{Interval(5 * time.Second), Off} {
		t.Run(mode.String(), func(t *testing.T) {
			mem := vfs.NewMem()
			fault := vfs.NewFault(mem)
			clock := vfs.NewManualClock(time.UnixMilli(0))
			l := openLog(t, fault, Options{SegmentBytes: 1 << 20, PendingBytes: 1 << 16, Sync: mode, Clock: clock})
			must(t, l.PrepareRotate(ctx))
			syncs := countSyncs(fault)
			lsn := put(t, l, 1, "x")
			must(t, l.Wait(ctx, lsn))
			killed, cut := mem.Clone(), mem.CrashClone(vfs.CrashOptions{})
			if n := len(replayAll(t, scan(t, killed))); n != 1 {
				t.Fatalf("%d frames after the end of the process", n)
			}
			if n := len(replayAll(t, scan(t, cut))); n != 0 || syncs.Load() != 0 || l.durable.Load() >= lsn {
				t.Fatalf("%d frames after a power cut, %d syncs", n, syncs.Load())
			}
			if mode == Off {
				clock.Advance(time.Hour)
			} else {
				clock.BlockUntil(1)
				clock.Advance(5 * time.Second)
				for l.durable.Load() < lsn {
					must(t, l.Wait(ctx, put(t, l, 1, "y")))
				}
				if n := len(replayAll(t, scan(t, mem.CrashClone(vfs.CrashOptions{})))); n == 0 {
					t.Fatal("nothing there after the interval")
				}
			}
			must(t, l.Release(1, 9))
			if l.durable.Load() != l.LastLSN() {
				t.Fatalf("a release did not sync: durable %d, last %d", l.durable.Load(), l.LastLSN())
			}
			must(t, l.Close())
		})
	}
}

func TestAnIdleLogNamesItsLastLSNOnce(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	clock := vfs.NewManualClock(time.UnixMilli(0))
	l := openLog(t, mem, Options{SegmentBytes: 1 << 20, PendingBytes: 1 << 16, Clock: clock})
	must(t, l.PrepareRotate(ctx))
	lsn := put(t, l, 1, "x")
	must(t, l.Wait(ctx, lsn))
	if got := scan(t, mem.Clone()).Report().Synced; got >= lsn {
		t.Fatalf("synced LSN %d is named before the pause", got)
	}
	for l.durable.Load() == lsn {
		if clock.Timers() > 0 {
			clock.Advance(idleMarkAfter)
		}
		runtime.Gosched()
	}
	rep := scan(t, mem.CrashClone(vfs.CrashOptions{})).Report()
	if rep.Synced != lsn || rep.LastLSN != lsn+1 {
		t.Fatalf("report %+v", rep)
	}
	clock.Advance(time.Hour)
	must(t, l.Close())
	if rep := scan(t, mem).Report(); rep.LastLSN != lsn+1 {
		t.Fatalf("marks of nothing: %+v", rep)
	}
}

func TestARotationDoesNoFileOperation(t *testing.T) {
	ctx := context.Background()
	fault := vfs.NewFault(vfs.NewMem())
	l := openLog(t, fault, small())
	last := put(t, l, 1, "x")
	must(t, l.PrepareRotate(ctx))
	hold := make(chan struct{})
	fault.SetHook(func(vfs.Op) error { <-hold; return nil })
	gen, lsn, err := l.Rotate()
	if err != nil || gen != 2 || lsn != last || l.Generation() != 2 {
		t.Fatalf("generation %d, last LSN %d, %v", gen, lsn, err)
	}
	if _, _, err := l.Rotate(); err == nil {
		t.Fatal("rotated again without a segment")
	}
	close(hold)
	must(t, l.Wait(ctx, l.LastLSN()))
}

func TestASegmentLinkedElsewhereIsNotUsedAgain(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	l := openLog(t, mem, small())
	must(t, l.Wait(ctx, put(t, l, 1, "kept")))
	must(t, mem.MkdirAll("snapshot"))
	must(t, mem.Link(segmentName(testDir, 1), "snapshot/000000000001.wal"))
	prepareRotate(t, l)
	gen, _, err := l.Rotate()
	must(t, err)
	must(t, l.Release(gen, 1))
	prepareRotate(t, l)
	for i := range 100 {
		must(t, l.Wait(ctx, put(t, l, i%16, strings.Repeat("y", 1000))))
	}
	must(t, l.Close())
	r, err := Scan(mem, "snapshot", small())
	must(t, err)
	if got := replayAll(t, r); len(got) != 1 || got[0].payload != "kept" {
		t.Fatalf("the linked segment holds %v", got)
	}
}

func BenchmarkRotate(b *testing.B) {
	l := openLog(b, vfs.NewMem(), Options{SegmentBytes: 64 << 10, PendingBytes: 1000})
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		prepareRotate(b, l)
		b.StartTimer()
		if _, _, err := l.Rotate(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
}
