// Package querylog records queries: the running ones, the most expensive ones
// since the server started, and slow ones in the server's log. All doors that
// evaluate PromQL share one Log.
package querylog

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"

	"tsdb/internal/vfs"
)

// Bounds of the memory of a Log.
const (
	MaxRemembered = 1000    // different expressions
	maxTextBytes  = 4 << 10 // of an expression; longer ones are cut
)

// Query describes a query as requested by a client.
type Query struct {
	Text    string
	StartMs int64 // Unix milliseconds; of an instant query, its time
	EndMs   int64 // = StartMs for an instant query
	StepMs  int64 // 0 for an instant query
	Door    string
	Client  string // address

	// Background marks what a page asks of its own accord, such as small plots of metrics.
	Background bool
}

// Outcome describes how a query ended.
type Outcome struct {
	Series      int   // of the result
	SamplesRead int64 // by the evaluation
	Err         error // nil = none
}

// OutcomeOf returns the outcome of an evaluated query.
func OutcomeOf(q promql.Query, res *promql.Result) Outcome {
	o := Outcome{Err: res.Err}
	switch v := res.Value.(type) {
	case promql.Vector:
		o.Series = len(v)
	case promql.Matrix:
		o.Series = len(v)
	case promql.Scalar:
		o.Series = 1
	}
	if res.Err != nil {
		return o // the query may still be running and updating its statistics
	}
	if s := q.Stats(); s != nil && s.Samples != nil {
		o.SamplesRead = s.Samples.SamplesRead
	}
	return o
}

// ErrCancelled is the cause of the end of the context of a query that Cancel has ended.
var ErrCancelled = errors.New("an administrator has cancelled the query")

// ErrPanicked is the error of a query whose evaluation panicked.
var ErrPanicked = errors.New("query panicked")

// Options are the options of a Log; the zero value is the default.
type Options struct {
	SlowerThan time.Duration // queries that take longer are logged; 0 = none
	Clock      vfs.Clock     // nil = the system's
	Logger     *slog.Logger  // nil = none
}

// Log records queries. It is safe for concurrent use.
type Log struct {
	opts Options

	mu struct {
		sync.Mutex
		last    uint64 // number of the newest query
		running map[uint64]Running
		costs   map[costKey]*Cost // at most MaxRemembered
	}
}

// Running is a query that has not ended; it may be waiting for a slot.
type Running struct {
	Query
	ID    uint64 // for Cancel; never used again while the server runs
	Since time.Time

	cancel context.CancelCauseFunc
}

// costKey identifies a Cost.
type costKey struct {
	text       string
	background bool
}

// Cost sums up the queries of one expression, those in the background apart.
type Cost struct {
	Background  bool
	Text        string
	Count       uint64
	Errors      uint64 // of Count
	Total       time.Duration
	Longest     time.Duration
	SamplesRead int64
	Series      int // of the last result
	Last        time.Time
}

// New returns an empty log.
func New(o Options) *Log {
	if o.Clock == nil {
		o.Clock = vfs.SystemClock
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{opts: o}
	l.mu.running = make(map[uint64]Running)
	l.mu.costs = make(map[costKey]*Cost)
	return l
}

// Begin records the start of a query, which is evaluated with the context returned:
// Cancel ends it. The caller must call end exactly once, when the evaluation is
// finished.
func (l *Log) Begin(ctx context.Context, q Query) (_ context.Context, end func(Outcome)) {
	q.Text = clip(q.Text)
	r := Running{Query: q, Since: l.opts.Clock.Now()}
	ctx, r.cancel = context.WithCancelCause(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.last++
	r.ID = l.mu.last
	l.mu.running[r.ID] = r
	return ctx, func(o Outcome) { l.end(r, o) }
}

// Cancel ends a running query. It returns false if there is none with this number.
func (l *Log) Cancel(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.mu.running[id]
	if ok {
		r.cancel(ErrCancelled)
	}
	return ok
}

func (l *Log) end(r Running, o Outcome) {
	r.cancel(nil)
	now := l.opts.Clock.Now()
	took := max(now.Sub(r.Since), 0)
	l.mu.Lock()
	delete(l.mu.running, r.ID)
	key := costKey{r.Text, r.Background}
	c := l.mu.costs[key]
	if c == nil {
		c = &Cost{Text: r.Text, Background: r.Background}
		l.makeRoomLocked()
		l.mu.costs[key] = c
	}
	c.Count++
	if o.Err != nil {
		c.Errors++
	}
	c.Total += took
	c.Longest = max(c.Longest, took)
	c.SamplesRead += o.SamplesRead
	c.Series, c.Last = o.Series, now
	l.mu.Unlock()
	if l.opts.SlowerThan > 0 && took > l.opts.SlowerThan {
		l.warn(r, o, took)
	}
}

// makeRoomLocked removes the expression with the smallest total time if the limit
// is reached. It scans all of them, which is cheaper than a query.
func (l *Log) makeRoomLocked() {
	if len(l.mu.costs) < MaxRemembered {
		return
	}
	var cheapest *Cost
	for _, c := range l.mu.costs {
		if cheapest == nil || c.Total < cheapest.Total || c.Total == cheapest.Total && c.Last.Before(cheapest.Last) {
			cheapest = c
		}
	}
	delete(l.mu.costs, costKey{cheapest.Text, cheapest.Background})
}

// warn writes a slow query to the server's log.
func (l *Log) warn(r Running, o Outcome, took time.Duration) {
	args := []any{
		"query", r.Text, "start", time.UnixMilli(r.StartMs).UTC(), "end", time.UnixMilli(r.EndMs).UTC(), "step", time.Duration(r.StepMs) * time.Millisecond,
		"duration", took.Round(time.Millisecond), "series", o.Series, "samples", o.SamplesRead, "door", r.Door, "client", r.Client,
	}
	if o.Err != nil {
		args = append(args, "err", o.Err)
	}
	l.opts.Logger.Warn("slow query", args...)
}

// Running returns the queries that have not ended, oldest first.
func (l *Log) Running() []Running {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Running, 0, len(l.mu.running))
	for _, r := range l.mu.running {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Running) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Text, b.Text)) })
	return all
}

// Order selects the metric by which queries are ranked.
type Order string

const (
	ByDuration  Order = "duration"  // total time
	ByFrequency Order = "frequency" // number of queries
	BySamples   Order = "samples"   // total samples read
)

// Orders lists every order.
var Orders = []Order{ByDuration, ByFrequency, BySamples}

// Top returns the n highest-ranked expressions, highest first.
func (l *Log) Top(by Order, n int, background bool) []Cost {
	l.mu.Lock()
	all := make([]Cost, 0, len(l.mu.costs))
	for _, c := range l.mu.costs {
		if background || !c.Background {
			all = append(all, *c)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b Cost) int {
		order := 0
		switch by {
		case ByDuration:
			order = cmp.Compare(b.Total, a.Total)
		case ByFrequency:
			order = cmp.Compare(b.Count, a.Count)
		case BySamples:
			order = cmp.Compare(b.SamplesRead, a.SamplesRead)
		}
		return cmp.Or(order, cmp.Compare(a.Text, b.Text))
	})
	return all[:min(n, len(all))]
}

// clip shortens a long text at a character boundary. The result does not keep the
// original in memory.
func clip(s string) string {
	if len(s) <= maxTextBytes {
		return s
	}
	n := maxTextBytes
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return string(append([]byte(s[:n]), "…"...))
}
