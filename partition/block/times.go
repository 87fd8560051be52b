package block

import (
	"tsdb/encoding"
	"tsdb/partition/format"
)

// readerTimesMax bounds the timestamps a chunkReader remembers. A column counts as
// timesColumn more, for the overhead of its entry.
const (
	readerTimesMax = 1 << 20
	timesColumn    = 16
)

type timesKey struct {
	off   int64
	start uint32
}

// decodedTimes holds decoded time columns of a block.
type decodedTimes[T any] struct {
	frames map[timesKey]T
	inline map[inlineTimes]T
	n      int // timestamps in both
}

// inlineTimes identifies the content of an inline column of timestamps: columns of
// a regular grid are equal in every directory page.
type inlineTimes struct {
	count  uint32
	length uint8
	column [inlineBytesMax]byte
}

func inlineTimesOf(p *directoryPage, t *timeColumn) inlineTimes {
	key := inlineTimes{count: t.count, length: uint8(t.length)}
	copy(key.column[:], p.inline[streamTimes][t.start:][:t.length])
	return key
}

// timestamps returns the decoded timestamps of time column t. They are shared
// and never changed.
func (r *chunkReader) timestamps(p *directoryPage, pageOff int64, t *timeColumn) ([]int64, error) {
	if t.frame == inlineFrame {
		return r.inlineTimestamps(p, pageOff, t)
	}
	key := timesKey{p.frames[streamTimes][t.frame].off, t.start}
	if ts, ok := r.times.frames[key]; ok && matchesTimes(ts, t) {
		return ts, nil
	}
	ts, err := cached(r.cache, cacheKey{block: r.block.id, kind: cachedTimes, off: key.off, start: key.start},
		func() ([]int64, int, error) {
			ts, err := r.decodeTimes(p, pageOff, t)
			return ts, 8 * len(ts), err
		})
	if err == nil && !matchesTimes(ts, t) {
		err = r.block.damage(key.off, format.Corrupt("timestamps do not fit the directory"))
	}
	if err == nil {
		r.times.remember(len(ts))
		r.times.frames[key] = ts
	}
	return ts, err
}

// inlineTimestamps is timestamps for an inline column.
func (r *chunkReader) inlineTimestamps(p *directoryPage, pageOff int64, t *timeColumn) ([]int64, error) {
	if t.length > inlineBytesMax { // no Writer writes one
		return r.decodeTimes(p, pageOff, t)
	}
	key := inlineTimesOf(p, t)
	if ts, ok := r.times.inline[key]; ok && matchesTimes(ts, t) {
		return ts, nil
	}
	ts, err := r.decodeTimes(p, pageOff, t)
	if err == nil {
		r.times.remember(len(ts))
		r.times.inline[key] = ts
	}
	return ts, err
}

// remember makes room for a column of n timestamps more.
func (d *decodedTimes[T]) remember(n int) {
	n += timesColumn
	if d.n += n; d.frames == nil || d.n > readerTimesMax {
		d.frames, d.inline, d.n = make(map[timesKey]T), make(map[inlineTimes]T), n
	}
}

// matchesTimes reports whether decoded timestamps agree with the directory.
func matchesTimes(ts []int64, t *timeColumn) bool {
	return len(ts) == int(t.count) && ts[0] == t.min && ts[len(ts)-1] == t.max
}

// decodeTimes decodes a time column.
func (r *chunkReader) decodeTimes(p *directoryPage, pageOff int64, t *timeColumn) ([]int64, error) {
	col, err := r.column(p, streamTimes, t.columnRef)
	if err != nil {
		return nil, err
	}
	ts, err := encoding.DecodeTimestamps(make([]int64, 0, t.count), col, int(t.count))
	if err == nil && !matchesTimes(ts, t) {
		err = format.Corrupt("timestamps do not fit the directory")
	}
	for i := 1; err == nil && i < len(ts); i++ {
		if ts[i] <= ts[i-1] {
			err = format.Corrupt("timestamps do not rise")
		}
	}
	return ts, r.block.damage(p.offsetOf(streamTimes, t.columnRef, pageOff), err)
}
