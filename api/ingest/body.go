package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
)

const (
	// firstRead is how much is set aside for a body before any of it has
	// arrived, whatever length the client announced.
	firstRead = 64 << 10
	// maxKept is the largest buffer that is kept for the next request.
	maxKept = 4 << 20
	// maxSnappyRatio bounds what a byte of a snappy block can become: a copy
	// of 64 bytes takes three.
	maxSnappyRatio = 22
	// decodedCost is what a decoded byte costs at most once its samples stand
	// in the columns of a batch, as a multiple of it: the smallest sample on
	// the wire takes 9 bytes there and 32 here.
	decodedCost = 4
)

var (
	errTooLarge = errors.New("request body too large")
	errOverload = errors.New("too many bytes of requests under way")
	errRead     = errors.New("read request body")
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

// body reads and decompresses request bodies into memory it keeps. It belongs
// to one request at a time.
type body struct {
	raw, decoded []byte
	gzip         *gzip.Reader
	src          sliceReader
	budget       *budget
	charged      int64
}

// release gives back what the request was charged and lets go of large buffers.
func (b *body) release() {
	b.budget.give(b.charged)
	b.charged = 0
	if cap(b.raw) > maxKept {
		b.raw = nil
	}
	if cap(b.decoded) > maxKept {
		b.decoded = nil
	}
	b.src = sliceReader{}
}

func (b *body) charge(ctx context.Context, n int) error {
	if !b.budget.take(ctx, int64(n)) {
		return errOverload
	}
	b.charged += int64(n)
	return nil
}

// read returns the body of r as it came, at most limit bytes. The slice is
// valid until the next read.
func (b *body) read(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, fmt.Errorf("%w: %d bytes, limit is %d", errTooLarge, r.ContentLength, limit)
	}
	var err error
	b.raw, err = b.fill(r.Context(), b.raw[:0], r.Body, r.ContentLength, limit)
	switch {
	case err == nil:
		return b.raw, nil
	case errors.Is(err, errTooLarge):
		return nil, fmt.Errorf("%w: limit is %d bytes", errTooLarge, limit)
	case errors.Is(err, errOverload):
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", errRead, err)
}

// fill reads src to its end into dst, which grows with what arrives. hint is
// the announced length, below zero if there was none.
func (b *body) fill(ctx context.Context, dst []byte, src io.Reader, hint, limit int64) ([]byte, error) {
	if err := b.charge(ctx, cap(dst)); err != nil {
		return dst, err
	}
	for {
		if len(dst) == cap(dst) {
			more := max(firstRead, cap(dst))
			if hint >= 0 && hint < int64(len(dst)+more) {
				more = max(int(hint)-len(dst), 0) + 512 // room to see the end
			}
			if err := b.charge(ctx, more); err != nil {
				return dst, err
			}
			grown := make([]byte, len(dst), cap(dst)+more)
			copy(grown, dst)
			dst = grown
		}
		n, err := src.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if int64(len(dst)) > limit {
			return dst, errTooLarge
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// unsnap decompresses a snappy block of at most limit bytes. The slice is valid
// until the next call.
func (b *body) unsnap(ctx context.Context, src []byte, limit int64) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return nil, &corruptError{"snappy", err}
	}
	if int64(n) > limit {
		return nil, fmt.Errorf("%w: decodes to %d bytes, limit is %d", errTooLarge, n, limit)
	}
	if n > len(src)*maxSnappyRatio {
		return nil, &corruptError{"snappy", fmt.Errorf("%d bytes cannot decode to %d", len(src), n)}
	}
	if err := b.charge(ctx, n*(1+decodedCost)); err != nil {
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
func (b *body) gunzip(ctx context.Context, src []byte, limit int64) ([]byte, error) {
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
	b.decoded, err = b.fill(ctx, b.decoded[:0], b.gzip, -1, limit)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, fmt.Errorf("%w: decodes to more than %d bytes", errTooLarge, limit)
	case errors.Is(err, errOverload):
		return nil, err
	case err != nil:
		return nil, &corruptError{"gzip", err}
	}
	return b.decoded, nil
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
