package block

import (
	"encoding/binary"
	"math"
	"slices"
	"sort"
	"unsafe"

	"tsdb/partition/format"
)

// frame is a stored run of bytes with its own checksum: one column, or a zstd
// frame with the columns of many short chunks.
type frame struct {
	off    int64  // in the file
	stored uint32 // bytes in the file
	raw    uint32 // bytes once decompressed; 0 = one plain column
	crc    uint32 // CRC-32C of the stored bytes
}

func (f frame) size() uint32 {
	if f.raw > 0 {
		return f.raw
	}
	return f.stored
}

// timeColumn is a column of times with its count, first and last time: timestamps,
// or the ends and times of buckets. Chunks of one page with equal times share it.
type timeColumn struct {
	columnRef        // length 0: there is no column (chunks marked bad, stand-ins)
	count     uint32 // rows, 1 ≤ count ≤ MaxChunkSamples; of stand-ins samples, at least 1
	min, max  int64  // time of the first and the last row
}

// row is one chunk in a directory page.
type row struct {
	ord    uint32 // ordinal of the series
	time   uint32 // number of the time column in the page
	flags  rowFlags
	value  columnRef // unset if the chunk has no columns
	starts columnRef // unset without rowStarts
	// aggregate is the number of the chunk's aggregate in the page, with
	// rowAggregate.
	aggregate uint32
}

// stream numbers the two runs of columns that a writer stores separately: values
// (with start timestamps, which are read together with them) and timestamps, which
// many series share.
type stream uint8

const (
	streamValues stream = iota
	streamTimes
	streams
)

func (s stream) String() string { return [...]string{"values", "times"}[s] }

// directoryPage lists chunks in the order of (series, window, kind).
type directoryPage struct {
	frames [streams][]frame
	times  []timeColumn
	rows   []row
	inline [streams][]byte // columns stored in the page itself
	// aggregates are those of the rows that have one, in row order.
	aggregates aggregateList
}

func (d *directoryPage) reset() {
	for s := range d.frames {
		d.frames[s] = d.frames[s][:0]
		d.inline[s] = d.inline[s][:0]
	}
	d.times, d.rows = d.times[:0], d.rows[:0]
	d.aggregates.reset()
}

// sizeOf returns the content bytes of a frame of stream s, or of the inline bytes.
func (d *directoryPage) sizeOf(s stream, i uint32) uint32 {
	if i == inlineFrame {
		return uint32(len(d.inline[s]))
	}
	return d.frames[s][i].size()
}

// rowsOf returns the range of rows of a series.
func (d *directoryPage) rowsOf(ord uint32) (from, to int) {
	from = sort.Search(len(d.rows), func(i int) bool { return d.rows[i].ord >= ord })
	for to = from; to < len(d.rows) && d.rows[to].ord == ord; to++ {
	}
	return from, to
}

// append appends the page in two parts: the chunks, then their aggregates.
func (d *directoryPage) append(dst []byte) []byte {
	dst = appendPart(dst, d.appendChunks(nil))
	return appendPart(dst, d.aggregates.append(nil))
}

// appendChunks appends all but the aggregates, field by field, so that similar
// values are adjacent.
func (d *directoryPage) appendChunks(dst []byte) []byte {
	for s := range d.frames {
		dst = binary.AppendUvarint(dst, uint64(len(d.inline[s])))
		dst = append(dst, d.inline[s]...)
		dst = appendFrames(dst, d.frames[s])
	}
	dst = d.appendTimes(dst)
	return d.appendRows(dst)
}

// decode reads a page of a block of the given version and of size bytes. It retains
// b, from which aggregateList decodes the aggregates on demand.
func (d *directoryPage) decode(b []byte, size int64, version uint32) error {
	if version < versionParts {
		return d.decodeJoined(b, size)
	}
	r := format.Reader{B: b}
	chunks, aggregates := readPart(&r), readPart(&r)
	if err := r.End("directory page"); err != nil {
		return err
	}
	content, err := chunks.content()
	if err != nil {
		return err
	}
	r = format.Reader{B: content}
	n := d.readChunks(&r, size, version)
	if err := r.End("directory page"); err != nil {
		return err
	}
	return d.aggregates.take(n, aggregates)
}

// decodeJoined is decode for a page of a block older than versionParts, where the
// aggregates directly follow the chunks.
func (d *directoryPage) decodeJoined(b []byte, size int64) error {
	r := format.Reader{B: b}
	n := d.readChunks(&r, size, versionParts-1)
	aggregates := part{stored: r.B}
	r.B = nil
	if err := r.End("directory page"); err != nil {
		return err
	}
	return d.aggregates.take(n, aggregates)
}

