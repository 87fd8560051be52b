package operators

import (
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/query/admission"
	"tsdb/query/steps"
)

// gridBytes returns what the smallest answer on a grid takes, and the counts of
// its steps: it is asked for before anything is allocated for them.
func gridBytes(g steps.Grid) int64 { return 3 * valueBytes * int64(g.N) }

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

// The memory of an entry of a map besides what its key points to, of a label set
// in a list of samples that Prometheus' functions sort, and of the number of a
// column.
const (
	entryBytes  = 64
	sortedBytes = 160
	indexBytes  = 16
)

// load is what one worker holds and has read.
type load struct {
	tracker    *admission.Tracker
	held, read int64
}

// grown charges what the worker's memory has grown by, for as many columns as it
// makes before it hands them over, and what it has read. A worker of a query
// asks after the first of these columns, and after the last.
func (l *load) grown(w *worker, columns int) error {
	c := &w.cols[0]
	n := int64(columns)*valueBytes*int64(cap(c.v)+cap(c.h)) + w.Bytes()
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
