package rollup

import (
	"context"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/manifest"
)

// InDay returns a function for PlanOptions.InDay. It reports true where a block cannot be
// read.
func InDay(ctx context.Context, v *blockset.Version) func(t *manifest.Tombstone, block string, day model.TimeRange) bool {
	return func(t *manifest.Tombstone, name string, day model.TimeRange) bool {
		e := v.Find(name)
		if e == nil || e.Block() == nil {
			return true
		}
		series, err := e.Matches(ctx, t)
		if err != nil {
			return true
		}
		in, err := block.NewDeletions([]block.Deletion{{Series: series, Range: t.Range}}).Concern(e.Block(), day)
		return err != nil || in
	}
}
