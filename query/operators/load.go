package operators

import (
	"tsdb/query/admission"
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
