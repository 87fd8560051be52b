package block

import (
	"math"

	"tsdb/internal/model"
)

// rollupChunk is chunk for a block of a rollup.
func (c *checker) rollupChunk(r *chunkReader, ch, last Chunk) error {
	m := &c.block.info.Meta
	if span := m.Span(); !span.Contains(ch.MinTime) || !span.Contains(ch.MaxTime) {
		c.say(ch.pageOff, "chunk of series %d from %d to %d is outside of the days of the block", ch.Ordinal, ch.MinTime, ch.MaxTime)
		return nil
	}
	if last.page != nil && last.Ordinal == ch.Ordinal && last.MaxTime >= ch.MinTime {
		c.say(ch.pageOff, "chunks of series %d overlap at %d", ch.Ordinal, ch.MinTime)
	}
	if ch.Kind == KindStandIn {
		if t := m.Tier; t.PartitionStart(ch.MinTime) != ch.MinTime || t.PartitionRange(ch.MaxTime).Max-1 != ch.MaxTime {
			c.say(ch.pageOff, "stand-in of series %d from %d to %d is not for whole days", ch.Ordinal, ch.MinTime, ch.MaxTime)
		}
		return nil
	}
	if !m.chunkDays(ch.MinTime).Contains(ch.MaxTime) {
		c.say(ch.pageOff, "chunk of series %d from %d to %d spans the days of two chunks", ch.Ordinal, ch.MinTime, ch.MaxTime)
	}
	c.buckets.Reset()
	if err := r.appendBucketChunk(ch, model.Inclusive(ch.MinTime, ch.MaxTime), model.AllBucketColumns, &c.buckets); err != nil {
		return c.take(err)
	}
	if err := checkBuckets(&c.buckets, m.Tier.Ms()); err != nil {
		c.say(ch.pageOff, "series %d: %v", ch.Ordinal, err)
	}
	for i, end := range c.buckets.End {
		if !plausible(&c.buckets, i) {
			c.say(ch.pageOff, "series %d: values of the bucket at %d contradict each other", ch.Ordinal, end)
			break
		}
	}
	return nil
}

// plausible reports whether the values of row i can be those of its number of floats.
func plausible(b *model.Buckets, i int) bool {
	bits := math.Float64bits
	n := b.Count[i]
	switch {
	case n == 0:
		return b.Resets[i]|b.Changes[i] == 0 &&
			bits(b.FirstV[i])|bits(b.V1[i])|bits(b.V2[i])|bits(b.Min[i])|bits(b.Max[i])|bits(b.Sum[i])|bits(b.Lost[i]) == 0
	case b.Resets[i] >= n || b.Changes[i] >= n || b.Min[i] > b.Max[i]:
		return false
	case n == 1:
		return bits(b.FirstV[i]) == bits(b.V1[i]) && bits(b.V2[i])|bits(b.Lost[i]) == 0
	case n == 2:
		return bits(b.FirstV[i]) == bits(b.V2[i])
	}
	return true
}
