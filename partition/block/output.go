package block

import (
	"tsdb/encoding"
	"tsdb/internal/objstore"
)

// output writes the object of a block front to back once. After an error it does
// nothing more; the error is in err.
type output struct {
	object objstore.Writer
	off    int64  // of the next byte
	crc    uint32 // of what was written since the last section call
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

// section starts a section: the checksum begins anew. It returns the offset.
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
