package block

import (
	"fmt"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Chunk identifies one chunk of a block: one kind of one series in one window, or, in
// a rollup, in some days. It is a small value and holds no samples.
type Chunk struct {
	Ordinal uint32 // of the series
	Kind    Kind
	Rung    uint8  // of the window ladder: windows of 24 h / 2^Rung
	Bad     bool   // was unreadable when merged
	Count   uint32 // rows; of a stand-in samples
	MinTime int64  // of the first row
	MaxTime int64  // of the last row, inclusive

	from    *chunkReader
	page    *directoryPage
	pageOff int64
	row     int
}

// rows returns what the chunk adds to the samples of the block.
func (c Chunk) rows() uint64 {
	if c.Kind == KindStandIn {
		return 1
	}
	return uint64(c.Count)
}

// Overlaps reports whether the chunk may have samples in r.
func (c Chunk) Overlaps(r model.TimeRange) bool { return c.MinTime < r.Max && c.MaxTime >= r.Min }

// Window returns the window of the ladder that contains the chunk.
func (c Chunk) Window() model.TimeRange {
	return windowOf(c.from.block.info.Tier.PartitionStart(c.MinTime), c.Rung, c.MinTime)
}

// Damage returns a *DamageError at the page of the directory that describes the
// chunk.
func (c Chunk) Damage(what string, args ...any) error {
	return &format.DamageError{Path: c.from.block.info.Name, Offset: c.pageOff, What: fmt.Sprintf(what, args...)}
}

func newChunk(from *chunkReader, p *directoryPage, pageOff int64, i int) Chunk {
	r := &p.rows[i]
	t := &p.times[r.time]
	return Chunk{
		Ordinal: r.ord, Kind: r.flags.kind(), Rung: r.flags.rung(), Bad: r.flags&rowBad != 0,
		Count: t.count, MinTime: t.min, MaxTime: t.max,
		from: from, page: p, pageOff: pageOff, row: i,
	}
}

// chunkReader reads columns of one block. It reuses its memory between chunks and
// is not safe for concurrent use.
type chunkReader struct {
	block    *Block
	cache    *Cache // nil for scans, which would only evict other items
	ahead    int    // bytes to read at once when a scan runs through a stream
	streams  [streams]readStream
	times    decodedTimes[[]int64] // timestamps
	buckets  decodedTimes[*bucketTimes]
	rows     model.Buckets   // scratch
	samples  model.ColumnSet // scratch
	values   []byte          // scratch: a column of values
	unusable int             // histograms skipped since it was set to 0
}

// readStream is the state of a chunkReader for one stream.
type readStream struct {
	data     []byte // bytes of the file from off on
	off      int64
	group    []byte // content of the group at groupOff, 0 = none
	groupOff int64
	checked  int64 // offset of the frame whose checksum was verified last, 0 = none
}

// Frames requested in file order are read several at once, because a system call
// takes as long as copying a few KiB. The read size grows with the length of the
// run so far.
const (
	aheadBytesMax = 128 << 10
	aheadGapMax   = 8 << 10 // maximum bytes between two frames of one run
)

// toRead returns the number of bytes to read for a frame that is not in data.
func (r *chunkReader) toRead(st *readStream, f frame) int {
	n := int(f.stored)
	switch gap := f.off - st.off - int64(len(st.data)); {
	case r.ahead > 0:
		n = max(n, r.ahead)
	case len(st.data) > 0 && gap <= aheadGapMax && gap >= -int64(len(st.data)):
		n = max(n, min(2*len(st.data), aheadBytesMax))
	}
	return int(min(int64(n), r.block.info.Size-f.off))
}

// read fills the stream's data with n bytes from off on.
func (r *chunkReader) read(st *readStream, off int64, n int) error {
	if cap(st.data) < n {
		st.data = make([]byte, n)
	}
	st.data, st.off, st.checked = st.data[:n], off, 0
	err := r.block.readInto(off, st.data)
	if err != nil {
		st.data = st.data[:0]
	}
	return err
}

// frame returns the stored bytes of a frame, their checksum checked. They are
// valid until the next call for the stream.
func (r *chunkReader) frame(s stream, f frame) ([]byte, error) {
	st := &r.streams[s]
	at := f.off - st.off
	if at < 0 || at+int64(f.stored) > int64(len(st.data)) {
		if err := r.read(st, f.off, r.toRead(st, f)); err != nil {
			// An error after the frame must not fail the frame.
			if err = r.read(st, f.off, int(f.stored)); err != nil {
				return nil, err
			}
		}
		at = 0
	}
	stored := st.data[at : at+int64(f.stored)]
	// The columns of a frame are requested one after another: one check of the
	// checksum is enough.
	if st.checked != f.off {
		if encoding.Checksum(stored) != f.crc {
			return nil, r.block.damage(f.off, format.Corrupt("checksum of %v", s))
		}
		st.checked = f.off
	}
	return stored, nil
}

// column returns the bytes of a column; they are valid until the next call for
// the stream.
func (r *chunkReader) column(p *directoryPage, s stream, c columnRef) ([]byte, error) {
	if c.frame == inlineFrame {
		return p.inline[s][c.start:][:c.length], nil
	}
	f := p.frames[s][c.frame]
	if f.raw == 0 {
		stored, err := r.frame(s, f)
		if err != nil {
			return nil, err
		}
		return stored[c.start:][:c.length], nil
	}
	st := &r.streams[s]
	if st.groupOff != f.off {
		key := cacheKey{block: r.block.id, kind: cachedGroup, off: f.off}
		content, err := cached(r.cache, key, func() ([]byte, int, error) {
			stored, err := r.frame(s, f)
			if err != nil {
				return nil, 0, err
			}
			var dst []byte
			if r.cache == nil {
				dst = st.group
			}
			content, err := inflate(dst, stored, f.raw)
			return content, len(content), r.block.damage(f.off, err)
		})
		if err != nil {
			st.groupOff = 0
			return nil, err
		}
		st.group, st.groupOff = content, f.off
	}
	return st.group[c.start:][:c.length], nil
}

// offsetOf returns the file offset of a column for errors: that of its frame, or
// of the directory page if it is inline.
func (d *directoryPage) offsetOf(s stream, c columnRef, pageOff int64) int64 {
	if c.frame == inlineFrame {
		return pageOff
	}
	return d.frames[s][c.frame].off
}

// append appends the samples of a chunk in tr to dst.
func (r *chunkReader) append(c Chunk, tr model.TimeRange, dst *model.ColumnSet) error {
	ts, col, i, j, err := r.span(c, tr)
	if err != nil || i >= j {
		return err
	}
	if c.isPlain() && dst.IsPlain() {
		err = appendFloats(dst, ts, col, i, j)
	} else {
		err = r.appendSlow(c, ts, col, i, j, dst)
	}
	return r.damage(c, err)
}

// span returns the times of a chunk, its column of values and the range i ≤ k < j
// of the samples in tr. If there are none, the column is not read.
func (r *chunkReader) span(c Chunk, tr model.TimeRange) (ts []int64, col []byte, i, j int, err error) {
	if c.Bad {
		return nil, nil, 0, 0, r.errBad(c)
	}
	if c.Kind >= sampleKinds && c.Kind.valid() {
		return nil, nil, 0, 0, fmt.Errorf("read block %s: chunk of %v read as samples", r.block.info.Name, c.Kind)
	}
	w := &c.page.rows[c.row]
	if ts, err = r.timestamps(c.page, c.pageOff, &c.page.times[w.time]); err != nil {
		return nil, nil, 0, 0, err
	}
	if j = len(ts); c.MinTime < tr.Min {
		i = searchTime(ts, tr.Min)
	}
	if c.MaxTime >= tr.Max {
		j = searchTime(ts, tr.Max)
	}
	if i < j {
		col, err = r.column(c.page, streamValues, w.value)
	}
	return ts, col, i, j, err
}

// isPlain reports whether the chunk has only times and floats.
func (c Chunk) isPlain() bool {
	return c.Kind == KindFloats && c.page.rows[c.row].flags&(rowStarts|rowBad) == 0
}

// damage returns a DamageError for the values of a chunk.
func (r *chunkReader) damage(c Chunk, err error) error {
	if err == nil {
		return nil
	}
	return r.block.damage(c.page.offsetOf(streamValues, c.page.rows[c.row].value, c.pageOff), err)
}

// errBad returns the error of reading a chunk marked bad.
func (r *chunkReader) errBad(c Chunk) error {
	return &format.DamageError{Path: r.block.info.Name, Offset: c.pageOff, What: fmt.Sprintf(
		"%d samples of series %d from %d to %d were lost before", c.Count, c.Ordinal, c.MinTime, c.MaxTime)}
}

// appendFloats appends the samples i ≤ k < j of a chunk of floats to dst, which
// has neither start timestamps nor histograms.
func appendFloats(dst *model.ColumnSet, ts []int64, col []byte, i, j int) error {
	vs, err := encoding.DecodeFloatsRange(dst.V, col, len(ts), i, j)
	if err != nil {
		return err
	}
	dst.V = vs
	dst.T = append(dst.T, ts[i:j]...)
	return nil
}

// appendSlow appends the samples i ≤ k < j of any chunk.
func (r *chunkReader) appendSlow(c Chunk, ts []int64, col []byte, i, j int, dst *model.ColumnSet) (err error) {
	w := &c.page.rows[c.row]
	s := &r.samples
	s.Reset()
	s.T = ts
	defer func() {
		s.T = nil // shared
		s.Reset()
	}()
	switch c.Kind {
	case KindFloats:
		s.V, err = encoding.DecodeFloats(s.V, col, len(ts))
	case KindHistograms:
		s.H, err = encoding.DecodeHistograms(s.H, col, len(ts))
		for range ts {
			s.V = append(s.V, 0)
		}
		if err == nil && len(s.H) != len(ts) {
			err = format.Corrupt("%d histograms for %d times", len(s.H), len(ts))
		}
		for k := range s.H {
			if err == nil && s.H[k].IsZero() {
				err = format.Corrupt("no histogram")
			}
		}
	default:
		return errKind(c.Kind)
	}
	if err == nil && w.flags&rowStarts != 0 {
		if col, err = r.column(c.page, streamValues, w.starts); err != nil {
			return err
		}
		s.ST, err = encoding.DecodeStartTimestamps(s.ST, col, ts)
		if err == nil && len(s.ST) != len(ts) {
			err = format.Corrupt("%d start timestamps for %d times", len(s.ST), len(ts))
		}
	}
	if err != nil {
		return err
	}
	if len(s.H) == 0 {
		dst.AppendRange(s, i, j)
		return nil
	}
	for ; i < j; i++ {
		// Older versions wrote histograms with invalid spans or thresholds,
		// which are unusable.
		if s.H[i].CheckLayout() == nil {
			dst.AppendRange(s, i, i+1)
		} else {
			r.unusable++
		}
	}
	return nil
}

// raw returns the verified, encoded columns of a chunk that is not bad; starts is
// nil if it has none. They are valid until the next call.
func (r *chunkReader) raw(c Chunk) (times, values, starts []byte, err error) {
	w := &c.page.rows[c.row]
	if times, err = r.column(c.page, streamTimes, c.page.times[w.time].columnRef); err != nil {
		return nil, nil, nil, err
	}
	col, err := r.column(c.page, streamValues, w.value)
	if err != nil {
		return nil, nil, nil, err
	}
	r.values = append(r.values[:0], col...)
	if w.flags&rowStarts != 0 {
		if starts, err = r.column(c.page, streamValues, w.starts); err != nil {
			return nil, nil, nil, err
		}
	}
	return times, r.values, starts, nil
}
