package reqbody

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/internal/vfs"
)

const (
	// maxWait bounds the time a request waits for memory before it is refused.
	maxWait = time.Second
	// recheckEvery is the interval at which a waiting request checks for bodies
	// that have fallen behind since.
	recheckEvery = maxWait / 4
)

// Errors of requests that the client may retry.
var (
	// ErrOverload is returned when other requests hold too much memory.
	ErrOverload = errors.New("requests under way hold too much memory, try again later")
	// ErrYielded is returned for a body that was ended in favor of others.
	ErrYielded = errors.New("the server is short of memory and gave up this request, whose body arrived most slowly; try again later")
)

// Default options.
const (
	DefaultLimit   = 256 << 20 // bytes
	DefaultMinRate = 256       // bytes a second
)

// Options configures a Budget.
type Options struct {
	Limit   int64 // bytes of all requests in flight together
	MinRate int64 // minimum bytes a second of a body; 0 = any rate, but a body must not stall
	Clock   vfs.Clock
	// Name is the value of the label requests in the metrics: write or read.
	Name string
	// Registerer registers the metrics; nil = none.
	Registerer prometheus.Registerer
}

// Budget bounds the memory of all requests in flight: received bodies, their
// decompressed form, and what is decoded from it. It is safe for concurrent use.
type Budget struct {
	clock vfs.Clock
	limit int64
	pace  pace

	endedSlow, endedYielded prometheus.Counter

	mu struct {
		sync.Mutex
		used   int64
		freed  chan struct{} // closed when bytes are returned; nil if no request waits
		bodies []*Body       // unfinished, unordered; each stores its index
	}

	chunks   sync.Pool // of *chunk
	released sync.Pool // of *Body
}

// NewBudget returns an unused budget.
func NewBudget(o Options) *Budget {
	if o.Clock == nil {
		o.Clock = vfs.SystemClock
	}
	b := &Budget{clock: o.Clock, limit: o.Limit, pace: pace{minRate: o.MinRate}}
	name := prometheus.Labels{"requests": o.Name}
	ended := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tsdb_request_bodies_ended_total", Help: "Request bodies given up before their end, by reason: below the minimum rate, or in favour of others when memory was short.",
		ConstLabels: name,
	}, []string{"reason"})
	b.endedSlow, b.endedYielded = ended.WithLabelValues("slow"), ended.WithLabelValues("yielded")
	if o.Registerer != nil {
		o.Registerer.MustRegister(ended,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "tsdb_request_memory_bytes", Help: "Bytes charged for the bodies of requests under way and what is decoded from them.",
				ConstLabels: name,
			}, func() float64 { return float64(b.Used()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "tsdb_request_memory_limit_bytes", Help: "Most bytes that requests under way may be charged together.",
				ConstLabels: name,
			}, func() float64 { return float64(b.limit) }))
	}
	return b
}

// Used returns the number of bytes charged.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.used
}

// Limit returns the maximum number of bytes that can be charged.
func (b *Budget) Limit() int64 { return b.limit }

// NewCharge returns an empty charge.
func (b *Budget) NewCharge() *Charge { return &Charge{budget: b} }

// Charge is the share of a budget held by one request. It must be used by one
// goroutine at a time. A nil Charge is empty and can be released.
type Charge struct {
	budget *Budget
	n      int64
}

// Take charges n more bytes. If other requests hold too much, it waits for up to
// maxWait. A request that is the only one may exceed the limit. The error is
// ErrOverload or that of ctx.
func (c *Charge) Take(ctx context.Context, n int64) error { return c.budget.take(ctx, c, nil, n) }

// Limit returns the limit of the budget, in bytes.
func (c *Charge) Limit() int64 { return c.budget.limit }

// Give returns n bytes to the budget.
func (c *Charge) Give(n int64) {
	if n != 0 {
		b := c.budget
		b.mu.Lock()
		defer b.mu.Unlock()
		b.giveLocked(c, n)
	}
}

// Release returns all bytes to the budget.
func (c *Charge) Release() {
	if c != nil {
		c.Give(c.n)
	}
}

func (b *Budget) giveLocked(c *Charge, n int64) {
	c.n -= n
	b.mu.used -= n
	if b.mu.freed != nil {
		close(b.mu.freed)
		b.mu.freed = nil
	}
}

// take charges n bytes to c. body is the unfinished body that needs them, nil if
// the body is complete.
func (b *Budget) take(ctx context.Context, c *Charge, body *Body, n int64) error {
	b.mu.Lock()
	ok := b.takeLocked(c, n)
	b.mu.Unlock()
	if ok {
		return nil
	}
	deadline := b.clock.After(maxWait)
	for {
		freed, err := b.takeOrYield(c, body, n)
		if freed == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline:
			return fmt.Errorf("%w: %d of %d bytes are taken, %d more are needed", ErrOverload, b.Used(), b.limit, n)
		case <-freed:
		case <-b.clock.After(recheckEvery):
		}
	}
}

func (b *Budget) takeLocked(c *Charge, n int64) bool {
	if b.mu.used+n > b.limit && b.mu.used > c.n {
		return false
	}
	b.mu.used += n
	c.n += n
	return true
}

// takeOrYield charges n bytes and returns a nil channel, or fails. If the bytes
// are not available, it makes bodies that have fallen behind yield and returns a
// channel that is closed when bytes are returned.
func (b *Budget) takeOrYield(c *Charge, body *Body, n int64) (freed chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if body != nil && body.yielded.Load() {
		return nil, ErrYielded
	}
	if b.takeLocked(c, n) {
		return nil, nil
	}
	rival := b.pace.begin(b.clock.Now())
	if body != nil && body.due().Before(rival) {
		rival = body.due()
	}
	b.yieldLocked(b.mu.used+n-b.limit, rival)
	if b.mu.freed == nil {
		b.mu.freed = make(chan struct{})
	}
	return b.mu.freed, nil
}

// yieldLocked makes unfinished bodies yield to free need bytes.
func (b *Budget) yieldLocked(need int64, rival time.Time) {
	all := make([]progress, len(b.mu.bodies))
	for i, x := range b.mu.bodies {
		if x.yielded.Load() {
			need -= x.charge.n // it is about to return them
			continue
		}
		all[i] = progress{due: x.due(), held: x.charge.n}
	}
	if need <= 0 {
		return
	}
	for _, i := range chooseYielding(all, need, rival) {
		x := b.mu.bodies[i]
		x.yield()
		b.endedYielded.Inc()
	}
}

// begin adds a body to the unfinished bodies.
func (b *Budget) begin(x *Body) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x.index = len(b.mu.bodies)
	b.mu.bodies = append(b.mu.bodies, x)
}

// end removes a body that is complete or has failed, and reports whether it
// yielded. It cannot be interrupted afterwards.
func (b *Budget) end(x *Body) (yielded bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.mu.bodies) - 1
	b.mu.bodies[x.index] = b.mu.bodies[last]
	b.mu.bodies[x.index].index = x.index
	b.mu.bodies[last] = nil
	b.mu.bodies = b.mu.bodies[:last]
	return x.yielded.Load()
}
