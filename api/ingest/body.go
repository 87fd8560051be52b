package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"

	"tsdb/api/reqbody"
)

const (
	// minGrowBytes is the first size of a buffer for bytes of unknown number.
	minGrowBytes = 64 << 10
	// maxPooledBytes is the largest buffer that is kept for the next request.
	maxPooledBytes = 4 << 20
	// maxSnappyRatio bounds what a byte of a snappy block can become: a copy
	// of 64 bytes takes three.
	maxSnappyRatio = 22
	// maxGzipRatio is the same of deflate: 258 bytes of two bits.
	maxGzipRatio = 1032
	// decodedCost is what a decoded byte costs at most once its samples stand
	// in the columns of a batch, as a multiple of it: the smallest sample on
	// the wire takes 9 bytes there and 32 here.
	decodedCost = 4
)

// corruptError is a body that does not decompress.
type corruptError struct {
	encoding string
	err      error
}

func (e *corruptError) Error() string {
	return fmt.Sprintf("decompress %s body: %v", e.encoding, e.err)
}

func (e *corruptError) Unwrap() error { return e.err }

// body decompresses request bodies into memory it keeps. It belongs to one
// request at a time, whose budget is charged for it.
type body struct {
	raw, decoded []byte
	gzip         *gzip.Reader
	src          sliceReader
	charge       *reqbody.Charge // of the request
}

// release forgets the request, and large buffers.
func (b *body) release() {
	b.charge = nil
	if cap(b.raw) > maxPooledBytes {
		b.raw = nil
	}
	if cap(b.decoded) > maxPooledBytes {
		b.decoded = nil
	}
	b.src = sliceReader{}
}

// bytes returns the bytes of in, and charges to it what is decoded from them.
// The slice is valid until the release of in.
func (b *body) bytes(ctx context.Context, in *reqbody.Body) ([]byte, error) {
	b.charge = in.Charge()
	return in.Bytes(ctx, &b.raw)
}

// decodeSnappy decompresses a snappy block of at most limit bytes. The slice is valid
// until the next call.
func (b *body) decodeSnappy(ctx context.Context, src []byte, limit reqbody.Limit) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return nil, &corruptError{"snappy", err}
	}
	if int64(n) > limit.Bytes {
		return nil, limit.Exceeded("it decodes to", int64(n))
	}
	if n > len(src)*maxSnappyRatio {
		return nil, &corruptError{"snappy", fmt.Errorf("%d bytes cannot decode to %d", len(src), n)}
	}
	if err := b.charge.Take(ctx, int64(n)*(1+decodedCost)); err != nil {
		return nil, err
	}
	if cap(b.decoded) < n {
		b.decoded = make([]byte, n+n/8)
	}
	out, err := snappy.Decode(b.decoded[:cap(b.decoded)], src)
	if err != nil {
		return nil, &corruptError{"snappy", err}
	}
	return out, nil
}

// gunzip decompresses a gzip body of at most limit bytes. The slice is valid
// until the next call.
func (b *body) gunzip(ctx context.Context, src []byte, limit reqbody.Limit) ([]byte, error) {
	b.src = sliceReader{src}
	var err error
	if b.gzip == nil {
		b.gzip, err = gzip.NewReader(&b.src)
	} else {
		err = b.gzip.Reset(&b.src)
	}
	if err != nil {
		return nil, &corruptError{"gzip", err}
	}
	b.decoded, err = b.inflate(ctx, b.decoded[:0], gzipLength(src, limit.Bytes), limit)
	switch {
	case err == nil:
		return b.decoded, nil
	case errors.Is(err, reqbody.ErrTooLarge), retryable(err):
		return nil, err
	}
	return nil, &corruptError{"gzip", err}
}

// gzipLength returns the length that the end of a gzip body announces, or 0 if
// that cannot be true. A body of several members announces only that of the
// last.
func gzipLength(src []byte, limit int64) int64 {
	if len(src) < 18 { // header and trailer
		return 0
	}
	n := int64(binary.LittleEndian.Uint32(src[len(src)-4:]))
	if n > limit || n > int64(len(src))*maxGzipRatio {
		return 0
	}
	return n
}

// inflate reads the gzip reader to its end into dst, which is charged before it
// grows: to the announced length at once, and beyond by doubling.
func (b *body) inflate(ctx context.Context, dst []byte, announced int64, limit reqbody.Limit) ([]byte, error) {
	if err := b.charge.Take(ctx, int64(cap(dst))); err != nil {
		return dst, err
	}
	grow := max(int(announced)+1, minGrowBytes) // room to see the end
	for {
		if len(dst) == cap(dst) {
			size := max(2*cap(dst), grow)
			if err := b.charge.Take(ctx, int64(size)); err != nil { // besides the old one
				return dst, err
			}
			grown := make([]byte, len(dst), size)
			copy(grown, dst)
			dst = grown
		}
		n, err := b.gzip.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if int64(len(dst)) > limit.Bytes {
			return dst, limit.Exceeded("it decodes to", -1)
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// sliceReader is what gzip reads from: a bytes.Reader that can be emptied and
// is itself the ByteReader the inflater wants.
type sliceReader struct{ b []byte }

func (r *sliceReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

func (r *sliceReader) ReadByte() (byte, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c, nil
}
