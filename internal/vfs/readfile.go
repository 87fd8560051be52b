package vfs

import (
	"errors"
	"io"
)

// readBytes bounds one read of ReadFile.
const readBytes = 1 << 20

// ReadFile returns the bytes of a file. admit sees its size before memory is taken for it;
// an error of it ends the call. A file that ends before its size is io.ErrUnexpectedEOF.
func ReadFile(fsys FS, name string, admit func(size int64) error) (b []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if err := admit(size); err != nil {
		return nil, err
	}
	b = make([]byte, size)
	for off := 0; off < len(b); off += readBytes {
		part := b[off:min(off+readBytes, len(b))]
		if n, err := f.ReadAt(part, int64(off)); n < len(part) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b, nil
}
