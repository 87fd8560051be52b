package block

import (
	"fmt"
	"math"

	"github.com/zeebo/xxh3"

	"tsdb/encoding"
	"tsdb/internal/model"
)

// daysInChunk returns the number of days of buckets in a full chunk, counted from the
// first day of the block: the largest power of two up to MaxDays whose buckets do not
// exceed MaxChunkSamples. It divides the days of folded blocks, so that the chunks
// of a folded block are full.
func (t Tier) daysInChunk() int64 {
	days := int64(MaxDays)
	for days > 1 && days*t.PartitionMs()/t.Ms() > MaxChunkSamples {
		days /= 2
	}
	return days
}

// chunkDays returns the range of the days that may share a chunk of buckets with the
// one that contains ms.
func (m *Meta) chunkDays(ms int64) model.TimeRange {
	length := m.Tier.daysInChunk() * m.Tier.PartitionMs()
	start := m.Partition + (ms-m.Partition)/length*length
	return model.TimeRange{Min: start, Max: model.AddTime(start, length)}.Intersect(m.Span())
}

// pendingRows are the rows of the current series of a rollup that are not laid out
// yet: buckets of one chunk, or days that stand in.
type pendingRows struct {
	buckets model.Buckets
	days    model.TimeRange // of one chunk
	standIn standIn
}

// standIn are adjacent days of which the samples stand in.
type standIn struct {
	days    model.TimeRange
	samples uint64 // at least 1, or there are no such days
}

// Buckets adds buckets to the current series of a rollup. Their ends must rise over
// all calls for the series, and lie in the days of the block but not in days that
// stand in. b is not retained. A chunk ends between rows with BucketNoResets and rows
// without it.
func (w *Writer) Buckets(b *model.Buckets) error {
	if w.err != nil || b.Len() == 0 {
		return w.err
	}
	if w.err = w.checkRollup("buckets", b.End[0], b.End[b.Len()-1]); w.err != nil {
		return w.err
	}
	if err := checkBuckets(b, w.meta.Tier.Ms()); err != nil {
		w.check(fmt.Errorf("series %v: %w", w.labels(), err))
		return w.err
	}
	w.flushStandIn()
	p := &w.pending
	for i := 0; i < b.Len(); {
		if end := b.End[i]; p.buckets.Len() == 0 || !p.days.Contains(end) {
			w.flushBuckets()
			p.days = w.meta.chunkDays(end)
		}
		j := i + searchTime(b.End[i:], p.days.Max)
		for k := range b.Flags[i:j] {
			if (b.Flags[i]^b.Flags[i+k])&model.BucketNoResets != 0 {
				j = i + k
				break
			}
		}
		if n := p.buckets.Len(); n > 0 && (p.buckets.Flags[n-1]^b.Flags[i])&model.BucketNoResets != 0 {
			w.flushBuckets() // a column has the resets of all its rows or of none
		}
		p.buckets.AppendRange(b, i, j)
		i = j
	}
	return w.err
}

// StandIn records that the samples of the current series stand in for its buckets in
// days, one or more whole days of a rollup. samples is their number, at least 1. Days
// must rise over all calls for the series, and have no buckets.
func (w *Writer) StandIn(days model.TimeRange, samples uint64) error {
	if w.err != nil {
		return w.err
	}
	if w.err = w.checkRollup("days that stand in", days.Min, days.Max-1); w.err != nil {
		return w.err
	}
	t := w.meta.Tier
	if days.Empty() || t.PartitionStart(days.Min) != days.Min || t.PartitionRange(days.Max-1).Max != days.Max {
		w.check(fmt.Errorf("series %v: stand-in for %v, which are no whole days", w.labels(), days))
		return w.err
	}
	if samples == 0 || samples > uint64(days.Max-days.Min) || samples > math.MaxUint32 {
		w.check(fmt.Errorf("series %v: %d samples stand in for %v", w.labels(), samples, days))
		return w.err
	}
	w.flushBuckets()
	s := &w.pending.standIn
	if s.samples > 0 && (s.days.Max != days.Min || s.samples+samples > math.MaxUint32) {
		w.flushStandIn()
	}
	if s.samples == 0 {
		s.days.Min = days.Min
	}
	s.days.Max = days.Max
	s.samples += samples
	return w.err
}

// checkRollup returns an error if the rows with times from first to last may not be
// the next of the current series.
func (w *Writer) checkRollup(what string, first, last int64) error {
	switch {
	case w.meta.Tier == Raw:
		return fmt.Errorf("write block %s: %s in the raw tier", w.name, what)
	case !w.series.set:
		return fmt.Errorf("write block %s: %s of no series", w.name, what)
	case w.series.taken && first <= w.series.last:
		return fmt.Errorf("write block %s: series %v: %s from %d after %d", w.name, w.labels(), what, first, w.series.last)
	}
	if err := w.checkSpan(first, last); err != nil {
		return err
	}
	w.series.last, w.series.taken = last, true
	return nil
}

