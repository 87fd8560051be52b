package wal

import (
	"errors"
	"fmt"
	"io"

	"tsdb/internal/vfs"
)

// fileReaderBytes is the size of reads. The buffer grows for a larger frame,
// up to the limit of a frame.
const fileReaderBytes = 1 << 20

// fileReader reads a file front to back with large reads.
type fileReader struct {
	file  vfs.File
	size  int64 // of the file
	start int64 // offset of buf
	buf   []byte
}

// at returns n bytes from off, fewer only at the end of the file. They are
// valid until the next call.
func (w *fileReader) at(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), max(w.size-off, 0)))
	if off >= w.start && off+int64(n) <= w.start+int64(len(w.buf)) {
		return w.buf[off-w.start:][:n], nil
	}
	want := int(min(int64(max(n, fileReaderBytes)), w.size-off))
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

// rest returns the buffered bytes from off on.
func (w *fileReader) rest(off int64) []byte {
	if off < w.start || off >= w.start+int64(len(w.buf)) {
		return nil
	}
	return w.buf[off-w.start:]
}
