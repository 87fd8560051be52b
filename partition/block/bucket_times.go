package block

import (
	"unsafe"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/partition/format"
)

// bucketTimes are the decoded times of the buckets of a chunk: see model.Buckets. They
// are shared and never changed. They are small, so that the block cache holds those of
// many series that are not scraped together.
type bucketTimes struct {
	first, resolution int64   // the ends are first, first + resolution, …
	ends              []int64 // otherwise; nil if there are no gaps
	rows              []bucketTime
	few               bool // a row has less than three floats
}

// bucketTime has the times of a bucket as their distances to its end, in milliseconds.
// They are 0 where there are fewer floats.
type bucketTime struct{ count, first, t1, t2, t3 uint32 }

// newBucketTimes returns the times of rows, of which there are some.
func newBucketTimes(b *model.Buckets, resolution int64) *bucketTimes {
	t := &bucketTimes{first: b.End[0], resolution: resolution, rows: make([]bucketTime, b.Len())}
	if n := int64(b.Len()); b.End[n-1]-b.End[0] != (n-1)*resolution {
		t.ends = append(t.ends, b.End...)
	}
	for i, end := range b.End {
		row := bucketTime{count: b.Count[i]}
		if row.count >= 1 {
			row.first, row.t1 = uint32(end-b.First[i]), uint32(end-b.T1[i])
		}
		if row.count >= 2 {
			row.t2 = uint32(end - b.T2[i])
		}
		if row.count >= 3 {
			row.t3 = uint32(end - b.T3[i])
		} else {
			t.few = true
		}
		t.rows[i] = row
	}
	return t
}

func (t *bucketTimes) len() int { return len(t.rows) }

// bytes returns about how much memory t takes.
func (t *bucketTimes) bytes() int {
	if t == nil {
		return 0
	}
	return int(unsafe.Sizeof(*t)) + 8*len(t.ends) + int(unsafe.Sizeof(bucketTime{}))*len(t.rows)
}

func (t *bucketTimes) end(i int) int64 {
	if t.ends != nil {
		return t.ends[i]
	}
	return t.first + int64(i)*t.resolution
}

// search returns the first i with an end at or after at.
func (t *bucketTimes) search(at int64) int {
	if t.ends != nil {
		return searchTime(t.ends, at)
	}
	if at <= t.first {
		return 0
	}
	k := (uint64(at) - uint64(t.first) - 1) / uint64(t.resolution)
	return int(min(k+1, uint64(len(t.rows))))
}

// appendTo appends rows with the times i ≤ k < j to b, whose other columns hold anything,
// and returns the index of the first.
func (t *bucketTimes) appendTo(b *model.Buckets, i, j int) int {
	from, held := b.ExtendTimes(j-i, t, i)
	if held {
		return from
	}
	ends, counts := b.End[from:], b.Count[from:]
	if t.ends != nil {
		copy(ends, t.ends[i:j])
	} else {
		end := t.end(i)
		for k := range ends {
			ends[k] = end
			end += t.resolution
		}
	}
	rows := t.rows[i:j]
	firsts, t1s, t2s, t3s := b.First[from:][:len(rows)], b.T1[from:][:len(rows)], b.T2[from:][:len(rows)], b.T3[from:][:len(rows)]
	counts, ends = counts[:len(rows)], ends[:len(rows)]
	for k := range rows {
		row, end := &rows[k], ends[k]
		counts[k], firsts[k], t1s[k] = row.count, end-int64(row.first), end-int64(row.t1)
		t2s[k], t3s[k] = end-int64(row.t2), end-int64(row.t3)
	}
	if !t.few {
		return from
	}
	for k, count := range counts {
		if count < 3 {
			t3s[k] = 0
		}
		if count < 2 {
			t2s[k] = 0
		}
		if count < 1 {
			firsts[k], t1s[k] = 0, 0
		}
	}
	return from
}

// matches reports whether decoded times agree with the directory.
func (t *bucketTimes) matches(c *timeColumn) bool {
	return t.len() == int(c.count) && t.first == c.min && t.end(t.len()-1) == c.max
}

// bucketTimes returns the decoded times of a chunk of buckets, as timestamps does for
// samples.
func (r *chunkReader) bucketTimes(p *directoryPage, pageOff int64, t *timeColumn) (*bucketTimes, error) {
	load := func() (*bucketTimes, int, error) {
		times, err := r.decodeBucketTimes(p, pageOff, t)
		return times, times.bytes(), err
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
	r.buckets.remember(times.bytes() / 8)
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
	var times *bucketTimes
	r.rows.Reset()
	err = encoding.DecodeBucketTimes(&r.rows, col, int(t.count), r.block.info.Tier.Ms())
	if err == nil {
		if !matchesTimes(r.rows.End, t) {
			err = format.Corrupt("buckets do not fit the directory")
		} else {
			times = newBucketTimes(&r.rows, r.block.info.Tier.Ms())
		}
	}
	return times, r.block.damage(p.offsetOf(streamTimes, t.columnRef, pageOff), err)
}
