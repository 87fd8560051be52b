package rollup

import (
	"context"

	"tsdb/internal/model"
	"tsdb/partition/blockset"
	"tsdb/partition/manifest"
)

// InDay returns a function for PlanOptions.InDay. It reports true where a block cannot be
// read.
func InDay(ctx context.Context, v *blockset.Version) func(t *manifest.Tombstone, block string, day model.TimeRange) bool {
	return func(t *manifest.Tombstone, block string, day model.TimeRange) bool {
		e := v.Find(block)
		if e == nil || e.Block() == nil {
			return true
		}
		one := *t
		one.Gen = e.MaxGen + 1 // the entry of a day tells what is applied, not the block
		deletions, err := e.Deletions(ctx, []manifest.Tombstone{one})
		if err != nil {
			return true
		}
		in, err := deletions.Concern(e.Block(), day)
		return err != nil || in
	}
}
