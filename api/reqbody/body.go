package reqbody

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// chunkBytes is the size of a chunk: about the size of one read from a socket,
// and small enough that a thousand stalled bodies take about 30 MB.
const chunkBytes = 32 << 10

type chunk [chunkBytes]byte

// Errors of bodies.
var (
	// ErrTooLarge is returned for a body over its limit.
	ErrTooLarge = errors.New("request body too large")
	// ErrTooSlow is returned for a body that stays below the minimum rate.
	ErrTooSlow = errors.New("request body arrived too slowly")
	// ErrRead is returned if reading the body fails, as when the client disconnects.
	ErrRead = errors.New("read request body")
)

// Limit is the maximum size of a body.
type Limit struct {
	Bytes   int64
	Setting string // name of its flag; empty = not configurable
}

// Exceeded returns an error that wraps ErrTooLarge, for a size of n bytes; n is
// negative if the size is unknown.
func (l Limit) Exceeded(what string, n int64) error {
	setting := ""
	if l.Setting != "" {
		setting = " of --" + l.Setting
	}
	if n < 0 {
		return fmt.Errorf("%w: %s more than %d bytes, the limit%s", ErrTooLarge, what, l.Bytes, setting)
	}
	return fmt.Errorf("%w: %s %d bytes, limit%s is %d", ErrTooLarge, what, n, setting, l.Bytes)
}

// Body is a request's body in memory. It belongs to the request that read it,
// until Release.
type Body struct {
	charge Charge
	chunks []*chunk // all full but the last
	size   int
	read   int // bytes returned by Read

	// While it is unfinished:
	index   int                 // in the budget's list
	dueNano atomic.Int64        // Unix nanoseconds; others read it
	yielded atomic.Bool         // set under the budget's lock
	w       http.ResponseWriter // to set read deadlines; nil once the body is complete
	armed   time.Time           // the connection's deadline
	cut     func()              // closes the connection of gRPC messages, which have no w
}

// Read reads the body of r to its end. The caller releases it. The error is
// ErrTooLarge, ErrTooSlow, ErrYielded, ErrOverload, that of the request's
// context, or else wraps ErrRead.
func (b *Budget) Read(w http.ResponseWriter, r *http.Request, limit Limit) (*Body, error) {
	if r.ContentLength > limit.Bytes {
		return nil, limit.Exceeded("it has", r.ContentLength)
	}
	x, _ := b.released.Get().(*Body)
	if x == nil {
		x = &Body{charge: Charge{budget: b}}
	}
	x.w, x.size, x.read, x.armed = w, 0, 0, time.Time{}
	x.yielded.Store(false)
	due := b.pace.begin(b.clock.Now())
	x.dueNano.Store(due.UnixNano())
	b.begin(x)
	x.arm(due)
	finished := false
	defer func() {
		if !finished { // a panic of the reader
			b.end(x)
			x.Release()
		}
	}()
	err := x.fill(r.Context(), r.Body, limit)
	finished = true
	switch yielded := b.end(x); {
	case err == nil:
		// While the answer is made, the server reads on to see whether the
		// client is still there: that has no limit.
		x.setDeadline(time.Time{})
		x.w = nil
		return x, nil
	case yielded:
		err = ErrYielded
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.endedSlow.Inc()
		err = fmt.Errorf("%w: %d bytes came, then less than %d bytes a second, the least of --web.min-body-rate, for %v", ErrTooSlow, x.size, b.pace.minRate, Grace)
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrOverload), errors.Is(err, ErrYielded), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		err = fmt.Errorf("%w: %w", ErrRead, err)
	}
	x.Release()
	return nil, err
}

