package block

import "tsdb/encoding"

// A column is stored in the directory page itself, in a group of short columns
// that is compressed as one frame, or in a frame of its own.
const (
	inlineBytesMax  = 20       // a frame of its own would take about as much of the directory
	groupSamplesMax = 256      // chunks with fewer samples gain from being compressed together
	groupBytesMax   = 128      // and so do columns this short, for any number of samples
	groupBytes      = 64 << 10 // size at which a group is closed
	runBytes        = 1 << 20  // size at which a stream is written out
	pageRows        = 1024     // chunks in a directory page
)

// columnWriter lays columns out and writes them with their directory. It owns
// the directory page under construction; offsets of frames in it count from the
// start of the stream's run until the run is written.
type columnWriter struct {
	out     *output
	tier    encoding.Tier
	page    directoryPage
	seq     uint32 // number of the page, from 1
	fences  []page // of the pages written
	streams [streams]columnStream
	times   dedupe // by timestamps or encoded bytes
	singles singleTimes
	values  dedupe // by encoded bytes
	encoded []byte // scratch: the current column
	packed  []byte // scratch: a compressed group
	content []byte // scratch: a page
}

// columnStream is the unwritten part of one stream.
type columnStream struct {
	run     []byte           // finished frames
	waiting []uint32         // their numbers in the page
	group   []byte           // content of the open group
	frame   uint32           // the open group's number, if group is not empty
	foreign map[int64]uint32 // offset of a frame of an earlier page → number in this one
}

// newColumnWriter returns a writer that remembers up to two generations of remember
// columns of each stream.
func newColumnWriter(out *output, tier encoding.Tier, remember int) *columnWriter {
	c := &columnWriter{out: out, tier: tier, seq: 1, times: dedupe{max: remember}, values: dedupe{max: remember}}
	for s := range c.streams {
		c.streams[s].foreign = make(map[int64]uint32)
	}
	return c
}

// add lays out one encoded column of a chunk with count samples.
func (c *columnWriter) add(s stream, column []byte, count int) columnRef {
	st, frames := &c.streams[s], &c.page.frames[s]
	ref := columnRef{length: uint32(len(column))}
	switch {
	case len(column) <= inlineBytesMax:
		ref.frame, ref.start = inlineFrame, uint32(len(c.page.inline[s]))
		c.page.inline[s] = append(c.page.inline[s], column...)
	case count < groupSamplesMax && len(column) < groupBytes || len(column) <= groupBytesMax:
		if len(st.group) == 0 {
			st.frame = uint32(len(*frames))
			*frames = append(*frames, frame{})
		}
		ref.frame, ref.start = st.frame, uint32(len(st.group))
		st.group = append(st.group, column...)
		if len(st.group) >= groupBytes {
			c.closeGroup(s)
		}
	default:
		ref.frame = uint32(len(*frames))
		*frames = append(*frames, frame{})
		c.appendFrame(s, ref.frame, column, 0)
	}
	return ref
}

// appendFrame appends the stored bytes of a frame to the run of its stream.
func (c *columnWriter) appendFrame(s stream, number uint32, stored []byte, raw int) {
	st := &c.streams[s]
	c.page.frames[s][number] = frame{
		off: int64(len(st.run)), stored: uint32(len(stored)), raw: uint32(raw), crc: encoding.Checksum(stored),
	}
	st.run = append(st.run, stored...)
	st.waiting = append(st.waiting, number)
	if len(st.run) >= runBytes {
		c.writeRun(s)
	}
}

func (c *columnWriter) closeGroup(s stream) {
	st := &c.streams[s]
	if len(st.group) == 0 {
		return
	}
	stored, packed := compress(c.packed[:0], st.group)
	raw := 0
	if packed {
		raw = len(st.group)
	}
	c.packed = stored
	c.appendFrame(s, st.frame, stored, raw)
	st.group = st.group[:0]
}

// writeRun writes the run of a stream and makes the offsets of its frames absolute.
func (c *columnWriter) writeRun(s stream) {
	st := &c.streams[s]
	base := c.out.off
	c.out.write(st.run)
	for _, n := range st.waiting {
		c.page.frames[s][n].off += base
	}
	st.run, st.waiting = st.run[:0], st.waiting[:0]
}

// reuse returns the location of a column stored before, as seen from the page
// under construction. The second result is false if it cannot be reused.
func (c *columnWriter) reuse(s stream, d *dedupe, k contentKey) (storedColumn, bool) {
	old, ok := d.get(k)
	if !ok || old.page == c.seq {
		return old, ok
	}
	if old.ref.frame == inlineFrame {
		return old, false // the bytes lie in another page
	}
	st, frames := &c.streams[s], &c.page.frames[s]
	n, ok := st.foreign[old.frame.off]
	if !ok {
		n = uint32(len(*frames))
		*frames = append(*frames, old.frame)
		st.foreign[old.frame.off] = n
	}
	old.page, old.ref.frame = c.seq, n
	if s == streamTimes {
		old.index = noTime
	}
	return old, true
}

// noTime marks a column that has no number among the page's time columns yet.
const noTime = inlineFrame

