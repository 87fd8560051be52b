package block

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Buckets appends the buckets of a series of a rollup whose ends are in tr to dst, in
// ascending order, with Flags, the times and the columns of need; others hold anything.
// To standIn, which it returns, it appends the parts of tr in which the samples of the
// series stand in.
//
// It skips buckets that cannot be read and then returns the first *DamageError. Any
// other error ends the call early.
func (r *Reader) Buckets(ctx context.Context, ord uint32, tr model.TimeRange, need model.BucketColumns,
	dst *model.Buckets, standIn []model.TimeRange) ([]model.TimeRange, error) {
	if err := ctx.Err(); err != nil {
		return standIn, err
	}
	chunks, err := r.find(ord, tr)
	if err != nil && !errors.Is(err, format.ErrCorrupt) {
		return standIn, err
	}
	return r.chunks.appendBuckets(chunks, tr, need, dst, standIn, err)
}

// Buckets is Reader.Buckets for the current series.
func (it *Iterator) Buckets(tr model.TimeRange, need model.BucketColumns,
	dst *model.Buckets, standIn []model.TimeRange) ([]model.TimeRange, error) {
	return it.reader.appendBuckets(it.chunks, tr, need, dst, standIn, it.lost)
}

// appendBuckets is Reader.Buckets for the chunks of a series. damaged is the error of
// finding them.
func (r *chunkReader) appendBuckets(chunks []Chunk, tr model.TimeRange, need model.BucketColumns,
	dst *model.Buckets, standIn []model.TimeRange, damaged error) ([]model.TimeRange, error) {
	if r.block.info.Tier == Raw {
		return standIn, fmt.Errorf("read block %s: buckets of the raw tier", r.block.info.Name)
	}
	for i, c := range chunks {
		if !c.Overlaps(tr) {
			continue
		}
		var err error
		switch {
		case i > 0 && c.MinTime <= chunks[i-1].MaxTime:
			err = c.Damage("chunks of series %d overlap at %d", c.Ordinal, c.MinTime)
		case c.Kind == KindStandIn:
			standIn = append(standIn, model.Inclusive(c.MinTime, c.MaxTime).Intersect(tr))
		case c.Kind == KindBuckets:
			err = r.appendBucketChunk(c, tr, need, dst)
		default:
			err = c.Damage("%v", errKind(c.Kind))
		}
		if err != nil {
			if damaged = firstDamage(damaged, err); !errors.Is(err, format.ErrCorrupt) {
				return standIn, err
			}
		}
	}
	return standIn, damaged
}

// appendBucketChunk appends the buckets of a chunk whose ends are in tr. After an
// error dst is as before.
func (r *chunkReader) appendBucketChunk(c Chunk, tr model.TimeRange, need model.BucketColumns, dst *model.Buckets) error {
	w := &c.page.rows[c.row]
	times, err := r.bucketTimes(c.page, c.pageOff, &c.page.times[w.time])
	if err != nil {
		return err
	}
	i, j := searchTime(times.end, tr.Min), searchTime(times.end, tr.Max)
	if i >= j {
		return nil
	}
	col, err := r.column(c.page, streamValues, w.value)
	if err != nil {
		return err
	}
	from := times.appendTo(dst, i, j)
	if err := encoding.DecodeBucketValuesRange(dst, from, col, len(times.end), i, need); err != nil {
		dst.Truncate(from)
		return r.damage(c, err)
	}
	return nil
}

// bucketTimes are the decoded times of the buckets of a chunk: see model.Buckets. They
// are shared and never changed.
type bucketTimes struct {
	end, first, t1, t2, t3 []int64
	count                  []uint32
}

// timesPerBucket is the memory of a row of bucketTimes, in timestamps.
const timesPerBucket = 6

// appendTo appends rows with the times i ≤ k < j to b, whose other columns hold anything,
// and returns the index of the first.
func (t *bucketTimes) appendTo(b *model.Buckets, i, j int) int {
	from := b.Extend(j - i)
	copy(b.End[from:], t.end[i:j])
	copy(b.Count[from:], t.count[i:j])
	copy(b.First[from:], t.first[i:j])
	copy(b.T1[from:], t.t1[i:j])
	copy(b.T2[from:], t.t2[i:j])
	copy(b.T3[from:], t.t3[i:j])
	return from
}

// matches reports whether decoded times agree with the directory.
func (t *bucketTimes) matches(c *timeColumn) bool { return matchesTimes(t.end, c) }

// bucketTimes returns the decoded times of a chunk of buckets, as timestamps does for
// samples.
func (r *chunkReader) bucketTimes(p *directoryPage, pageOff int64, t *timeColumn) (*bucketTimes, error) {
	load := func() (*bucketTimes, int, error) {
		times, err := r.decodeBucketTimes(p, pageOff, t)
		return times, timesPerBucket * 8 * int(t.count), err
	}
	inline := t.frame == inlineFrame
	var key timesKey
	var inlineKey inlineTimes
	switch {
	case !inline:
		key = timesKey{p.frames[streamTimes][t.frame].off, t.start}
		if times, ok := r.buckets.frames[key]; ok && times.matches(t) {
			return times, nil
		}
	case t.length > inlineBytesMax: // no Writer writes one
		return r.decodeBucketTimes(p, pageOff, t)
	default:
		inlineKey = inlineTimesOf(p, t)
		if times, ok := r.buckets.inline[inlineKey]; ok && times.matches(t) {
			return times, nil
		}
	}
	var times *bucketTimes
	var err error
	if inline {
		times, _, err = load()
	} else {
		times, err = cached(r.cache, cacheKey{block: r.block.id, kind: cachedTimes, off: key.off, start: key.start}, load)
	}
	if err == nil && !times.matches(t) {
		err = r.block.damage(p.offsetOf(streamTimes, t.columnRef, pageOff), format.Corrupt("buckets do not fit the directory"))
	}
	if err != nil {
		return nil, err
	}
	r.buckets.remember(timesPerBucket * len(times.end))
	if inline {
		r.buckets.inline[inlineKey] = times
	} else {
		r.buckets.frames[key] = times
	}
	return times, nil
}

// decodeBucketTimes decodes a time column of buckets.
func (r *chunkReader) decodeBucketTimes(p *directoryPage, pageOff int64, t *timeColumn) (*bucketTimes, error) {
	col, err := r.column(p, streamTimes, t.columnRef)
	if err != nil {
		return nil, err
	}
	b := &r.rows // half of the columns are not kept
	b.Reset()
	err = encoding.DecodeBucketTimes(b, col, int(t.count), r.block.info.Tier.Ms())
	times := &bucketTimes{
		end: slices.Clone(b.End), count: slices.Clone(b.Count),
		first: slices.Clone(b.First), t1: slices.Clone(b.T1), t2: slices.Clone(b.T2), t3: slices.Clone(b.T3),
	}
	if err == nil && !times.matches(t) {
		err = format.Corrupt("buckets do not fit the directory")
	}
	return times, r.block.damage(p.offsetOf(streamTimes, t.columnRef, pageOff), err)
}
