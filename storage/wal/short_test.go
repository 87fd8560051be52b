package wal

import (
	"context"
	"errors"
	"path"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// While space is short no new file is made, though there is room for one; a
// rotation has its segment nevertheless, and the released one is the next spare.
func TestShortSpaceIsLeftToOthers(t *testing.T) {
	ctx := context.Background()
	fault := vfs.NewFault(vfs.NewMem())
	var created atomic.Int32
	fault.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpCreate && strings.HasSuffix(op.Name, segmentSuffix) {
			created.Add(1)
		}
		return nil
	})
	o := small()
	o.Clock = fastClock(t)
	l := openLog(t, fault, o)
	prepareRotate(t, l)
	l.SetShort(true)
	before := created.Load()
	fill(t, l)
	must(t, l.Wait(ctx, l.LastLSN()))
	if err := l.Reserve(ctx, 1000); !errors.Is(err, log.ErrNoSpace) {
		t.Fatalf("reserve: %v", err)
	}
	frees := l.CutFrees()
	must(t, l.PrepareRotate(ctx))
	gen, _, err := l.Rotate()
	must(t, err)
	if !l.GenerationEmpty() {
		t.Error("a generation without a frame of a client is not empty")
	}
	prepared := l.PrepareRotate(ctx) // waits for the flusher to be in the new segment
	if !errors.Is(prepared, log.ErrNoSpace) && !errors.Is(prepared, log.ErrBusy) {
		t.Fatalf("a second rotation has a segment: %v", prepared)
	}
	must(t, l.Release(gen, 1))
	prepareRotate(t, l) // the released segment
	// One segment may have been under way when space became short.
	if n := created.Load() - before; n > 1 || frees%minSegmentBytes != 0 {
		t.Errorf("%d segments created, %d bytes freed", n, frees)
	}
	if n := l.PooledBytes(); n != 0 {
		t.Errorf("%d bytes are kept for later", n)
	}
	l.SetShort(false)
	for {
		if err := l.Reserve(ctx, 1000); err == nil {
			break
		} else if !errors.Is(err, log.ErrNoSpace) && !errors.Is(err, log.ErrBusy) {
			t.Fatal(err)
		}
	}
	l.Append(0, 0, log.FrameSamples, make([]byte, 10))
	if l.GenerationEmpty() {
		t.Error("a generation with a frame of a client is empty")
	}
}

// A released file that cannot be removed keeps none of the others, and goes when
// it can.
func TestDropPool(t *testing.T) {
	ctx := context.Background()
	fault := vfs.NewFault(vfs.NewMem())
	o := small()
	o.Clock = fastClock(t)
	l := openLog(t, fault, o)
	for range 8 {
		appendBytes(t, l, minSegmentBytes)
	}
	must(t, l.Wait(ctx, l.LastLSN()))
	prepareRotate(t, l)
	gen, _, err := l.Rotate()
	must(t, err)
	prepareRotate(t, l)
	// A segment that holds a frame wants two spares; a file that became the second
	// after the release would be missing from the pool.
	for settled := false; !settled; runtime.Gosched() {
		l.mu.Lock()
		settled = l.mu.budget.wanted() == 2 && l.missingLocked() == 0
		l.mu.Unlock()
	}
	must(t, l.Release(gen, 1))
	if n := l.PooledBytes(); n != poolMax*minSegmentBytes {
		t.Fatalf("%d bytes are kept for later", n)
	}
	stubborn := ""
	fault.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpRemove && (stubborn == "" || stubborn == op.Name) {
			stubborn = op.Name
			return syscall.EPERM
		}
		return nil
	})
	if err := l.DropPool(); !errors.Is(err, syscall.EPERM) || l.PooledBytes() != minSegmentBytes {
		t.Errorf("%d bytes left, %v", l.PooledBytes(), err)
	}
	if info, err := fault.Stat(path.Join(testDir, path.Base(stubborn))); err != nil || info.Size != minSegmentBytes {
		t.Errorf("%+v, %v", info, err)
	}
	fault.SetHook(nil)
	must(t, l.DropPool())
	if n := l.PooledBytes(); n != 0 {
		t.Errorf("%d bytes left", n)
	}
}

// appendBytes appends frames of about n bytes.
func appendBytes(t *testing.T, l *Log, n int) {
	t.Helper()
	const size = 1000
	for ; n > 0; n -= size {
		for {
			err := l.Reserve(context.Background(), log.FrameBytes(size))
			if err == nil {
				break
			}
			if !errors.Is(err, log.ErrBusy) {
				t.Fatal(err)
			}
		}
		l.Append(0, 0, log.FrameSamples, make([]byte, size))
	}
}