// fill reads src to EOF and charges each chunk before it is filled.
func (x *Body) fill(ctx context.Context, src io.Reader, limit Limit) error {
	b := x.charge.budget
	for {
		used := x.size % chunkBytes
		if used == 0 {
			if err := b.take(ctx, &x.charge, x, chunkBytes); err != nil {
				return err
			}
			c, _ := b.chunks.Get().(*chunk)
			if c == nil {
				c = new(chunk)
			}
			x.chunks = append(x.chunks, c)
		}
		n, err := src.Read(x.chunks[len(x.chunks)-1][used:])
		x.size += n
		if int64(x.size) > limit.Bytes {
			return limit.Exceeded("it has", -1)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		x.arm(b.pace.after(x.due(), b.clock.Now(), n))
	}
}

func (x *Body) due() time.Time { return time.Unix(0, x.dueNano.Load()) }

// arm sets the due time. It moves the connection's deadline only if the due time
// has advanced by a second or more, to avoid resetting a timer for every packet.
func (x *Body) arm(due time.Time) {
	x.dueNano.Store(due.UnixNano())
	if due.Sub(x.armed) >= time.Second {
		x.armed = due
		// The budget's clock may be that of a test, the connection's is the
		// system's.
		x.setDeadline(time.Now().Add(due.Sub(x.charge.budget.clock.Now())))
		if x.yielded.Load() { // concurrently: keep the deadline set by interrupt
			x.interrupt()
		}
	}
}

// yield makes the pending read from the network and all later ones fail. The
// caller holds the budget's lock, so the body cannot become complete meanwhile.
func (x *Body) yield() {
	x.yielded.Store(true)
	x.interrupt()
}

func (x *Body) interrupt() {
	if x.cut != nil {
		x.cut()
		return
	}
	x.setDeadline(time.Unix(1, 0))
}

func (x *Body) setDeadline(at time.Time) {
	// Only connections in tests do not support deadlines, and they do not stall.
	_ = http.NewResponseController(x.w).SetReadDeadline(at)
}

// Len returns the size of the body in bytes.
func (x *Body) Len() int { return x.size }

// Charge returns the charge of the body. Memory for decoding the body is added to
// it and returned by Release.
func (x *Body) Charge() *Charge { return &x.charge }

// Bytes returns the body as one slice, valid until Release. A body of several
// chunks is copied to *scratch, which grows as needed, and its chunks are freed.
func (x *Body) Bytes(ctx context.Context, scratch *[]byte) ([]byte, error) {
	if len(x.chunks) <= 1 {
		if x.size == 0 {
			return nil, nil
		}
		return x.chunks[0][:x.size], nil
	}
	if err := x.charge.Take(ctx, int64(max(x.size, cap(*scratch)))); err != nil {
		return nil, err
	}
	if cap(*scratch) < x.size {
		*scratch = make([]byte, 0, x.size)
	}
	out := (*scratch)[:0]
	for i, c := range x.chunks {
		out = append(out, c[:min(x.size-i*chunkBytes, chunkBytes)]...)
	}
	*scratch = out
	x.releaseChunks()
	return out, nil
}

// Read implements io.Reader. The chunks are kept until Release.
func (x *Body) Read(p []byte) (int, error) {
	if x.read == x.size {
		return 0, io.EOF
	}
	c := x.chunks[x.read/chunkBytes]
	n := copy(p, c[x.read%chunkBytes:min(x.size-x.read/chunkBytes*chunkBytes, chunkBytes)])
	x.read += n
	return n, nil
}

// Close does nothing. It makes Body an io.ReadCloser, to replace the body of a
// request.
func (x *Body) Close() error { return nil }

func (x *Body) releaseChunks() {
	b := x.charge.budget
	for i, c := range x.chunks {
		b.chunks.Put(c)
		x.chunks[i] = nil
	}
	x.charge.Give(int64(len(x.chunks)) * chunkBytes)
	x.chunks = x.chunks[:0]
}

// Release returns the memory of the body and everything charged to it. It does
// nothing on a nil Body.
func (x *Body) Release() {
	if x == nil {
		return
	}
	x.releaseChunks()
	x.charge.Release()
	x.w = nil
	x.charge.budget.released.Put(x)
}
