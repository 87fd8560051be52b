package manifest

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// Tombstone is a recorded deletion that data older than it still needs: it
// covers every block and frozen head whose newest generation lies before Gen.
// Data that spans Gen was written with the deletion applied. It is never
// changed and safe for concurrent use.
type Tombstone struct {
	ID       uint64 // unique in the database
	Tenant   uint32
	Matchers []*labels.Matcher // a series is deleted if all match
	Range    model.TimeRange   // samples inside are deleted
	Gen      uint64            // the active generation when it was made
}

// Covers reports whether the deletion may concern a block: the block is older
// and has samples in the range. Which series it concerns is in its index.
func (t *Tombstone) Covers(b block.Info) bool {
	return b.MaxGen < t.Gen && t.Range.Overlaps(b.TimeRange())
}

// SpentTombstones returns the rising IDs of the tombstones that are no longer
// needed: all generations before theirs have left the WAL, and no listed block,
// quarantined ones included, is covered. concerns, if not nil, reports whether a
// covered block may hold a series that the tombstone matches.
func SpentTombstones(s *State, concerns func(t *Tombstone, block string) bool) []uint64 {
	var spent []uint64
	blocks := s.Sorted()
	for i := range s.Tombstones {
		t := &s.Tombstones[i]
		if t.Gen >= s.WALLow {
			continue
		}
		needed := slices.ContainsFunc(blocks, func(b Listed) bool {
			return t.Covers(b.Info) && (concerns == nil || concerns(t, b.Name))
		})
		if !needed {
			spent = append(spent, t.ID)
		}
	}
	return spent
}
