package storage

import (
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/doctor"
)

// Without a MANIFEST, the footers of the blocks give the seed, the deletions and the
// days of rollups, also of those whose samples have left.
func TestRepairFindsRollupsByTheirFooters(t *testing.T) {
	w := newFileWorld(t)
	w.fill()
	w.fold(block.Hour, model.AllTime)
	st := w.db.manifest.State()
	var e manifest.Edit
	for _, b := range st.RawBlocks() {
		if b.Partition == dayAt(3) {
			e.Drop = append(e.Drop, b.Name)
		}
	}
	w.publish(st, e)
	read := func(tier block.Tier) tieredRead {
		v := w.view()
		defer v.Release()
		return w.read(v, tier, wholeDays(4))
	}
	tiers := []block.Tier{block.Minute, block.Hour}
	before := map[block.Tier]tieredRead{}
	for _, tier := range tiers {
		before[tier] = read(tier)
	}
	st = w.db.manifest.State()
	closeUncut(w.db)
	for _, name := range append(e.Drop, format.ManifestName, format.TwinName) {
		must(t, w.mem.Remove("data/"+name))
	}
	repair := func(assume bool) (*doctor.RepairReport, error) {
		return doctor.Repair(w.ctx, w.mem, "data", doctor.RepairOptions{Apply: true, Clock: w.clock, AssumeNoDeletes: assume})
	}
	if _, err := repair(false); err == nil || !strings.Contains(err.Error(), "deletions") {
		t.Fatalf("repair without leave to assume that nothing else was deleted: %v", err)
	}
	r, err := repair(true)
	must(t, err)
	w.open()
	got := w.db.manifest.State()
	if got.Seed != st.Seed || len(got.Tombstones) < len(st.Tombstones) {
		t.Errorf("seed %d, %d deletions, want %d, %d", got.Seed, len(got.Tombstones), st.Seed, len(st.Tombstones))
	}
	for key, c := range st.Coverage {
		if is, ok := got.Coverage[key]; !ok || is.Block != c.Block {
			t.Errorf("%v of %d is covered by %q, want %q", key.Tier, key.Day, is.Block, c.Block)
		}
	}
	for _, tier := range tiers {
		after := read(tier)
		rows := 0
		for i, want := range before[tier].rows {
			if after.rows[i] == nil {
				after.rows[i] = &model.Buckets{}
			}
			if diff := diffBuckets(after.rows[i], want); diff != "" {
				t.Errorf("%v of series %s: %s", tier, i, diff)
			}
			rows += want.Len()
		}
		if rows == 0 || len(after.warnings) > 0 {
			t.Errorf("%v: %d rows, warnings %v", tier, rows, after.warnings)
		}
	}
	if t.Failed() {
		t.Log(strings.Join(r.Lines, "\n"))
	}
}
