package block

import (
	"tsdb/encoding"
	"tsdb/internal/objstore"
)

// output writes the object of a block once, front to back. After an error, which
// it keeps in err, it does nothing.
type output struct {
	object objstore.Writer
	off    int64  // of the next byte
	crc    uint32 // of the bytes written since the last call of section
	err    error
}

// write appends b to the object.
func (o *output) write(b []byte) {
	o.crc = encoding.ChecksumSeeded(o.crc, b)
	o.off += int64(len(b))
	if o.err == nil {
		_, o.err = o.object.Write(b)
	}
}

// section starts a section: it resets the checksum and returns the offset.
func (o *output) section() int64 {
	o.crc = 0
	return o.off
}

// writePage writes a page of an index section.
func (o *output) writePage(p page, stored []byte) page {
	p.off = o.off
	o.write(stored)
	return p
}
