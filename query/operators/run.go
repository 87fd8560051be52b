package operators

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"

	"tsdb/partition/block"
	"tsdb/query/admission"
	"tsdb/query/noncounter"
	"tsdb/query/source"
	"tsdb/query/steps"
	"tsdb/query/tiers"
)

// RunOptions are the parameters of a run of a plan.
type RunOptions struct {
	Settings Settings
	Yielder  *admission.Yielder
	Querier  *source.Querier
	Mem      *admission.Tracker
	Workers  int // maximum number of concurrent goroutines

	Resolution tiers.Resolution

	NonCounters *noncounter.Set // metrics in rates
	Divided     bool            // the answer is cached or is joined from cached parts

	Timers *stats.QueryTimers
	Log    *slog.Logger
}

// Run is one run of a plan. It is safe for concurrent use by its workers.
type Run struct {
	Settings
	*admission.Yielder
	querier *source.Querier
	mem     *admission.Tracker
	workers int
	divided bool
	timers  *stats.QueryTimers
	log     *slog.Logger

	resolution tiers.Resolution
	tiers      tiers.View

	rows []atomic.Int64 // buckets read, by the index of their tier in block.Rollups
	held atomic.Int64   // points in memory
	peak atomic.Int64
	tied atomic.Bool // a rank broke a tie between equal values

	nonCounters *noncounter.Set

	mu struct {
		sync.Mutex
		annos annotationSet
		idle  []*worker
	}
}

// NewRun returns a run. The caller closes it.
func NewRun(o RunOptions) *Run {
	return &Run{
		Settings: o.Settings, Yielder: o.Yielder, querier: o.Querier, mem: o.Mem, workers: o.Workers,
		nonCounters: o.NonCounters, divided: o.Divided, timers: o.Timers, log: o.Log,
		resolution: o.Resolution, tiers: o.Querier.Tiers(), rows: make([]atomic.Int64, len(block.Rollups)),
	}
}

// BucketsRead returns the number of buckets that the answer was computed from, by the
// name of their tier; nil if there were none.
func (x *Run) BucketsRead() map[string]int64 {
	var read map[string]int64
	for i, t := range block.Rollups {
		if n := x.rows[i].Load(); n > 0 {
			if read == nil {
				read = make(map[string]int64)
			}
			read[t.String()] = n
		}
	}
	return read
}

// countBuckets counts buckets that were read of a tier.
func (x *Run) countBuckets(t block.Tier, n int) {
	if i := slices.Index(block.Rollups, t); i >= 0 {
		x.rows[i].Add(int64(n))
	}
}

// Evaluation returns the evaluation of the whole query, which counts samples in qs.
func (x *Run) Evaluation(qs *stats.QuerySamples) *Evaluation { return &Evaluation{x, &counts{qs: qs}} }

// PeakPoints returns the maximum number of points held in memory.
func (x *Run) PeakPoints() int { return int(x.peak.Load()) }

// Annotations returns the annotations of a complete answer on a grid.
func (x *Run) Annotations(g steps.Grid) annotations.Annotations {
	for _, err := range x.nonCounters.Annotations(g) {
		x.mu.annos.add(err)
	}
	x.mu.annos.addOmissions()
	return x.mu.annos.all
}

// NonCounters returns the metrics in calls of rate and increase that are not counters.
func (x *Run) NonCounters() *noncounter.Set { return x.nonCounters }

// Interrupted returns the error of the run's context if it has ended.
func (x *Run) Interrupted() error {
	if !x.Ended() {
		return nil
	}
	return x.Check()
}

// Evaluation is the context in which an expression is evaluated: the run and the
// counts of samples.
type Evaluation struct {
	*Run
	count *counts
}

// worker is the scratch memory of one goroutine that evaluates series.
type worker struct {
	source.Reader
	cols    [chunkColumns]column
	windows windowScratch
	tier    tierScratch
	tally   tally
}

// bytes returns the memory of what was loaded last.
func (w *worker) bytes() int64 { return w.Bytes() + w.tier.bytes() }

// Check is called regularly by long-running work. It yields the CPU slot and returns
// an error if the run must end.
func (x *Run) Check() error { return admission.ContextError(x.Yielder.Yield(), admission.InEvaluation) }

