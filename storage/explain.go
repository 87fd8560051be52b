package storage

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// Cost is a bound of the cost of reading a selection: no read takes more samples. Those in
// the range are counted as long as few times must be read for it, see countedMax; beyond,
// chunks and runs that overlap the range count as a whole. Bytes are those of whole chunks;
// in memory they are estimated.
type Cost struct {
	Series  uint64
	Blocks  uint64 // with series of the selection
	Chunks  uint64 // of blocks
	Samples uint64
	Bytes   uint64 // compressed, on disk and in memory
}

// countedMax bounds the samples whose times are read to count those in a range: some
// milliseconds.
const countedMax = 1 << 21

// Explain returns the cost of reading the samples of a range of the series that
// match all matchers. It reads indexes, directories and some times, no values.
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
	// seen are the chunks of the series that were added, and whether they count as a whole;
	// nil = ranges of a series do not share chunks.
	seen    map[seenChunk]bool
	counted int             // samples whose times were read
	samples model.ColumnSet // scratch
	bytes   float64         // in memory
}

// seenChunk identifies a chunk of a series.
type seenChunk struct {
	block   *block.Block
	minTime int64
	kind    block.Kind
}

// add adds the cost of reading a range of a series, which must be visible. Of ranges of a
// series none overlaps another.
func (c *coster) add(s *Series, tr model.TimeRange) error {
	for _, src := range s.sources {
		if src.block == nil {
			c.addHead(src.ref, tr)
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
			id := seenChunk{src.block.Block, k.MinTime, k.Kind}
			whole, again := c.seen[id]
			if whole {
				continue
			}
			samples, whole, err := c.countIn(src.block.Block, k, tr)
			if err = s.set.warnOf(err); err != nil {
				return err
			}
			if c.seen != nil {
				c.seen[id] = whole
			}
			c.cost.Samples += samples
			if !again {
				c.cost.Chunks++
				c.cost.Bytes += uint64(k.StoredBytes())
			}
		}
	}
	return nil
}

// countIn returns the samples of a chunk in a range, or all of the chunk.
func (c *coster) countIn(b *block.Block, k block.Chunk, tr model.TimeRange) (samples uint64, whole bool, err error) {
	if c.counted >= countedMax {
		return uint64(k.Count), true, nil
	}
	c.counted += int(k.Count)
	n, err := b.CountIn(k, tr)
	return uint64(n), false, err
}

// addHead adds the samples in memory of a series.
func (c *coster) addHead(ref model.Ref, tr model.TimeRange) {
	for _, b := range c.state.buffersIn(tr) {
		n := b.AtMost(ref, tr)
		if n == 0 {
			continue
		}
		if c.counted < countedMax {
			c.counted += n
			c.samples.Reset()
			b.Samples(ref, tr, &c.samples)
			n = c.samples.Len()
		}
		c.cost.Samples += uint64(n)
		if all := b.Stats(); all.Samples > 0 {
			c.bytes += float64(n) * float64(all.Bytes) / float64(all.Samples)
		}
	}
}

func (c *coster) use(b *block.Block) {
	if c.blocks == nil {
		c.blocks = make(map[*block.Block]struct{})
	}
	c.blocks[b] = struct{}{}
}

// addChunk adds a whole chunk.
func (c *coster) addChunk(k block.Chunk) {
	c.cost.Chunks++
	c.cost.Samples += uint64(k.Count)
	c.cost.Bytes += uint64(k.StoredBytes())
}

// sum returns the cost, without the number of series.
func (c *coster) sum() Cost {
	cost := c.cost
	cost.Blocks = uint64(len(c.blocks))
	cost.Bytes += uint64(c.bytes + 0.5)
	return cost
}
