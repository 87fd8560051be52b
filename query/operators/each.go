package operators

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
)

// columnSource produces the columns of an expression one at a time. column may be
// called concurrently by several workers for different columns, once for each column.
type columnSource interface {
	len() int
	// labels returns the labels of column i and whether its name is to be dropped.
	labels(i int) (labels.Labels, bool)
	// column sets c to column i, which may have no values.
	column(w *worker, i int, c *column) error
	// distinct reports whether all columns are certain to have distinct labels. It
	// is called only if names are dropped at once; tables never have equal labels
	// then.
	distinct() bool
	// close releases the memory held by the source.
	close()
}

// open begins to produce the columns of a node.
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

// gather returns a table of all columns of a source, and closes the source.
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

// scalar evaluates a node of type scalar and returns one value per step.
func (f *Evaluation) scalar(n Node) ([]float64, error) {
	t, err := f.table(n)
	if err != nil || len(t.cols) == 0 {
		return nil, err
	}
	f.drop(t)
	return t.cols[0].v, nil
}

// tableSource is a columnSource of the columns of a table.
type tableSource struct {
	f *Evaluation
	t *table
}

func (s *tableSource) len() int { return len(s.t.cols) }

// chunkColumns is the maximum number of columns in a chunk, which a worker produces
// before passing them on. With few columns, chunks are smaller, so that all workers
// get some.
const chunkColumns = 16

func chunkSize(columns, workers int) int { return min(max(columns/(4*workers), 1), chunkColumns) }

// each produces all columns of a source and passes them to consume in order and one
// at a time, because sums of floats depend on their order. Several workers produce
// columns concurrently. A finished chunk waits for its turn, so that at most one
// chunk per worker is in memory. consume may keep a column's memory by zeroing it.
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
	f.Yielder.Release() // this goroutine only waits for the workers
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

// withWorker runs work with a worker's memory. It converts a panic to an error, because
// Prometheus' functions report errors by panicking.
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

// panicked returns the error of a panic.
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

// chunkOrder lets workers consume one after the other, in the order of their chunks.
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

// wait waits for the turn of chunk k without holding a CPU slot. It returns false if
// another worker failed.
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

func (s *tableSource) labels(i int) (labels.Labels, bool) {
	return s.t.cols[i].metric, s.t.cols[i].drop
}

func (s *tableSource) distinct() bool { return true }

func (s *tableSource) close() { s.f.drop(s.t) }

func (s *tableSource) column(_ *worker, i int, c *column) error {
	*c, s.t.cols[i] = s.t.cols[i], column{metric: s.t.cols[i].metric, drop: s.t.cols[i].drop}
	return nil
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