// readChunks reads all but the aggregates and returns the number of aggregates.
func (d *directoryPage) readChunks(r *format.Reader, size int64, version uint32) (aggregates int) {
	for s := range d.frames {
		d.inline[s] = r.Bytes(r.Uvarint(maxPageBytes))
		d.frames[s] = readFrames(r, size)
	}
	d.readTimes(r)
	return d.readRows(r, version)
}

// bytes returns the memory that a decoded page takes, with its aggregates.
func (d *directoryPage) bytes() int {
	n := len(d.times)*int(unsafe.Sizeof(timeColumn{})) + len(d.rows)*int(unsafe.Sizeof(row{})) +
		len(d.aggregates.encoded.stored) + d.aggregates.n*int(unsafe.Sizeof(Aggregate{}))
	for s := range d.frames {
		n += len(d.frames[s])*int(unsafe.Sizeof(frame{})) + len(d.inline[s])
	}
	return n
}

func appendFrames(dst []byte, fs []frame) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(fs)))
	var end int64
	for _, f := range fs {
		dst = binary.AppendVarint(dst, f.off-end)
		end = f.off + int64(f.stored)
	}
	for _, f := range fs {
		dst = binary.AppendUvarint(dst, uint64(f.stored))
	}
	for _, f := range fs {
		dst = binary.AppendUvarint(dst, uint64(f.raw))
	}
	for _, f := range fs {
		dst = binary.LittleEndian.AppendUint32(dst, f.crc)
	}
	return dst
}

func readFrames(r *format.Reader, size int64) []frame {
	const bytesMin = 7 // of a frame
	n := r.Uvarint(uint64(len(r.B)) / bytesMin)
	fs := make([]frame, n)
	var buf [format.NumberBatch]uint64
	for part := range slices.Chunk(fs, format.NumberBatch) {
		for i, v := range r.Uvarints(buf[:len(part)], math.MaxUint64) {
			part[i].off = format.Unzigzag(v) // from the end of the last, made absolute below
		}
	}
	for part := range slices.Chunk(fs, format.NumberBatch) {
		for i, v := range r.Uvarints(buf[:len(part)], maxColumnBytes) {
			part[i].stored = uint32(v)
		}
	}
	for part := range slices.Chunk(fs, format.NumberBatch) {
		for i, v := range r.Uvarints(buf[:len(part)], maxColumnBytes) {
			part[i].raw = uint32(v)
		}
	}
	crcs := r.Bytes(4 * n)
	if r.Err != nil {
		return nil
	}
	for i := range fs {
		fs[i].crc = binary.LittleEndian.Uint32(crcs[4*i:])
	}
	var end int64
	for i := range fs {
		f := &fs[i]
		f.off += end
		if f.off < HeaderLen || f.off > size || int64(f.stored) > size-f.off || f.stored == 0 {
			r.Fail("frame outside of the file")
			return nil
		}
		end = f.off + int64(f.stored)
	}
	return fs
}

func (d *directoryPage) appendTimes(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(d.times)))
	for _, t := range d.times {
		lost := uint64(0)
		if t.length == 0 {
			lost = 1
		}
		dst = binary.AppendUvarint(dst, uint64(t.count)<<1|lost)
	}
	var last int64
	for _, t := range d.times {
		dst = binary.AppendVarint(dst, t.min-last)
		last = t.min
	}
	for _, t := range d.times {
		dst = binary.AppendUvarint(dst, uint64(t.max-t.min))
	}
	c := refCoder{page: d, stream: streamTimes}
	for _, t := range d.times {
		if t.length > 0 {
			dst = c.append(dst, t.columnRef)
		}
	}
	return dst
}

