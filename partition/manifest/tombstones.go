package manifest

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// Tombstone is a recorded deletion that is not yet applied to all older data. It
// covers every block and frozen head whose newest generation is below Gen. Data
// that spans Gen was written with the deletion applied. A Tombstone is immutable
// and safe for concurrent use.
type Tombstone struct {
	ID       uint64 // unique in the database
	Tenant   uint32
	Matchers []*labels.Matcher // a series is deleted if all match
	Range    model.TimeRange   // samples inside are deleted
	Gen      uint64            // the active generation when it was made
}

// Covers reports whether the deletion may apply to a block: the block is older
// and its time range overlaps. Only the index of the block reports whether a series
// matches.
func (t *Tombstone) Covers(b block.Info) bool {
	return b.MaxGen < t.Gen && t.Range.Overlaps(b.TimeRange())
}

// Pending reports whether the block of a coverage may hold rows of samples that the
// deletion removed since.
func (t *Tombstone) Pending(c *Coverage) bool {
	return c.Block != "" && c.Tombstone < t.ID && t.Range.Overlaps(c.Range())
}

// SpentTombstones returns the IDs of the tombstones that are no longer needed, in
// ascending order: the WAL keeps only generations above theirs, no listed raw
// block, quarantined ones included, is covered, and no rollup block of a day in
// their range lacks them. concerns, if not nil, reports whether such a block may
// hold a series that the tombstone matches; if it cannot, the block does not count.
func SpentTombstones(s *State, concerns func(t *Tombstone, block string) bool) []uint64 {
	var spent []uint64
	blocks, rollups := s.RawBlocks(), s.SortedCoverage()
	for i := range s.Tombstones {
		t := &s.Tombstones[i]
		if t.Gen >= s.WALLow {
			continue
		}
		needed := slices.ContainsFunc(blocks, func(b Listed) bool {
			return t.Covers(b.Info) && (concerns == nil || concerns(t, b.Name))
		})
		needed = needed || slices.ContainsFunc(rollups, func(c Coverage) bool {
			return t.Pending(&c) && (concerns == nil || concerns(t, c.Block))
		})
		if !needed {
			spent = append(spent, t.ID)
		}
	}
	return spent
}
