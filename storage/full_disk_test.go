package storage

import (
	"cmp"
	"fmt"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// smallDisk is a database whose log may fill the whole disk, and its disk.
type smallDisk struct {
	t     *testing.T
	mem   *vfs.Mem
	fault *vfs.Fault
	clock *vfs.ManualClock
	opts  Options
	db    *DB
	want  int // samples acknowledged
}

const smallDiskSegment = 256 << 10

func newSmallDisk(t *testing.T) *smallDisk {
	d := &smallDisk{t: t, mem: vfs.NewMem(), clock: vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))}
	d.fault = vfs.NewFault(d.mem)
	d.mem.SetCapacity(6 << 20)
	d.opts = Options{Clock: d.clock, Seed: 1, CacheBytes: -1, WALSegmentBytes: smallDiskSegment, WALPendingBytes: smallDiskSegment / 2,
		MinFreeBytes: 2 * smallDiskSegment, ReserveBytes: 16 << 10, CutWALBytes: 1 << 40, CutHeadBytes: 1 << 40, CutAge: 1 << 40}
	d.open()
	return d
}

func (d *smallDisk) open() {
	d.t.Helper()
	db, err := openChecked(d.t, d.t.Context(), d.fault, "data", d.opts)
	must(d.t, err)
	d.db = db
	d.t.Cleanup(func() { closeUncut(db) })
}

// write writes until writes are refused. Each sample of its own commit takes much
// more in the log than in memory.
func (d *smallDisk) write() {
	d.t.Helper()
	for i := 0; ; i++ {
		if i > 1<<20 {
			d.t.Fatal("the disk does not get full")
		}
		d.clock.Advance(time.Millisecond)
		must(d.t, d.db.space.measure(d.t.Context()))
		if d.db.acceptsWrites(d.t.Context()) != nil {
			return
		}
		b := d.db.NewBatch("test", model.DefaultTenant)
		for s := range 50 {
			ref, err := b.Resolve(model.Hash{Hi: uint64(s) + 1}, labels.FromStrings("__name__", "m", "s", fmt.Sprint(s)))
			must(d.t, err)
			b.Float(ref, d.db.now(), 0, 1)
		}
		if _, err := b.Commit(d.t.Context()); err != nil {
			return // the log has no segment for it
		}
		d.want += 50
	}
}

// fill fills the disk until left bytes are free.
func (d *smallDisk) fill(left int64) {
	d.t.Helper()
	free, err := d.mem.FreeBytes("")
	must(d.t, err)
	f, err := d.mem.Create("filler")
	must(d.t, err)
	must(d.t, f.Truncate(int64(free)-left))
	must(d.t, f.Close())
}

func (d *smallDisk) check(blocks int) {
	d.t.Helper()
	must(d.t, d.db.wal.Err())
	if n := countSamples(d.t, d.db); n != d.want {
		d.t.Errorf("%d samples, want %d", n, d.want)
	}
	if n := len(d.db.manifest.State().Blocks); n != blocks {
		d.t.Errorf("%d blocks, want %d", n, blocks)
	}
}

// Our own log fills the disk, writes are refused, the head is cut for it, and
// writes are taken again; again and again.
func TestDiskFilledByTheLogIsRelieved(t *testing.T) {
	d := newSmallDisk(t)
	for round := 1; round <= unlessShort(3, 1); round++ {
		d.write()
		_, walBytes := d.db.wal.Bytes()
		if walBytes < 2<<20 {
			t.Fatalf("writes are refused with %d bytes in the log", walBytes)
		}
		d.db.watchOnce(t.Context())
		must(t, d.db.acceptsWrites(t.Context()))
		d.check(round)
	}
	if n := d.db.wal.CutFrees(); n != 0 {
		t.Errorf("%d bytes of segments stay", n)
	}
}

// Segments that wait to be used again go when space is short, but for those that
// are to be spares, and none waits as long as it is.
func TestPooledSegmentsGoWhenSpaceIsShort(t *testing.T) {
	d := newSmallDisk(t)
	d.write()
	must(t, d.db.flusher.cut(t.Context()))
	if d.pooled() > 2 {
		t.Fatal("more released files are kept than spares are wanted of")
	}
	d.db.wal.SetShort(false)
	d.mem.SetCapacity(-1)
	must(t, d.db.space.measure(t.Context()))
	for range 2 {
		d.writeLog(4 * smallDiskSegment)
		_, err := d.db.Flush(t.Context())
		must(t, err)
	}
	if d.db.wal.PooledBytes() == 0 {
		t.Fatal("no released segment is kept with space enough")
	}
	d.mem.SetCapacity(6 << 20)
	d.fill(smallDiskSegment)
	d.db.watchOnce(t.Context())
	if n := d.db.wal.PooledBytes(); n != 0 {
		t.Errorf("%d bytes of released segments are kept on a full disk", n)
	}
	d.check(3)
}

// writeLog writes until n bytes more are in the log.
func (d *smallDisk) writeLog(n int64) {
	d.t.Helper()
	begin, _ := d.db.wal.Bytes()
	for {
		if now, _ := d.db.wal.Bytes(); now > begin+n {
			return
		}
		d.clock.Advance(time.Millisecond)
		writeOne(d.t, d.db, 50)
		d.want += 50
	}
}

func (d *smallDisk) pooled() int {
	names, err := d.mem.List(path.Join("data", format.WALDir))
	must(d.t, err)
	n := 0
	for _, name := range names {
		if strings.HasSuffix(name, ".free") {
			n++
		}
	}
	return n
}

// A cut that finds no room for its block leaves the log as it is, and works once
// there is room.
func TestCutWithoutRoomForItsBlock(t *testing.T) {
	d := newSmallDisk(t)
	d.write()
	d.fill(100)
	for range 5 {
		d.db.watchOnce(t.Context())
		d.clock.Advance(5 * time.Second)
		d.check(0)
	}
	must(t, d.mem.Remove("filler"))
	d.db.watchOnce(t.Context())
	must(t, d.db.acceptsWrites(t.Context()))
	d.check(1)
}

// After a kill the log of a full disk may have one segment and no room for
// another, which a rotation needs: the head is cut nevertheless.
func TestRestartOnADiskFilledByTheLog(t *testing.T) {
	for _, left := range []int64{smallDiskSegment / 2, 64 << 10}[unlessShort(0, 1):] {
		d := newSmallDisk(t)
		d.write()
		closeUncut(d.db)
		d.fill(left)
		d.opts.MinFreeBytes = 1 << 20 // more than the start frees by itself
		var segments atomic.Int32
		d.fault.SetHook(func(op vfs.Op) error {
			// Names of segments of the log: the first is found, there is no other.
			if to := cmp.Or(op.To, op.Name); strings.HasSuffix(to, ".wal") &&
				(op.Kind == vfs.OpCreate || op.Kind == vfs.OpRename && segments.Add(1) > 1) {
				return syscall.ENOSPC
			}
			return nil
		})
		d.open()
		if segments.Load() == 0 {
			t.Fatal("no segment was used again")
		}
		if d.db.acceptsWrites(t.Context()) == nil {
			t.Fatal("writes are taken on a full disk")
		}
		d.check(0)
		d.db.watchOnce(t.Context())
		d.check(1)
		d.fault.SetHook(nil)
		must(t, d.db.acceptsWrites(t.Context()))
		d.clock.Advance(time.Second)
		writeOne(t, d.db, 3)
		d.want += 3
		closeUncut(d.db)
		d.open()
		d.check(1)
		if n := len(d.db.report.Leftovers); n != 0 {
			t.Errorf("%d leftovers", n)
		}
	}
}