func (d *directoryPage) readTimes(r *format.Reader) {
	const bytesMin = 3 // of a column
	ts := make([]timeColumn, r.Uvarint(uint64(len(r.B))/bytesMin))
	var buf [format.NumberBatch]uint64
	for part := range slices.Chunk(ts, format.NumberBatch) {
		for i, v := range r.Uvarints(buf[:len(part)], math.MaxUint32<<1|1) {
			part[i].count = uint32(v >> 1)
			part[i].length = uint32(^v & 1) // replaced below
		}
	}
	var last int64
	for part := range slices.Chunk(ts, format.NumberBatch) {
		for i, v := range r.Uvarints(buf[:len(part)], math.MaxUint64) {
			last += format.Unzigzag(v)
			part[i].min = last
		}
	}
	for part := range slices.Chunk(ts, format.NumberBatch) {
		for i, v := range r.Uvarints(buf[:len(part)], math.MaxInt64) {
			part[i].max = part[i].min + int64(v)
		}
	}
	for i := range ts {
		t := &ts[i]
		if t.count == 0 || t.max < t.min || uint64(t.max-t.min) < uint64(t.count-1) {
			r.Fail("count or times of a time column")
			return
		}
	}
	c := refCoder{page: d, stream: streamTimes}
	for i := range ts {
		if ts[i].length > 0 {
			ts[i].columnRef = c.read(r)
		}
	}
	d.times = ts
}

func (d *directoryPage) appendRows(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(d.rows)))
	var ord uint32
	for _, w := range d.rows {
		dst = binary.AppendUvarint(dst, uint64(w.ord-ord))
		ord = w.ord
	}
	for _, w := range d.rows {
		dst = append(dst, byte(w.flags))
	}
	for _, w := range d.rows {
		dst = append(dst, byte(w.flags>>8))
	}
	next := int64(0)
	for _, w := range d.rows {
		dst = binary.AppendVarint(dst, int64(w.time)-next)
		next = int64(w.time) + 1
	}
	c := refCoder{page: d, stream: streamValues}
	for _, w := range d.rows {
		if w.flags.hasColumns() {
			dst = c.append(dst, w.value)
		}
		if w.flags&rowStarts != 0 {
			dst = c.append(dst, w.starts)
		}
	}
	return dst
}

// readRows reads the rows and returns the number of them with an aggregate.
func (d *directoryPage) readRows(r *format.Reader, version uint32) (aggregates int) {
	const bytesMin = 3 // of a row, before versionRollups
	rows := make([]row, r.Uvarint(uint64(len(r.B))/bytesMin))
	var buf [format.NumberBatch]uint64
	ord := uint64(0)
	for part := range slices.Chunk(rows, format.NumberBatch) {
		for i, v := range r.Uvarints(buf[:len(part)], math.MaxUint32) {
			ord += v
			part[i].ord = uint32(ord)
		}
	}
	if ord > maxSeriesInBlock {
		r.Fail("ordinal out of range")
		return 0
	}
	if d.readFlags(r, rows, version); r.Err != nil {
		return 0
	}
	for i := range rows {
		if !rows[i].flags.valid() {
			r.Fail("flags of a chunk")
			return 0
		}
		if rows[i].flags&rowAggregate != 0 {
			rows[i].aggregate = uint32(aggregates)
			aggregates++
		}
	}
	next := int64(0)
	for part := range slices.Chunk(rows, format.NumberBatch) {
		for i, v := range r.Uvarints(buf[:len(part)], math.MaxUint64) {
			next += format.Unzigzag(v)
			if uint64(next) >= uint64(len(d.times)) {
				r.Fail("chunk without time column")
				return 0
			}
			t, kind := &d.times[next], part[i].flags.kind()
			if part[i].flags.hasColumns() && t.length == 0 || kind == KindStandIn && t.length > 0 {
				r.Fail("chunk with a lost time column, or a stand-in with one")
				return 0
			}
			if t.count > MaxChunkSamples && kind != KindStandIn {
				r.Fail("rows of a chunk")
				return 0
			}
			part[i].time = uint32(next)
			next++
		}
	}
	c := refCoder{page: d, stream: streamValues}
	for i := 0; i < len(rows); i++ {
		if i += c.readPlain(r, rows[i:]); i == len(rows) {
			break
		}
		if rows[i].flags.hasColumns() {
			rows[i].value = c.read(r)
		}
		if rows[i].flags&rowStarts != 0 {
			rows[i].starts = c.read(r)
		}
	}
	d.rows = rows
	return aggregates
}

// readFlags sets the flags of the rows, which the caller validates.
func (d *directoryPage) readFlags(r *format.Reader, rows []row, version uint32) {
	n := uint64(len(rows))
	if version < versionRollups {
		for i, b := range r.Bytes(n) {
			rows[i].flags = flagsOfByte(b)
		}
		return
	}
	for i, b := range r.Bytes(n) {
		rows[i].flags = rowFlags(b)
	}
	for i, b := range r.Bytes(n) {
		rows[i].flags |= rowFlags(b) << 8
	}
}
