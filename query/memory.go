package query

import (
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
)

// memory is what all queries hold together. It is safe for concurrent use.
type memory struct {
	limit int64 // bytes; 0 = none
	cache int64 // bytes of it that kept answers may take
	held  atomic.Int64
}

// An eighth of the common limit is for queries that hold no more than
// smallBytes: big ones cannot leave them none.
const (
	smallBytes   = 16 << 20
	smallReserve = 8
)

// tracker counts the memory that one query holds: series that are selected,
// columns, groups × steps, the answer until it is sent. What grows with a query
// is taken before it is allocated, or, where its size shows only then, before
// more is. It is safe for concurrent use; a nil tracker has no limits.
//
// A query that would exceed what all may hold together fails at once. It holds
// memory itself, and so do others that fail to get more: waiting for each other
// they would wait for ever. Trying again helps it only if the memory is missing
// because others hold it.
type tracker struct {
	limits
	all                     *memory
	held                    atomic.Int64 // bytes
	seriesSeen, samplesRead atomic.Int64
}

// limits are what one query may come to; 0 = no limit.
type limits struct {
	bytes  int64 // of memory
	series int64 // selected
	read   int64 // samples
}

// take adds bytes to what the query holds. After an error it holds no more than
// before.
func (t *tracker) take(bytes int64) error {
	if t == nil || bytes <= 0 {
		return nil
	}
	own := t.held.Add(bytes)
	if t.bytes > 0 && own > t.bytes {
		t.held.Add(-bytes)
		return errBytes(own, t.bytes)
	}
	all, most := t.all.held.Add(bytes)+t.all.cache, t.all.limit
	if own > smallBytes {
		most -= most / smallReserve
	}
	if t.all.limit > 0 && all > most {
		t.held.Add(-bytes)
		t.all.held.Add(-bytes)
		if left := most - t.all.cache; own > left {
			return errTotalBytesAlone(own, left, t.all.limit)
		}
		return errTotalBytes(all, most, t.all.limit)
	}
	return nil
}

// give takes back what take added.
func (t *tracker) give(bytes int64) {
	if t != nil && bytes > 0 {
		t.held.Add(-bytes)
		t.all.held.Add(-bytes)
	}
}

// fits returns the error that take would, and takes nothing.
func (t *tracker) fits(bytes int64) error {
	err := t.take(bytes)
	if err == nil {
		t.give(bytes)
	}
	return err
}

// close gives back everything.
func (t *tracker) close() {
	if t != nil {
		t.give(t.held.Load())
	}
}

// moreSeries takes the memory of up to n series that are about to be selected.
func (t *tracker) moreSeries(n int) error { return t.take(int64(n) * seriesBytes) }

// selected counts n series that were selected, and takes the memory of their
// labels; of returns those of the i-th.
func (t *tracker) selected(n int, of func(i int) labels.Labels) error {
	if t == nil || n == 0 {
		return nil
	}
	if all := t.seriesSeen.Add(int64(n)); t.series > 0 && all > t.series {
		return errSeries(all, t.series)
	}
	// The labels of some tell how long those of all are.
	const some = 16
	bytes, asked := 0, min(n, some)
	for i := range asked {
		bytes += int(of(i * n / asked).ByteSize())
	}
	return t.take(int64(n) * int64(bytes/asked))
}

// seriesBytes is what a selected series takes besides its labels.
const seriesBytes = 160

// readMore counts samples that are read.
func (t *tracker) readMore(samples int64) error {
	if t == nil || samples == 0 {
		return nil
	}
	if all := t.samplesRead.Add(samples); t.read > 0 && all > t.read {
		return errSamplesRead(all, t.read)
	}
	return nil
}

// load is what one worker holds and has read.
type load struct {
	tracker    *tracker
	held, read int64
}

// grown charges what the worker's memory has grown by, for as many columns as it
// makes before it hands them over, and what it has read. A worker of a query
// asks after the first of these columns, and after the last.
func (l *load) grown(w *worker, columns int) error {
	c := &w.cols[0]
	n := int64(columns)*valueBytes*int64(cap(c.v)+cap(c.h)) + w.bytes()
	if n > l.held {
		if err := l.tracker.take(n - l.held); err != nil {
			return err
		}
		l.held = n
	}
	read := w.tally.read
	err := l.tracker.readMore(read - l.read)
	l.read = read
	return err
}

func (l *load) close() { l.tracker.give(l.held) }

// gridBytes returns what the smallest answer on a grid takes, and the counts of
// its steps: it is asked for before anything is allocated for them.
func gridBytes(g grid) int64 { return 3 * valueBytes * int64(g.n) }

// The memory of a value of a column, of a point of an answer, of a series or
// column besides those, of a candidate of a rank and of a step's list of them.
const (
	valueBytes      = 8
	pointBytes      = 16
	columnBytes     = 96
	candidateBytes  = 24
	candidatesBytes = 24
)

// bytes returns the memory that a column takes, its labels included: most
// expressions make new ones. A histogram that stands at several steps in a row is
// there once.
func (c *column) bytes() int64 {
	n := columnBytes + int(c.metric.ByteSize()) + valueBytes*(cap(c.v)+cap(c.h))
	for i, h := range c.h {
		if h != nil && (i == 0 || h != c.h[i-1]) {
			n += h.Size()
		}
	}
	return int64(n)
}

// answerBytes returns the memory of a series of an answer that weighs so many
// points.
func answerBytes(metric labels.Labels, points int) int64 {
	return columnBytes + int64(metric.ByteSize()) + pointBytes*int64(points)
}

// scratch is memory that is held only while a node is evaluated, besides tables:
// keys of groups, masks, copies to be sorted.
type scratch struct {
	mem   *tracker
	bytes int64
}

// The memory of an entry of a map besides what its key points to, of a label set
// in a list of samples that Prometheus' functions sort, and of the number of a
// column.
const (
	entryBytes  = 64
	sortedBytes = 160
	indexBytes  = 16
)

func (s *scratch) take(bytes int64) error {
	err := s.mem.take(bytes)
	if err == nil {
		s.bytes += bytes
	}
	return err
}

// close gives back everything.
func (s *scratch) close() {
	s.mem.give(s.bytes)
	s.bytes = 0
}
