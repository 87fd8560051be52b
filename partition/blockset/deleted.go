package blockset

import "context"

// Deleted returns a function for compaction.PlanOptions. It reports about which share
// of the samples of a raw block, from 0 to 1, recorded tombstones cover, from the
// number of series and the length of the ranges.
func (v *Version) Deleted(ctx context.Context) func(block string) float64 {
	return func(name string) float64 {
		e := v.Find(name)
		if e == nil || e.block == nil || e.Series == 0 {
			return 0
		}
		share, span := 0.0, e.TimeRange()
		for i := range v.state.Tombstones {
			t := &v.state.Tombstones[i]
			if !t.Covers(e.Info) {
				continue
			}
			series, err := e.Matches(ctx, t)
			if err != nil {
				continue
			}
			in := span.Intersect(t.Range)
			share += float64(series.GetCardinality()) / float64(e.Series) * float64(in.Max-in.Min) / float64(span.Max-span.Min)
		}
		return min(share, 1)
	}
}
