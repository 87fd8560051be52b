package block

// StoredBytes returns the bytes of the file that hold the chunk's times and values,
// according to the directory. A column in a shared compressed frame counts as its
// share of it; a column that several chunks share counts for each of them.
func (c Chunk) StoredBytes() int64 {
	w := &c.page.rows[c.row]
	t := &c.page.times[w.time]
	return c.page.storedBytes(streamTimes, t.columnRef) + c.page.storedBytes(streamValues, w.value) + c.page.storedBytes(streamValues, w.starts)
}

func (d *directoryPage) storedBytes(s stream, c columnRef) int64 {
	if c.length == 0 || c.frame == inlineFrame {
		return int64(c.length)
	}
	f := d.frames[s][c.frame]
	if f.raw == 0 {
		return int64(c.length)
	}
	return int64(c.length) * int64(f.stored) / int64(f.raw)
}
