package storage

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
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
	c := coster{state: v.st}
	for i, s := range set.series {
		if i%1024 == 0 && ctx.Err() != nil {
			return Cost{}, nil, ctx.Err()
		}
		if err := c.add(s, tr); err != nil {
			return Cost{}, nil, err
		}
	}
	cost := c.sum()
	cost.Series = uint64(set.Len())
	return cost, set.Warnings(), nil
}

// coster adds up the cost of reading series.
type coster struct {
	state  *state
	cost   Cost
	blocks map[*block.Block]struct{}
	chunks []block.Chunk // scratch
	// seen are the chunks of the series that were added; nil = ranges of a series do not
	// share chunks.
	seen     map[seenChunk]struct{}
	inMemory struct{ samples, bytes float64 }
}

// seenChunk identifies a chunk of a series.
type seenChunk struct {
	block   *block.Block
	minTime int64
}

// add adds the cost of reading a range of a series, which must be visible.
func (c *coster) add(s *Series, tr model.TimeRange) error {
	for _, src := range s.sources {
		if src.block == nil {
			for _, b := range c.state.buffersIn(tr) {
				samples, bytes := meanIn(b.Stats(), tr)
				c.inMemory.samples += samples
				c.inMemory.bytes += bytes
			}
			continue
		}
		c.use(src.block.Block)
		var err error
		if c.chunks, err = src.block.Chunks(src.ord, tr, c.chunks[:0]); err != nil {
			if err = s.set.warnOf(err); err != nil {
				return err
			}
			continue
		}
		for _, k := range c.chunks {
			if c.seen != nil {
				id := seenChunk{src.block.Block, k.MinTime}
				if _, again := c.seen[id]; again {
					continue
				}
				c.seen[id] = struct{}{}
			}
			c.addChunk(k)
		}
	}
	return nil
}

func (c *coster) use(b *block.Block) {
	if c.blocks == nil {
		c.blocks = make(map[*block.Block]struct{})
	}
	c.blocks[b] = struct{}{}
}

func (c *coster) addChunk(k block.Chunk) {
	c.cost.Chunks++
	c.cost.Samples += uint64(k.Count)
	c.cost.Bytes += uint64(k.StoredBytes())
}

// sum returns the cost, without the number of series.
func (c *coster) sum() Cost {
	cost := c.cost
	cost.Blocks = uint64(len(c.blocks))
	cost.Samples += uint64(c.inMemory.samples + 0.5)
	cost.Bytes += uint64(c.inMemory.bytes + 0.5)
	return cost
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
