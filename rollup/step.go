package rollup

import (
	"fmt"

	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// Action is what a Step does.
type Action uint8

// The actions.
const (
	Roll    Action = iota + 1 // read the samples of a day and write its buckets
	Fold                      // write the rows of several days into one block
	Erase                     // write a block again without the rows that deletions cover
	Confirm                   // change entries only, no block is written
)

func (a Action) String() string {
	switch a {
	case Roll:
		return "roll"
	case Fold:
		return "fold"
	case Erase:
		return "erase"
	case Confirm:
		return "confirm"
	}
	return fmt.Sprintf("Action(%d)", uint8(a))
}

// Step is the next thing to do. It is immutable.
type Step struct {
	Action Action
	Tiers  []block.Tier // of Roll, finest first; the others have one
	// Days are the starts of the partitions, rising: one of Roll, those whose rows
	// are written of Fold and Erase.
	Days  []int64
	Bytes int64 // of the blocks to be read
	// Off means that the tier of Erase is off: deletions apply to rows of days with
	// samples, too, which are not rolled up again.
	Off    bool
	Reason string // for the log

	// Cover and Uncover are those of the edit of Confirm.
	Cover   []manifest.Coverage
	Uncover []manifest.CoverKey
}

// Needs returns the free space without which the step is not planned.
func (s *Step) Needs() uint64 {
	if s.Action == Roll {
		return uint64(s.Bytes) / 10 * rollTenths
	}
	return uint64(s.Bytes) / 10 * foldTenths
}
