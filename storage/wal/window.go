package wal

import (
	"errors"
	"fmt"
	"io"

	"tsdb/internal/vfs"
)

// windowBytes is the size of reads. It exceeds no frame by itself; a larger
// frame makes the window grow, up to the bound of a frame.
const windowBytes = 1 << 20

// window reads a file front to back in large pieces.
type window struct {
	file  vfs.File
	size  int64 // of the file
	start int64 // offset of buf
	buf   []byte
}

// at returns n bytes from off, fewer only at the end of the file. They are
// valid until the next call.
func (w *window) at(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), max(w.size-off, 0)))
	if off >= w.start && off+int64(n) <= w.start+int64(len(w.buf)) {
		return w.buf[off-w.start:][:n], nil
	}
	want := int(min(int64(max(n, windowBytes)), w.size-off))
	if want <= 0 {
		return nil, nil
	}
	if cap(w.buf) < want {
		w.buf = make([]byte, want)
	}
	w.buf, w.start = w.buf[:want], off
	if _, err := w.file.ReadAt(w.buf, off); err != nil && !errors.Is(err, io.EOF) {
		w.buf = w.buf[:0]
		return nil, fmt.Errorf("read segment %s@%d: %w", w.file.Name(), off, err)
	}
	return w.buf[:n], nil
}

// rest returns what the window already holds from off on.
func (w *window) rest(off int64) []byte {
	if off < w.start || off >= w.start+int64(len(w.buf)) {
		return nil
	}
	return w.buf[off-w.start:]
}
