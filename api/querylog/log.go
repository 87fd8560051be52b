// Package querylog remembers queries: those that run, those that cost most
// since the server started, and, in the server's log, those that were slow. All
// doors that evaluate PromQL share one Log.
package querylog

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"

	"tsdb/internal/vfs"
)

// Bounds of what is remembered.
const (
	MaxRemembered = 1000    // different expressions
	maxTextBytes  = 4 << 10 // of an expression; longer ones are cut
)

// Query is what a client asked for.
type Query struct {
	Text    string
	StartMs int64 // Unix milliseconds; of an instant query, its time
	EndMs   int64 // = StartMs for an instant query
	StepMs  int64 // 0 for an instant query
	Door    string
	Client  string // address
}

// Outcome is what became of a query.
type Outcome struct {
	Series      int   // of the answer
	SamplesRead int64 // by the evaluation
	Err         error // nil = none
}

// OutcomeOf returns what became of an evaluated query.
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
		return o // the query may still run, and count
	}
	if s := q.Stats(); s != nil && s.Samples != nil {
		o.SamplesRead = s.Samples.SamplesRead
	}
	return o
}

// ErrPanicked is the outcome of a query that ran into a programming error.
var ErrPanicked = errors.New("query panicked")

// Options are the settings of a Log; the zero value is the default.
type Options struct {
	SlowerThan time.Duration // queries that take longer are logged; 0 = none
	Clock      vfs.Clock     // nil = the system's
	Logger     *slog.Logger  // nil = none
}

// Log remembers queries. It is safe for concurrent use.
type Log struct {
	opts Options

	mu struct {
		sync.Mutex
		last    uint64 // number of the newest query
		running map[uint64]Running
		costs   map[string]*Cost // by text; at most MaxRemembered
	}
}

// Running is a query that has not ended; it may still wait for its turn.
type Running struct {
	Query
	Since time.Time
}

// Cost is what the queries of one expression cost together.
type Cost struct {
	Text        string
	Count       uint64
	Errors      uint64 // of Count
	Total       time.Duration
	Longest     time.Duration
	SamplesRead int64
	Series      int // of the last answer
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
	l.mu.costs = make(map[string]*Cost)
	return l
}

// Begin notes a query. The caller calls end once, when it has an answer.
func (l *Log) Begin(q Query) (end func(Outcome)) {
	q.Text = clip(q.Text)
	r := Running{Query: q, Since: l.opts.Clock.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.last++
	number := l.mu.last
	l.mu.running[number] = r
	return func(o Outcome) { l.end(number, r, o) }
}

func (l *Log) end(number uint64, r Running, o Outcome) {
	now := l.opts.Clock.Now()
	took := max(now.Sub(r.Since), 0)
	l.mu.Lock()
	delete(l.mu.running, number)
	c := l.mu.costs[r.Text]
	if c == nil {
		c = &Cost{Text: r.Text}
		l.makeRoomLocked()
		l.mu.costs[r.Text] = c
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

// makeRoomLocked forgets the expression that took the least time so far, if
// there are too many. It looks at all of them: there are few, and a query costs
// more.
func (l *Log) makeRoomLocked() {
	if len(l.mu.costs) < MaxRemembered {
		return
	}
	var least *Cost
	for _, c := range l.mu.costs {
		if least == nil || c.Total < least.Total || c.Total == least.Total && c.Last.Before(least.Last) {
			least = c
		}
	}
	delete(l.mu.costs, least.Text)
}

// warn writes a slow query into the server's log.
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

// Order is by what the most expensive queries are found.
type Order string

// The orders.
const (
	ByDuration  Order = "duration"  // all times together
	ByFrequency Order = "frequency" // how often
	BySamples   Order = "samples"   // samples read, all times together
)

// Orders lists every order.
var Orders = []Order{ByDuration, ByFrequency, BySamples}

// Top returns the n expressions that come first in an order, highest first.
func (l *Log) Top(by Order, n int) []Cost {
	l.mu.Lock()
	all := make([]Cost, 0, len(l.mu.costs))
	for _, c := range l.mu.costs {
		all = append(all, *c)
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

// clip shortens a text between characters. What is kept does not hold the rest
// in memory.
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
