package storage

import (
	"path"
	"strings"
	"testing"
	"time"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
)

// A bound of bytes removes the oldest samples, once they are rolled up, then rollups, and
// never the newest two days. What it cannot meet is said.
func TestBoundOfBytesRemovesWhatIsOldest(t *testing.T) {
	w := newTieredWorld(t)
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0}
	w.restart()
	for ago := 8; ago >= 0; ago-- {
		w.write(1, every(dayAt(ago)+7, 10_000, 4000))
	}
	w.flush()
	for range 100 { // merge, and roll nothing up
		more, err := w.db.compactor.mergeNext(w.ctx, compaction.PlanFinal)
		must(t, err)
		if !more {
			break
		}
	}
	w.db.catalog.sweep(w.ctx)
	size := func(tier block.Tier) (bytes int64, days int) {
		for _, b := range w.db.manifest.State().Blocks {
			if b.Tier == tier {
				bytes, days = bytes+b.Size, days+1
			}
		}
		return bytes, days
	}
	all, days := size(block.Raw)
	if days != 9 {
		t.Fatalf("%d blocks", days)
	}
	logBytes, _ := w.db.wal.Bytes()
	set := func(bytes int64) {
		t.Helper()
		must(t, w.db.SetRetention(w.ctx, Retention{TierMs: w.opts.TierRetentionMs, MaxBytes: bytes}))
	}
	set(all/2 + logBytes)
	if _, n := size(block.Raw); n != 9 {
		t.Fatalf("samples that are not rolled up have left: %d days are there", n)
	}
	if st := w.db.boundStatus(); st.Active != "size" || !st.Met || st.UsedBytes != all+logBytes {
		t.Errorf("%+v", st)
	}
	// The oldest days are rolled up first, and leave.
	for range 30 {
		more, err := w.db.roller.rollNext(w.ctx, false)
		must(t, err)
		if !more {
			break
		}
	}
	must(t, w.db.Retain(w.ctx))
	bytes, n := size(block.Raw)
	hours, hourBlocks := size(block.Hour)
	if bytes+hours > all/2 || n < 2 || n > 6 || hourBlocks == 0 {
		t.Errorf("%d bytes of samples in %d days, %d of hours in %d blocks, the bound is %d", bytes, n, hours, hourBlocks, all/2)
	}
	if w := w.db.Warnings(); len(w) != 0 {
		t.Errorf("%q", w)
	}
	v := w.view()
	if got, want := v.FloorFor(nil, block.Raw), v.RawFloor(); got != want || want <= dayAt(8) || want > dayAt(1) {
		t.Errorf("the floor is %s", model.FormatTime(want))
	}
	v.Release()
	// What the bound lets go is refused by its name.
	b := w.db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Lo: 1}, tieredLabels(1))
	must(t, err)
	b.Float(ref, dayAt(8)+7, 0, 1)
	r, err := b.Commit(w.ctx)
	must(t, err)
	if len(r.Rejected) != 1 || !strings.Contains(r.Rejected[0].Detail, "(--retention.size)") || w.db.OldestSetting() != "--retention.size" {
		t.Errorf("%+v", r.Rejected)
	}
	// Nothing is left but two days, and that is too much.
	set(1)
	if _, n := size(block.Raw); n != 2 {
		t.Errorf("%d days of samples are left", n)
	}
	if got := w.db.Warnings(); len(got) != 1 || !strings.Contains(got[0], "--retention.size allows 1 B,") {
		t.Errorf("%q", got)
	}
	if st := w.db.boundStatus(); st.Met || st.Active != "size" {
		t.Errorf("%+v", st)
	}
	set(0)
	if got := w.db.Warnings(); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// Files with another name, as in a snapshot, do not count as freeable: floors are not
// raised for them.
func TestBoundOfBytesLeavesPinnedFilesAlone(t *testing.T) {
	w := newTieredWorld(t)
	for ago := 4; ago >= 0; ago-- {
		w.write(1, every(dayAt(ago)+7, 10_000, 2000))
	}
	w.compact()
	must(t, w.mem.MkdirAll("pins"))
	for name := range w.db.manifest.State().Blocks {
		must(t, w.mem.Link(path.Join("data", name), path.Join("pins", path.Base(path.Dir(name)))))
	}
	must(t, w.db.SetRetention(w.ctx, Retention{MaxBytes: 1000}))
	if n := len(w.db.manifest.State().Blocks); n != 5 {
		t.Errorf("%d blocks are left of 5 that are pinned", n)
	}
	if len(w.db.Warnings()) != 1 {
		t.Error("no warning")
	}
	for name := range w.db.manifest.State().Blocks {
		must(t, w.mem.Remove(path.Join("pins", path.Base(path.Dir(name)))))
	}
	w.clock.Advance(time.Minute)
	must(t, w.db.Retain(w.ctx))
	if n := len(w.db.manifest.State().Blocks); n != 2 {
		t.Errorf("%d blocks are left", n)
	}
}
