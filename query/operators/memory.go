package operators

import (
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/query/admission"
	"tsdb/query/steps"
)

// gridBytes returns the minimum memory of an answer on a grid and of the counts of
// its steps. It is checked before they are allocated.
func gridBytes(g steps.Grid) int64 { return 3 * valueBytes * int64(g.N) }

// The memory of a value of a column, of a point of an answer, of a series or column
// excluding those, of a candidate of a rank, and of a step's list of candidates.
const (
	valueBytes      = 8
	pointBytes      = 16
	columnBytes     = 96
	candidateBytes  = 24
	candidatesBytes = 24
)

// bytes returns the memory of a column, including its labels, because most
// expressions create new ones. A histogram at several consecutive steps is counted
// once.
func (c *column) bytes() int64 {
	n := columnBytes + int(c.metric.ByteSize()) + valueBytes*(cap(c.v)+cap(c.h))
	for i, h := range c.h {
		if h != nil && (i == 0 || h != c.h[i-1]) {
			n += h.Size()
		}
	}
	return int64(n)
}

// answerBytes returns the memory of a series of an answer with the given number of
// points.
func answerBytes(metric labels.Labels, points int) int64 {
	return columnBytes + int64(metric.ByteSize()) + pointBytes*int64(points)
}

// The memory of a map entry excluding the bytes of its key, of a label set in a list
// of samples sorted by Prometheus' functions, and of a column's index.
const (
	entryBytes  = 64
	sortedBytes = 160
	indexBytes  = 16
)

// load is the memory held by one worker and the samples it has read.
type load struct {
	tracker    *admission.Tracker
	held, read int64
}

// grown charges the growth of the worker's memory, for the columns it produces before
// passing them on, and the samples it has read. It is called after the first and the
// last of these columns.
func (l *load) grown(w *worker, columns int) error {
	c := &w.cols[0]
	n := int64(columns)*valueBytes*int64(cap(c.v)+cap(c.h)) + w.bytes()
	if n > l.held {
		if err := l.tracker.Reserve(n - l.held); err != nil {
			return err
		}
		l.held = n
	}
	read := w.tally.read
	err := l.tracker.CountSamples(read - l.read)
	l.read = read
	return err
}

func (l *load) close() { l.tracker.Release(l.held) }
