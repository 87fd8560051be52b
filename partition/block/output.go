package block

import (
	"fmt"

	"tsdb/encoding"
	"tsdb/internal/vfs"
)

const (
	outputBufferBytes = 256 << 10 // written in one call
	syncBytes         = 16 << 20  // synced in one call, so that the last sync is short
)

// output writes a file front to back once. After an error it does nothing more;
// the error comes from finish.
type output struct {
	f      vfs.File
	buf    []byte // not written yet
	off    int64  // of the next byte, buffered ones included
	synced int64  // bytes written and synced
	crc    uint32 // of what was written since the last section call
	err    error
}

// write appends b to the file.
func (o *output) write(b []byte) {
	o.crc = encoding.ChecksumSeeded(o.crc, b)
	if len(o.buf)+len(b) > outputBufferBytes {
		o.flush()
	}
	if len(b) > outputBufferBytes {
		o.writeAt(b, o.off)
	} else {
		o.buf = append(o.buf, b...)
	}
	o.off += int64(len(b))
}

// flush writes what is buffered.
func (o *output) flush() {
	o.writeAt(o.buf, o.off-int64(len(o.buf)))
	o.buf = o.buf[:0]
}

func (o *output) writeAt(b []byte, off int64) {
	if o.err != nil || len(b) == 0 {
		return
	}
	if _, err := o.f.WriteAt(b, off); err != nil {
		o.err = fmt.Errorf("write %s@%d: %w", o.f.Name(), off, err)
		return
	}
	if end := off + int64(len(b)); end-o.synced >= syncBytes {
		o.sync(end)
	}
}

func (o *output) sync(end int64) {
	if o.err != nil {
		return
	}
	if err := o.f.Sync(); err != nil {
		o.err = fmt.Errorf("sync %s: %w", o.f.Name(), err)
		return
	}
	o.synced = end
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

// finish writes and syncs what is left and returns the first error.
func (o *output) finish() error {
	o.flush()
	o.sync(o.off)
	return o.err
}