// flushRows lays out the pending rows.
func (w *Writer) flushRows() {
	w.flushBuckets()
	w.flushStandIn()
}

// flushBuckets lays out the pending buckets as a chunk.
func (w *Writer) flushBuckets() {
	b := &w.pending.buckets
	if b.Len() == 0 || !w.list() {
		return
	}
	r := row{ord: w.series.ord, flags: flagsOf(KindBuckets)}
	r.time = w.columns.addBucketTimes(b, w.meta.Tier)
	w.encoded = encoding.AppendBucketValues(w.encoded[:0], b)
	if len(w.encoded) > maxColumnBytes {
		w.check(fmt.Errorf("series %v: buckets of %d bytes exceed the limit of %d", w.labels(), len(w.encoded), maxColumnBytes))
		return
	}
	r.value = w.columns.addValues(w.encoded, b.Len())
	w.row(r, b.End[0], b.End[b.Len()-1], b.Len())
	b.Reset()
}

// flushStandIn lays out the pending days as a chunk.
func (w *Writer) flushStandIn() {
	s := &w.pending.standIn
	if s.samples == 0 || !w.list() {
		return
	}
	t := timeColumn{count: uint32(s.samples), min: s.days.Min, max: s.days.Max - 1}
	r := row{ord: w.series.ord, flags: flagsOf(KindStandIn), time: w.columns.addLostTimes(t)}
	w.row(r, t.min, t.max, 1)
	*s = standIn{}
}

// addBucketTimes returns the number of the time column for the rows of b in the page
// under construction; equal columns are stored once.
func (c *columnWriter) addBucketTimes(b *model.Buckets, tier Tier) uint32 {
	t := timeColumn{count: uint32(b.Len()), min: b.End[0], max: b.End[b.Len()-1]}
	if t.count == 1 && b.Count[0] == 1 { // the only sample's time determines the end of the bucket
		n, known := c.single(b.T1[0])
		if !known {
			c.encoded = encoding.AppendBucketTimes(c.encoded[:0], b, tier.Ms())
			c.layOutTimes(c.encoded, t)
		}
		return n
	}
	key := keyOfBucketTimes(b)
	if n, ok := c.knownTimes(key, t); ok {
		return n
	}
	c.encoded = encoding.AppendBucketTimes(c.encoded[:0], b, tier.Ms())
	n, ref := c.layOutTimes(c.encoded, t)
	c.times.add(key, storedColumn{page: c.seq, index: n, ref: ref})
	return n
}

// keyOfBucketTimes returns the key of the column of times of b.
func keyOfBucketTimes(b *model.Buckets) contentKey {
	k := xxh3.Hash128Seed(countBytes(b.Count), seedBuckets)
	for _, ts := range [][]int64{b.End, b.First, b.T1, b.T2, b.T3} {
		next := xxh3.Hash128Seed(timeBytes(ts), k.Lo)
		k.Hi, k.Lo = k.Hi*0x9e3779b97f4a7c15+next.Hi, next.Lo
	}
	return k
}

// checkBuckets returns an error if b has rows that no column holds: ends that do not
// rise or do not end a bucket of the resolution, times outside of their bucket or not
// in order, unknown flags.
func checkBuckets(b *model.Buckets, resolution int64) error {
	for i, end := range b.End {
		if !(b.Flags[i] &^ model.BucketNoResets).Valid() {
			return fmt.Errorf("bucket at %d with flags %#x", end, uint8(b.Flags[i]))
		}
		if end%resolution != 0 || i > 0 && end <= b.End[i-1] {
			return fmt.Errorf("bucket that ends at %d", end)
		}
		n, first, t1, t2, t3 := int64(b.Count[i]), b.First[i], b.T1[i], b.T2[i], b.T3[i]
		ok := n == 0 || first > end-resolution && t1 <= end
		switch n {
		case 0:
			ok = first|t1|t2|t3 == 0
		case 1:
			ok = ok && first == t1 && t2|t3 == 0
		case 2:
			ok = ok && first == t2 && t2 < t1 && t3 == 0
		case 3:
			ok = ok && first == t3 && t3 < t2 && t2 < t1
		default:
			ok = ok && first < t3 && t3 < t2 && t2 < t1 && n-3 <= t3-first
		}
		if !ok {
			return fmt.Errorf("bucket at %d with times %d … %d, %d, %d of %d samples", end, first, t3, t2, t1, n)
		}
	}
	return nil
}
