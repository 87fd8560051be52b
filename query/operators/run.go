package operators

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"

	"tsdb/query/admission"
	"tsdb/query/noncounter"
	"tsdb/query/source"
	"tsdb/query/steps"
)

// RunOptions are what a run of a plan works with.
type RunOptions struct {
	Settings Settings
	Yielder  *admission.Yielder
	Querier  *source.Querier
	Mem      *admission.Tracker
	Workers  int // goroutines at a time

	NonCounters *noncounter.Set // in rates
	Divided     bool            // the answer is kept, or is joined from parts that were

	Timers *stats.QueryTimers
	Log    *slog.Logger
}

// Run is one run of a plan. Its methods may be called by all workers.
type Run struct {
	Settings
	*admission.Yielder
	querier *source.Querier
	mem     *admission.Tracker
	workers int
	divided bool
	timers  *stats.QueryTimers
	log     *slog.Logger

	held atomic.Int64 // points in memory
	peak atomic.Int64
	tied atomic.Bool // a rank has broken a tie between equal values

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
	}
}

// Evaluation returns the frame of the whole query, which counts samples in qs.
func (x *Run) Evaluation(qs *stats.QuerySamples) *Evaluation { return &Evaluation{x, &counts{qs: qs}} }

// PeakPoints returns the greatest number of points that were in memory.
func (x *Run) PeakPoints() int { return int(x.peak.Load()) }

// Annotations returns the annotations of an answer on a grid, once it is complete.
func (x *Run) Annotations(g steps.Grid) annotations.Annotations {
	for _, err := range x.nonCounters.Annotations(g) {
		x.mu.annos.add(err)
	}
	x.mu.annos.addOmissions()
	return x.mu.annos.all
}

// NonCounters returns the metrics in rates that are not counters.
func (x *Run) NonCounters() *noncounter.Set { return x.nonCounters }

// Interrupted returns the error of a context that is over.
func (x *Run) Interrupted() error {
	if !x.Ended() {
		return nil
	}
	return x.Check()
}

// Evaluation is what an expression is evaluated in: the run, and where its samples
// are counted.
type Evaluation struct {
	*Run
	count *counts
}

// worker is the memory that one goroutine evaluates series with.
type worker struct {
	source.Reader
	cols    [chunkColumns]column
	windows windowScratch
	tally   tally
}

// Check is called regularly by work that takes long. It yields, and returns the
// error of the context once that is over.
func (x *Run) Check() error { return admission.ContextError(x.Yielder.Yield(), admission.InEvaluation) }

// hold counts points that are kept in memory; release takes them back.
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

// drop lets go of a table: it counts as held no more.
func (x *Run) drop(t *table) {
	x.release(t.weight)
	x.mem.Release(t.bytes)
	t.weight, t.bytes = 0, 0
}

// takeFor adds bytes to what a table holds.
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

// Close lets go of what the workers hold of the view.
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

// columnSource makes the columns of an expression one at a time. column may be called
// by several workers for different columns at the same time, once for each.
type columnSource interface {
	len() int
	// labels returns the labels of column i, and its mark to drop the name.
	labels(i int) (labels.Labels, bool)
	// column sets c to column i. It may be without a value.
	column(w *worker, i int, c *column) error
	// distinct reports that no two columns have equal labels. It is asked
	// only where names are dropped at once, when tables never have any.
	distinct() bool
	// close lets go of what the source holds.
	close()
}

// open begins to make the columns of a node.
func (f *Evaluation) open(n Node) (columnSource, error) {
	if err := f.mem.Fits(gridBytes(n.Times())); err != nil {
		return nil, err
	}
	if o, ok := n.(opener); ok && n.Times().N > 0 {
		return o.open(f)
	}
	t, err := f.table(n)
	if err != nil {
		return nil, err
	}
	return &tableSource{f: f, t: t}, nil
}

