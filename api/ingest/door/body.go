package door

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"tsdb/api/reqbody"
)

const (
	// minGrowBytes is the initial size of a buffer for output of unknown length.
	minGrowBytes = 64 << 10
	// maxPooledBytes is the largest buffer that is kept for reuse.
	maxPooledBytes = 4 << 20
	// maxSnappyRatio bounds the compression ratio of a snappy block: a copy
	// of 64 bytes is encoded in three.
	maxSnappyRatio = 22
	// maxGzipRatio bounds the compression ratio of deflate: a copy of 258
	// bytes is encoded in two bits.
	maxGzipRatio = 1032
	// DecodedCost is the maximum number of bytes in the columns of a batch per
	// decompressed byte: the smallest sample takes 9 bytes on the wire and 32
	// in a batch.
	DecodedCost = 4
)

// Body decompresses request bodies into buffers that it reuses. It serves one
// request at a time.
type Body struct {
	raw, decoded []byte
	gzip         *gzip.Reader
	zlib         io.Reader // a zlib.Resetter too
	zstd         *zstd.Decoder
	src          sliceReader
}

// release drops the references to the request, and large buffers.
func (b *Body) release() {
	if cap(b.raw) > maxPooledBytes {
		b.raw = nil
	}
	if cap(b.decoded) > maxPooledBytes {
		b.decoded = nil
	}
	b.src = sliceReader{}
}

// Bytes returns the bytes of in. The slice is valid until in is released.
func (b *Body) Bytes(ctx context.Context, in *reqbody.Body) ([]byte, error) {
	return in.Bytes(ctx, &b.raw)
}

// Snappy decompresses a snappy block to at most limit bytes and charges them. The
// slice is valid until the next call.
func (b *Body) Snappy(ctx context.Context, src []byte, limit reqbody.Limit, charge *reqbody.Charge) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return nil, corrupt("snappy", err)
	}
	if int64(n) > limit.Bytes {
		return nil, limit.Exceeded("it decodes to", int64(n))
	}
	if n > len(src)*maxSnappyRatio {
		return nil, corrupt("snappy", fmt.Errorf("%d bytes cannot decode to %d", len(src), n))
	}
	if err := charge.Take(ctx, int64(n)*(1+DecodedCost)); err != nil {
		return nil, err
	}
	if cap(b.decoded) < n {
		b.decoded = make([]byte, n+n/8)
	}
	out, err := snappy.Decode(b.decoded[:cap(b.decoded)], src)
	if err != nil {
		return nil, corrupt("snappy", err)
	}
	return out, nil
}

// Gunzip decompresses a gzip body to at most limit bytes. The slice is valid
// until the next call.
func (b *Body) Gunzip(ctx context.Context, src []byte, limit reqbody.Limit, charge *reqbody.Charge) ([]byte, error) {
	b.src = sliceReader{src}
	var err error
	if b.gzip == nil {
		b.gzip, err = gzip.NewReader(&b.src)
	} else {
		err = b.gzip.Reset(&b.src)
	}
	if err != nil {
		return nil, corrupt("gzip", err)
	}
	return b.drain(ctx, "gzip", b.gzip, gzipLength(src, limit.Bytes), limit, charge)
}

// Inflate decompresses a body in the zlib format, which HTTP calls deflate, to at most
// limit bytes. The slice is valid until the next call.
func (b *Body) Inflate(ctx context.Context, src []byte, limit reqbody.Limit, charge *reqbody.Charge) ([]byte, error) {
	b.src = sliceReader{src}
	var err error
	if b.zlib == nil {
		b.zlib, err = zlib.NewReader(&b.src)
	} else {
		err = b.zlib.(zlib.Resetter).Reset(&b.src, nil)
	}
	if err != nil {
		b.zlib = nil // it cannot be reset after some errors
		return nil, corrupt("deflate", err)
	}
	return b.drain(ctx, "deflate", b.zlib, 0, limit, charge)
}

// drain returns the output of a decompressor.
func (b *Body) drain(ctx context.Context, encoding string, from io.Reader, announced int64, limit reqbody.Limit, charge *reqbody.Charge) ([]byte, error) {
	var err error
	b.decoded, err = inflate(ctx, b.decoded[:0], from, announced, limit, charge)
	switch {
	case err == nil:
		return b.decoded, nil
	case errors.Is(err, reqbody.ErrTooLarge), Retryable(err):
		return nil, err
	}
	return nil, corrupt(encoding, err)
}

// gzipLength returns the decompressed length stored in the trailer of a gzip
// body, or 0 if it is implausible. In a body of several members the trailer
// covers only the last.
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

// inflate appends the output of a decompressor to dst and charges dst before it
// grows: first to the announced length, then by doubling.
func inflate(ctx context.Context, dst []byte, from io.Reader, announced int64, limit reqbody.Limit, charge *reqbody.Charge) ([]byte, error) {
	if err := charge.Take(ctx, int64(cap(dst))); err != nil {
		return dst, err
	}
	grow := max(int(announced)+1, minGrowBytes) // one more byte, so that EOF is read without growing
	for {
		if len(dst) == cap(dst) {
			size := max(2*cap(dst), grow)
			if err := charge.Take(ctx, int64(size)); err != nil { // on top of the old buffer
				return dst, err
			}
			grown := make([]byte, len(dst), size)
			copy(grown, dst)
			dst = grown
		}
		n, err := from.Read(dst[len(dst):cap(dst)])
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

// sliceReader is the source of the decompressors. Unlike a bytes.Reader it can be
// cleared. It implements io.ByteReader, so that the inflater does not wrap it.
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

// Compression returns the compression format that the first bytes of a body
// indicate, "" if none.
func Compression(body []byte) string {
	for _, c := range [...]struct{ magic, name string }{
		{"\x1f\x8b", "gzip"}, {"\x28\xb5\x2f\xfd", "zstd"}, {"\xff\x06\x00\x00sNaPpY", "framed snappy"},
	} {
		if bytes.HasPrefix(body, []byte(c.magic)) {
			return c.name
		}
	}
	return ""
}
