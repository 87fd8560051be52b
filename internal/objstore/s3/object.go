package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"tsdb/internal/objstore"
)

// costs are those of a network: a request takes tens of milliseconds, in which a
// connection transfers about a MiB.
var costs = objstore.Costs{Gap: 1 << 20, MaxSpan: 8 << 20, Parallel: 16}

const (
	openTail  = 64 << 10 // read by Open
	readTries = 5        // attempts to read on where a body ended early
)

// object is an open object.
type object struct {
	s      *Store
	key    string
	size   int64
	etag   string
	tail   []byte // its last bytes
	closed atomic.Bool
}

// Open implements objstore.Store.
func (s *Store) Open(ctx context.Context, key string) (objstore.Object, error) {
	return s.open(ctx, key, openTail)
}

// Head implements objstore.Store.
func (s *Store) Head(ctx context.Context, key string) (objstore.Identity, error) {
	o, err := s.open(ctx, key, objstore.TailBytes)
	if err != nil {
		return objstore.Identity{}, err
	}
	return o.identity(), nil
}

func (o *object) identity() objstore.Identity { return objstore.IdentityOf(o.size, o.tail) }

// open opens an object and reads its last n bytes.
func (s *Store) open(ctx context.Context, key string, n int) (*object, error) {
	if err := s.check(ctx, key); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		o, err := s.openOnce(ctx, key, n)
		if err == nil || !errors.Is(err, io.ErrUnexpectedEOF) || try == readTries {
			return o, err
		}
	}
}

func (s *Store) openOnce(ctx context.Context, key string, n int) (*object, error) {
	o := &object{s: s, key: key}
	resp, err := s.client.GetObject(ctx, &sdk.GetObjectInput{Bucket: &s.bucket, Key: aws.String(s.name(key)), Range: aws.String("bytes=-" + strconv.Itoa(n))})
	if status(err) == http.StatusRequestedRangeNotSatisfiable { // an empty object has no last bytes
		resp, err = s.client.GetObject(ctx, &sdk.GetObjectInput{Bucket: &s.bucket, Key: aws.String(s.name(key))})
	}
	if err != nil {
		return nil, s.wrap(ctx, "open", key, err)
	}
	defer resp.Body.Close()
	length := aws.ToInt64(resp.ContentLength)
	o.size, o.etag = length, aws.ToString(resp.ETag)
	if text := aws.ToString(resp.ContentRange); text != "" {
		_, total, ok := strings.Cut(text, "/")
		if o.size, err = strconv.ParseInt(total, 10, 64); err != nil || !ok || length > o.size {
			return nil, fmt.Errorf("open %s: the service sends %d bytes as %q", s.place(key), length, text)
		}
	}
	if length != min(o.size, int64(n)) {
		return nil, fmt.Errorf("open %s: the service sends %d of the last %d bytes of %d", s.place(key), length, n, o.size)
	}
	o.tail = make([]byte, length)
	if _, err := io.ReadFull(resp.Body, o.tail); err != nil {
		return nil, s.wrap(ctx, "read", key, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return o, nil
}

// Size implements objstore.Object.
func (o *object) Size() int64 { return o.size }

// Close implements objstore.Object.
func (o *object) Close() error {
	if o.closed.Swap(true) {
		return fmt.Errorf("close %s: %w", o.key, fs.ErrClosed)
	}
	return nil
}

// ReadAt implements objstore.Object.
func (o *object) ReadAt(ctx context.Context, p []byte, off int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if end := off + int64(len(p)); end > o.size {
		return &objstore.ShortError{Key: o.key, Offset: off, Read: int(max(0, o.size-off)), Len: len(p)}
	}
	if len(p) == 0 {
		return nil
	}
	if tailOff := o.size - int64(len(o.tail)); off >= tailOff {
		copy(p, o.tail[off-tailOff:])
		return nil
	}
	r := &reader{ctx: ctx, o: o, off: off, end: off + int64(len(p))}
	defer r.Close()
	_, err := io.ReadFull(r, p)
	return err
}

// ReadRanges implements objstore.Object.
func (o *object) ReadRanges(ctx context.Context, ranges []objstore.Range) error {
	return costs.ReadRanges(ctx, o.ReadAt, ranges)
}

// NewReader implements objstore.Streamer.
func (o *object) NewReader(ctx context.Context) io.ReadCloser {
	return &reader{ctx: ctx, o: o, end: o.size}
}

// reader reads a part of an object front to back.
type reader struct {
	ctx   context.Context // of the requests
	o     *object
	off   int64
	end   int64
	body  io.ReadCloser // nil = no request is open
	tries int           // requests since the last byte
}

// Read implements io.Reader. A body that breaks off is requested again from there.
func (r *reader) Read(p []byte) (int, error) {
	if r.off >= r.end {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.end-r.off)]
	for {
		if r.body == nil {
			if err := r.request(); err != nil {
				return 0, err
			}
		}
		n, err := r.body.Read(p)
		r.off += int64(n)
		if n > 0 {
			r.tries = 0
			return n, nil // an error that is left comes again
		}
		if err == nil {
			continue
		}
		_ = r.Close() // the error of the read says more
		if r.tries >= readTries || r.ctx.Err() != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, r.o.s.wrap(r.ctx, "read", r.o.key, err)
		}
	}
}

// request opens the body of the remaining bytes.
func (r *reader) request() error {
	s := r.o.s
	r.tries++
	resp, err := s.client.GetObject(r.ctx, &sdk.GetObjectInput{
		Bucket: &s.bucket, Key: aws.String(s.name(r.o.key)), IfMatch: aws.String(r.o.etag), Range: aws.String(fmt.Sprintf("bytes=%d-%d", r.off, r.end-1)),
	})
	if status(err) == http.StatusPreconditionFailed {
		return &Error{Op: "read", Place: s.place(r.o.key), What: "the object has been replaced meanwhile", Err: err}
	}
	if err != nil {
		return s.wrap(r.ctx, "read", r.o.key, err)
	}
	if from := fmt.Sprintf("bytes %d-", r.off); !strings.HasPrefix(aws.ToString(resp.ContentRange), from) {
		_ = resp.Body.Close()
		return fmt.Errorf("read %s: the service sends %q instead of the bytes from %d on", s.place(r.o.key), aws.ToString(resp.ContentRange), r.off)
	}
	r.body = resp.Body
	return nil
}

// Close ends the request that is open.
func (r *reader) Close() error {
	if r.body == nil {
		return nil
	}
	body := r.body
	r.body = nil
	return body.Close()
}
