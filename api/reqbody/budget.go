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
	// maxWait bounds how long a request waits for others to finish before it is
	// told to come again.
	maxWait = time.Second
	// recheckEvery is how often a request that waits looks for bodies that have
	// fallen behind in the meantime.
	recheckEvery = maxWait / 4
)

// Errors of requests that may be sent again.
var (
	// ErrOverload is returned when others hold too much memory.
	ErrOverload = errors.New("requests under way hold too much memory, try again later")
	// ErrYielded is returned for a body that was given up in favour of others.
	ErrYielded = errors.New("the server is short of memory and gave up this request, whose body arrived most slowly; try again later")
)

// The defaults.
const (
	DefaultLimit   = 256 << 20 // bytes
	DefaultMinRate = 256       // bytes a second
)

// Options are the settings of a Budget.
type Options struct {
	Limit   int64 // bytes of all requests under way together
	MinRate int64 // bytes a second that a body has to keep; 0 = it may be as slow as it likes, but not stall
	Clock   vfs.Clock
	// Name says in the metrics which requests these are: write or read.
	Name string
	// Registerer takes the metrics; nil = none.
	Registerer prometheus.Registerer
}

// Budget bounds the bytes that all requests under way hold together: bodies as
// they arrive, what they decompress to and what is decoded from that. It is
// safe for concurrent use.
type Budget struct {
	clock vfs.Clock
	limit int64
	pace  pace

	endedSlow, endedYielded prometheus.Counter

	mu struct {
		sync.Mutex
		used   int64
		freed  chan struct{} // closed when bytes come back; nil if nobody waits
		bodies []*Body       // unfinished, in no order; each knows its index
	}

	chunks   sync.Pool // of *chunk
	released sync.Pool // of *Body
}

// NewBudget returns a budget of which nothing is taken.
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

// Used returns the bytes that are taken.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.used
}

// Limit returns the most bytes that can be taken.
func (b *Budget) Limit() int64 { return b.limit }

// NewCharge returns a charge of nothing.
func (b *Budget) NewCharge() *Charge { return &Charge{budget: b} }

// Charge is what one request holds of a budget. It belongs to one goroutine at
// a time. The nil Charge holds nothing and can be released.
type Charge struct {
	budget *Budget
	n      int64
}

// Take charges n more bytes, after a bounded wait if others hold too many. What
// exceeds the whole limit is granted to a request that is alone. The error is
// ErrOverload or that of ctx.
func (c *Charge) Take(ctx context.Context, n int64) error { return c.budget.take(ctx, c, nil, n) }

// Give returns n bytes.
func (c *Charge) Give(n int64) {
	if n != 0 {
		b := c.budget
		b.mu.Lock()
		defer b.mu.Unlock()
		b.giveLocked(c, n)
	}
}

// Release returns all bytes.
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

// take charges n bytes to c. body is the unfinished one that they are for, nil
// if it is complete.
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

// takeOrYield charges n bytes and returns a nil channel, or an error; otherwise
// it lets bodies yield that have fallen behind, and returns a channel that is
// closed when bytes come back.
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

// yieldLocked ends unfinished bodies so that need bytes come free.
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

// begin adds a body to the unfinished ones.
func (b *Budget) begin(x *Body) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x.index = len(b.mu.bodies)
	b.mu.bodies = append(b.mu.bodies, x)
}

// end removes a body that is complete, or failed, and reports whether it
// yielded. Afterwards nobody interrupts it any more.
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