// addTimes returns the number of the time column for ts in the page under
// construction; equal columns are stored once.
func (c *columnWriter) addTimes(ts []int64) uint32 {
	t := timeColumn{count: uint32(len(ts)), min: ts[0], max: ts[len(ts)-1]}
	if t.count == 1 {
		n, known := c.single(ts[0])
		if !known {
			c.encoded = encoding.AppendTimestamps(c.encoded[:0], ts, c.tier)
			c.layOutTimes(c.encoded, t)
		}
		return n
	}
	key := keyOfTimes(ts)
	if n, ok := c.knownTimes(key, t); ok {
		return n
	}
	c.encoded = encoding.AppendTimestamps(c.encoded[:0], ts, c.tier)
	n := c.addEncodedTimes(c.encoded, t)
	c.times.add(key, storedColumn{page: c.seq, index: n, ref: c.page.times[n].columnRef})
	return n
}

// addEncodedTimes is like addTimes for an encoded column; t has its count and
// times.
func (c *columnWriter) addEncodedTimes(column []byte, t timeColumn) uint32 {
	if t.count == 1 && len(column) <= inlineBytesMax {
		n, known := c.single(t.min)
		if !known {
			c.layOutTimes(column, t)
		}
		return n
	}
	key := keyOfEncoded(column, int(t.count))
	if n, ok := c.knownTimes(key, t); ok {
		return n
	}
	n, ref := c.layOutTimes(column, t)
	c.times.add(key, storedColumn{page: c.seq, index: n, ref: ref})
	return n
}

// layOutTimes adds a time column to the page under construction, of which t has the count
// and times, and returns its number and location.
func (c *columnWriter) layOutTimes(column []byte, t timeColumn) (uint32, columnRef) {
	t.columnRef = c.add(streamTimes, column, int(t.count))
	n := uint32(len(c.page.times))
	c.page.times = append(c.page.times, t)
	return n, t.columnRef
}

// single returns the number of the time column in the page under construction that has
// the time at alone. If there is none, it reports false, and the next column laid out
// must be that one, with the number returned.
func (c *columnWriter) single(at int64) (n uint32, known bool) {
	return c.singles.find(at, c.seq, uint32(len(c.page.times)))
}

// knownTimes returns the number of a time column that was stored under key.
func (c *columnWriter) knownTimes(key contentKey, t timeColumn) (uint32, bool) {
	s, ok := c.reuse(streamTimes, &c.times, key)
	if !ok {
		return 0, false
	}
	if s.index == noTime {
		s.index = uint32(len(c.page.times))
		t.columnRef = s.ref
		c.page.times = append(c.page.times, t)
		c.times.put(key, s)
	}
	return s.index, true
}

// addLostTimes returns the number of a time column without bytes, which holds the
// sample count and times of a bad chunk.
func (c *columnWriter) addLostTimes(t timeColumn) uint32 {
	t.columnRef = columnRef{}
	c.page.times = append(c.page.times, t)
	return uint32(len(c.page.times) - 1)
}

// addValues lays out a column of values; long equal ones are stored once.
func (c *columnWriter) addValues(column []byte, count int) columnRef {
	if len(column) < dedupeBytesMin || count < groupSamplesMax {
		return c.add(streamValues, column, count)
	}
	key := keyOfEncoded(column, count)
	if s, ok := c.reuse(streamValues, &c.values, key); ok {
		return s.ref
	}
	ref := c.add(streamValues, column, count)
	c.values.add(key, storedColumn{page: c.seq, ref: ref})
	return ref
}

// addStarts lays out a column of start timestamps, next to the values.
func (c *columnWriter) addStarts(sts, ts []int64) columnRef {
	c.encoded = encoding.AppendStartTimestamps(c.encoded[:0], sts, ts, c.tier)
	return c.add(streamValues, c.encoded, len(ts))
}

// addAggregate records the aggregate of the chunk of r.
func (c *columnWriter) addAggregate(r *row, a Aggregate) {
	r.flags |= rowAggregate
	r.aggregate = c.page.aggregates.add(a)
}

// addRow completes a chunk.
func (c *columnWriter) addRow(r row) {
	c.page.rows = append(c.page.rows, r)
	if len(c.page.rows) >= pageRows {
		c.finishPage()
	}
}

// finishPage writes the columns not written yet and the directory page.
func (c *columnWriter) finishPage() {
	if len(c.page.rows) == 0 {
		return
	}
	for s := range streams {
		c.closeGroup(s)
		c.writeRun(s)
	}
	c.times.resolve(c.page.frames[streamTimes])
	c.values.resolve(c.page.frames[streamValues])

	c.content = c.page.append(c.content[:0])
	p := page{first: c.page.rows[0].ord, stored: uint32(len(c.content)), crc: encoding.Checksum(c.content)}
	c.fences = append(c.fences, c.out.writePage(p, c.content))
	c.page.reset()
	c.seq++
	for s := range c.streams {
		clear(c.streams[s].foreign)
	}
}

// waitingBytes returns the bytes of columns laid out but not written yet.
func (c *columnWriter) waitingBytes() int64 {
	n := 0
	for s := range c.streams {
		n += len(c.streams[s].run) + len(c.streams[s].group)
	}
	return int64(n)
}
