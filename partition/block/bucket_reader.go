package block

import (
	"context"
	"errors"
	"fmt"

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
	i, j := times.search(tr.Min), times.search(tr.Max)
	if i >= j {
		return nil
	}
	col, err := r.column(c.page, streamValues, w.value)
	if err != nil {
		return err
	}
	from := times.appendTo(dst, i, j)
	if err := encoding.DecodeBucketValuesRange(dst, from, col, times.len(), i, need); err != nil {
		dst.Truncate(from)
		return r.damage(c, err)
	}
	return nil
}
