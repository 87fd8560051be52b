package storage

import (
	"testing"

	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// A deletion made after a restart is newer than those that rollups have applied,
// also if all of these have been carried out and are no longer recorded.
func TestNewDeletionsAreNewerThanRollups(t *testing.T) {
	st := manifest.NewState(1, 0)
	key := manifest.CoverKey{Tier: block.Hour, Day: block.Hour.PartitionStart(1)}
	st.Coverage = map[manifest.CoverKey]manifest.Coverage{key: {CoverKey: key, Block: "b", Tombstone: 7}}
	if last := newReplayer(st, 1).tombstones.last; last < 7 {
		t.Errorf("the next deletion gets ID %d, a rollup has applied 7", last+1)
	}
}
