package compaction_test

import (
	"testing"

	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/internal/storetest"
	"tsdb/partition/manifest"
)

// The footer of a merged block repeats what a repair without a MANIFEST needs.
func TestMergedBlocksRepeatTheState(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	floor := partitiontest.TestDay
	tomb := partitiontest.Tombstone(1, s.NextGen()) // of a tenant without series
	partitiontest.Must(t, s.Publish(manifest.Edit{
		Floor: &floor, TierFloors: map[block.Tier]int64{block.Hour: floor}, AddTombstones: []manifest.Tombstone{tomb},
		RuleLists: []manifest.RuleList{partitiontest.RuleList(4, floor)}}))
	edit := s.M.State().Number
	finalL2(t, s, 0, 1)
	v := s.Set.Acquire()
	defer v.Release()
	for _, e := range v.Entries() {
		r := e.Block().Repeated()
		ts, err := manifest.RepeatedTombstones(r)
		partitiontest.Must(t, err)
		if r.Seed != partitiontest.IDSeed || r.Floors[block.Raw] != floor || r.Floors[block.Hour] != floor || len(ts) != 1 || ts[0].ID != 1 {
			t.Errorf("%s repeats %+v", e.Name, r)
		}
		ls, err := manifest.RepeatedRules(r)
		partitiontest.Must(t, err)
		if r.Edit < edit || len(ls) != 1 || ls[0].ID != 4 || ls[0].Highest(block.Raw) != floor {
			t.Errorf("%s repeats of edit %d the rules %+v", e.Name, r.Edit, ls)
		}
	}
}