// table evaluates a node.
func (f *Evaluation) table(n Node) (*table, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	if n.Times().N == 0 {
		return &table{}, nil
	}
	if err := f.mem.Fits(gridBytes(n.Times())); err != nil {
		return nil, err
	}
	if t, ok := n.(tabler); ok {
		return t.table(f)
	}
	src, err := n.(opener).open(f)
	if err != nil {
		return nil, err
	}
	return f.gather(src)
}

// gather makes a table of all columns of a source, and closes it.
func (f *Evaluation) gather(src columnSource) (*table, error) {
	if s, ok := src.(*tableSource); ok {
		return s.t, nil
	}
	defer src.close()
	t := &table{}
	err := f.each(src, func(_ int, c *column) error {
		err := f.keep(t, *c)
		*c = column{}
		return err
	})
	return t, err
}

// keep adds a column to a table, if it has a value.
func (f *Evaluation) keep(t *table, c column) error {
	points := c.points()
	if points == 0 {
		return nil
	}
	return f.keepCounted(t, c, points)
}

// keepCounted adds a column of so many points to a table.
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

// maxSparseCells is how many steps of columns may have no value before anyone
// cares: 256 MiB.
const maxSparseCells = 1 << 25

// checkSparse returns an error if columns, which take 8 bytes a step whether
// there is a value or not, take far more memory than their points would, or
// more than the limit on points allows.
func (x *Run) checkSparse(cells, points int) error {
	if cells > maxSparseCells && cells > 16*points || cells/2 > max(x.MaxSamples, points) {
		return Uncovered(reasonSparse)
	}
	return nil
}

// scalar evaluates a node whose value is a scalar: a value a step.
func (f *Evaluation) scalar(n Node) ([]float64, error) {
	t, err := f.table(n)
	if err != nil || len(t.cols) == 0 {
		return nil, err
	}
	f.drop(t)
	return t.cols[0].v, nil
}

// tableSource hands out the columns of a table.
type tableSource struct {
	f *Evaluation
	t *table
}

func (s *tableSource) len() int { return len(s.t.cols) }
func (s *tableSource) labels(i int) (labels.Labels, bool) {
	return s.t.cols[i].metric, s.t.cols[i].drop
}
func (s *tableSource) distinct() bool { return true }
func (s *tableSource) close()         { s.f.drop(s.t) }
func (s *tableSource) column(_ *worker, i int, c *column) error {
	*c, s.t.cols[i] = s.t.cols[i], column{metric: s.t.cols[i].metric, drop: s.t.cols[i].drop}
	return nil
}

// chunkColumns is how many columns a worker makes at most before it hands them
// over. If there are few, all workers get some.
const chunkColumns = 16

func chunkSize(columns, workers int) int { return min(max(columns/(4*workers), 1), chunkColumns) }

