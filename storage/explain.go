package storage

import (
	"context"
	"errors"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/storage/head"
)

// Cost is the cost of reading a selection. Chunks of blocks are counted entirely;
// samples in memory are estimated from the mean of its series.
type Cost struct {
	Series  uint64
	Blocks  uint64 // with series of the selection
	Chunks  uint64 // of blocks
	Samples uint64
	Bytes   uint64 // compressed, on disk and in memory
}

// Explain returns the cost of reading the samples of a range of the series that
// match all matchers. It reads indexes and directories, no columns.
// Warnings name data that could not be read.
func (v *View) Explain(ctx context.Context, tenant uint32, tr model.TimeRange, ms ...*labels.Matcher) (Cost, []error, error) {
	set, err := v.Select(ctx, tenant, tr, ms...)
	if err != nil {
		return Cost{}, nil, err
	}
	tr = v.st.visible(tr)
	cost := Cost{Series: uint64(set.Len())}
	blocks := make(map[*sourceBlock]struct{})
	var chunks []block.Chunk
	inMemory := uint64(0)
	for i, s := range set.series {
		if i%1024 == 0 && ctx.Err() != nil {
			return Cost{}, nil, ctx.Err()
		}
		for _, src := range s.sources {
			if src.block == nil {
				inMemory++
				continue
			}
			blocks[src.block] = struct{}{}
			if chunks, err = src.block.Chunks(src.ord, tr, chunks[:0]); err != nil {
				if !errors.Is(err, format.ErrCorrupt) {
					return Cost{}, nil, err
				}
				set.warn(err)
				continue
			}
			for _, c := range chunks {
				cost.Chunks++
				cost.Samples += uint64(c.Count)
				cost.Bytes += uint64(c.StoredBytes())
			}
		}
	}
	cost.Blocks = uint64(len(blocks))
	for _, b := range v.st.buffersIn(tr) {
		samples, bytes := meanIn(b.Stats(), tr)
		cost.Samples += uint64(float64(inMemory)*samples + 0.5)
		cost.Bytes += uint64(float64(inMemory)*bytes + 0.5)
	}
	return cost, set.Warnings(), nil
}

// meanIn returns the samples and bytes of a range of the mean series of a
// buffer.
func meanIn(s head.BufferStats, tr model.TimeRange) (samples, bytes float64) {
	if s.Series == 0 {
		return 0, 0
	}
	held := model.Inclusive(s.MinTime, s.MaxTime)
	both := held.Intersect(tr)
	share := float64(both.Max-both.Min) / float64(held.Max-held.Min) / float64(s.Series)
	return float64(s.Samples) * share, float64(s.Bytes) * share
}
