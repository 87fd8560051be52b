package rollup

import (
	"context"

	"tsdb/partition/block"
	"tsdb/rollup/bucket"
)

// samplesStandIn reports whether the samples of chunks stand in for their buckets, decided
// by their numbers in the directory before any bucket is made.
func samplesStandIn(t block.Tier, chunks []block.Chunk) bool {
	if t >= block.Hour {
		return false
	}
	samples, buckets := uint64(0), int64(0)
	for _, c := range chunks {
		samples += uint64(c.Count)
		buckets += min(int64(c.Count), (c.MaxTime-c.MinTime)/t.Ms()+1)
	}
	return bucket.StandIn(t.Ms(), samples, int(buckets))
}

// standIn reports whether the samples of all series stand in for their buckets of a
// tier: then no block is written for it, not even to be aborted. It reads the
// directories up to the first series that has buckets. Damage is left for the step to
// note.
func (ss *sources) standIn(ctx context.Context, t block.Tier) (bool, error) {
	if t >= block.Hour {
		return false, nil
	}
	for _, run := range ss.runs {
		for _, s := range run {
			if s.entry.Tier != block.Raw { // its buckets are carried over
				continue
			}
			it := s.entry.Block().Iterate()
			for n := 1; it.Next(); n++ {
				chunks, err := it.Chunks()
				if err != nil || !samplesStandIn(t, chunks) {
					return false, nil
				}
				if n%progressEvery == 0 {
					if err := ss.pause(ctx); err != nil {
						return false, err
					}
				}
			}
			if it.Err() != nil {
				return false, nil
			}
		}
	}
	return true, nil
}
