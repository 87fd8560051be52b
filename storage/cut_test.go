package storage

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// A cut whose block or edit fails for want of space works again once there is
// some, without a restart: at every operation of the cut.
func TestCutsThatFailForSpaceAreRepeated(t *testing.T) {
	for k := 1; ; k++ {
		fault := vfs.NewFault(vfs.NewMem())
		db, err := openChecked(t, t.Context(), fault, "data", Options{Seed: 1, WALSegmentBytes: 64 << 10, ReserveBytes: 4096, CacheBytes: -1,
			Clock: vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))})
		if err != nil {
			t.Fatal(err)
		}
		b := db.NewBatch("test", model.DefaultTenant)
		ref, err := b.Resolve(model.Hash{}, labels.FromStrings("__name__", "m"))
		if err != nil {
			t.Fatal(err)
		}
		b.Float(ref, db.now(), 0, 1)
		if _, err := b.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		fault.Count(vfs.Ops(vfs.OpCreate, vfs.OpWrite))
		failed := false
		from := fault.N()
		fault.SetHook(func(op vfs.Op) error {
			if n := op.N - from; n >= k && n < k+3 && !strings.Contains(op.Name, "/wal/") {
				return syscall.ENOSPC // thrice, so that giving the reserve up does not help
			}
			return nil
		})
		if _, err := db.Flush(t.Context()); err != nil {
			failed = true
		}
		ops := fault.N() - from
		fault.SetHook(nil)
		if db.wal.Err() == nil {
			for range 3 {
				if _, err = db.Flush(t.Context()); err == nil {
					break
				}
			}
			if err != nil {
				t.Fatalf("operation %d: %v", k, err)
			}
			if n := len(db.manifest.State().Blocks); n != 1 {
				t.Fatalf("operation %d: %d blocks after the cut", k, n)
			}
		}
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		_ = db.Close(stopped)
		if !failed && ops < k {
			return
		}
		if k > 200 {
			t.Fatal("the cut never succeeds at once")
		}
	}
}