// hold counts points held in memory; release stops counting them.
func (x *Run) hold(points int) error {
	n := x.held.Add(int64(points))
	for {
		p := x.peak.Load()
		if n <= p || x.peak.CompareAndSwap(p, n) {
			break
		}
	}
	if n > int64(x.MaxSamples) {
		return admission.NewSamplesError(n, x.MaxSamples)
	}
	return nil
}

func (x *Run) release(points int) { x.held.Add(-int64(points)) }

// drop stops counting the points and bytes of a table.
func (x *Run) drop(t *table) {
	x.release(t.weight)
	x.mem.Release(t.bytes)
	t.weight, t.bytes = 0, 0
}

// takeFor reserves bytes for a table.
func (x *Run) takeFor(t *table, bytes int64) error {
	err := x.mem.Reserve(bytes)
	if err == nil {
		t.bytes += bytes
	}
	return err
}

// annotate adds a warning or an info to the answer.
func (x *Run) annotate(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.annos.add(err)
}

func (x *Run) annotateAll(a annotations.Annotations) {
	if len(a) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, err := range a {
		x.mu.annos.add(err)
	}
}

func (x *Run) acquireWorker() *worker {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.mu.idle); n > 0 {
		w := x.mu.idle[n-1]
		x.mu.idle = x.mu.idle[:n-1]
		return w
	}
	return new(worker)
}

// Close releases the workers' references to the view.
func (x *Run) Close() {
	for _, w := range x.mu.idle {
		w.Release()
	}
}

func (x *Run) releaseWorker(w *worker) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.idle = append(x.mu.idle, w)
}

// keep adds a column to a table and charges its memory, unless it has no values.
func (f *Evaluation) keep(t *table, c column) error {
	points := c.points()
	if points == 0 {
		return nil
	}
	return f.keepCounted(t, c, points)
}

// keepCounted is keep for a column with the given number of points.
func (f *Evaluation) keepCounted(t *table, c column, points int) error {
	t.cols = append(t.cols, c)
	bytes := c.bytes()
	if err := f.mem.Reserve(bytes); err != nil {
		return err
	}
	t.bytes += bytes
	t.weight += points
	if err := f.hold(points); err != nil {
		return err
	}
	return f.checkSparse(len(t.cols)*len(c.v), t.weight)
}

// maxSparseCells is the number of steps in all columns up to which sparse columns are
// accepted regardless of their number of points: 256 MiB.
const maxSparseCells = 1 << 25

// checkSparse returns an error if columns, which take 8 bytes per step with or
// without a value, take far more memory than their points would, or more than the
// limit on points allows.
func (x *Run) checkSparse(cells, points int) error {
	if cells > maxSparseCells && cells > 16*points || cells/2 > max(x.MaxSamples, points) {
		return Uncovered(reasonSparse)
	}
	return nil
}

// counts counts the samples that an expression and its arguments read. It is safe
// for concurrent use.
type counts struct {
	mu sync.Mutex
	qs *stats.QuerySamples
}

// separate returns an Evaluation of the run with its own counts.
func (f *Evaluation) separate() *Evaluation {
	return &Evaluation{f.Run, &counts{qs: stats.NewQuerySamples(false)}}
}

// repeat adds the samples of an expression that was evaluated once for n steps.
func (c *counts) repeat(once *counts, n int) {
	for i := range n {
		c.qs.IncrementSamplesAtStep(i, once.qs.TotalSamples)
	}
	c.qs.IncrementSamplesReadAtStep(0, once.qs.SamplesRead)
}

// tally holds the counts of one worker, which counts.add adds up.
type tally struct {
	total, read   int64
	totals, reads []int64 // by step, if steps are tracked
}

func (t *tally) at(i int, total, read int64) {
	t.total += total
	t.read += read
	if t.totals != nil {
		t.totals[i] += total
		t.reads[i] += read
	}
}

// steps makes t track n steps if c does.
func (c *counts) steps(t *tally, n int) {
	if c.qs.StepTrackingEnabled() && len(t.totals) != n {
		t.totals, t.reads = make([]int64, n), make([]int64, n)
	}
}

func (c *counts) add(t *tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.totals == nil {
		c.qs.TotalSamples += t.total
		c.qs.SamplesRead += t.read
	}
	for i := range t.totals {
		c.qs.IncrementSamplesAtStep(i, t.totals[i])
		c.qs.IncrementSamplesReadAtStep(i, t.reads[i])
	}
	*t = tally{}
}