// each makes all columns of a source and hands them to consume, in order and
// one at a time: sums of floats depend on their order. The columns are made by
// several workers at once; what a worker has ready waits for its turn, so there
// are never more in memory than a chunk a worker. consume may take a column's
// memory by zeroing it.
func (f *Evaluation) each(src columnSource, consume func(i int, c *column) error) error {
	n := src.len()
	size := chunkSize(n, f.workers)
	chunks := (n + size - 1) / size
	workers := min(f.workers, chunks)
	if _, made := src.(*tableSource); made || workers <= 1 {
		return f.withWorker(func(w *worker) error {
			load := load{tracker: f.mem}
			defer load.close()
			for i := range n {
				if err := f.Check(); err != nil {
					return err
				}
				if err := src.column(w, i, &w.cols[0]); err != nil {
					return err
				}
				if err := load.grown(w, 1); err != nil {
					return err
				}
				if err := consume(i, &w.cols[0]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		turn = newChunkOrder()
	)
	f.Yielder.Release() // this goroutine only waits
	for range workers {
		wg.Go(func() {
			f.Yielder.Acquire()
			defer f.Yielder.Release()
			err := f.withWorker(func(w *worker) error {
				load := load{tracker: f.mem}
				defer load.close()
				for {
					k := int(next.Add(1)) - 1
					if k >= chunks {
						return nil
					}
					from, to := k*size, min((k+1)*size, n)
					for i := from; i < to; i++ {
						if err := f.Check(); err != nil {
							return err
						}
						if turn.broken.Load() {
							return nil
						}
						if err := src.column(w, i, &w.cols[i-from]); err != nil {
							return err
						}
						if i == from || i == to-1 {
							if err := load.grown(w, to-from); err != nil {
								return err
							}
						}
					}
					if !turn.wait(f, k) {
						return nil
					}
					for i := from; i < to; i++ {
						if err := consume(i, &w.cols[i-from]); err != nil {
							return err
						}
					}
					turn.next()
				}
			})
			if err != nil {
				turn.fail(err)
			}
		})
	}
	wg.Wait()
	f.Yielder.Acquire()
	return turn.err
}

// withWorker runs work with a worker's memory. A panic becomes an error: that of a
// function of Prometheus is its way to return one.
func (f *Evaluation) withWorker(work func(w *worker) error) (err error) {
	w := f.acquireWorker()
	defer func() {
		if p := recover(); p != nil {
			err = panicked(f.log, p)
		} else {
			f.count.add(&w.tally)
			f.releaseWorker(w)
		}
	}()
	return work(w)
}

// panicked returns the error that a panic stands for.
func panicked(log *slog.Logger, p any) error {
	switch e := p.(type) {
	case runtime.Error:
		log.Error("panic during query evaluation", "err", e, "stack", string(debug.Stack()))
		return fmt.Errorf("unexpected error: %w", e)
	case error:
		return e
	}
	return fmt.Errorf("%v", p)
}

// chunkOrder lets workers pass one after the other, in the order of their chunks.
type chunkOrder struct {
	broken atomic.Bool
	mu     sync.Mutex
	moved  sync.Cond
	now    int
	err    error
}

func newChunkOrder() *chunkOrder {
	t := &chunkOrder{}
	t.moved.L = &t.mu
	return t
}

// wait waits for the turn of chunk k, without a core. It reports false when
// another failed.
func (t *chunkOrder) wait(f *Evaluation, k int) bool {
	t.mu.Lock()
	waits := t.now != k && !t.broken.Load()
	t.mu.Unlock()
	if waits {
		f.Yielder.Release()
		t.mu.Lock()
		for t.now != k && !t.broken.Load() {
			t.moved.Wait()
		}
		t.mu.Unlock()
		f.Yielder.Acquire()
	}
	return !t.broken.Load()
}

func (t *chunkOrder) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now++
	t.moved.Broadcast()
}

func (t *chunkOrder) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
	t.broken.Store(true)
	t.moved.Broadcast()
}

// counts adds up the samples that an expression and what is below it read. It
// is safe for concurrent use.
type counts struct {
	mu sync.Mutex
	qs *stats.QuerySamples
}

// separate returns a frame that counts for itself.
func (f *Evaluation) separate() *Evaluation {
	return &Evaluation{f.Run, &counts{qs: stats.NewQuerySamples(false)}}
}

// repeat adds what an expression read that was evaluated once for n steps.
func (c *counts) repeat(once *counts, n int) {
	for i := range n {
		c.qs.IncrementSamplesAtStep(i, once.qs.TotalSamples)
	}
	c.qs.IncrementSamplesReadAtStep(0, once.qs.SamplesRead)
}

// tally is a worker's share of counts, handed over with add.
type tally struct {
	total, read   int64
	totals, reads []int64 // a step, if steps are told apart
}

// steps makes t count n steps apart if c does.
func (c *counts) steps(t *tally, n int) {
	if c.qs.StepTrackingEnabled() && len(t.totals) != n {
		t.totals, t.reads = make([]int64, n), make([]int64, n)
	}
}

func (t *tally) at(i int, total, read int64) {
	t.total += total
	t.read += read
	if t.totals != nil {
		t.totals[i] += total
		t.reads[i] += read
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
