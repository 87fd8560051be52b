package influx

import (
	"context"
	"fmt"
	"time"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// Lines decodes line protocol that is not the body of a request, such as a file. The
// series are those that a write gives. It belongs to one goroutine.
type Lines struct {
	door *door.Door[*decoder]
	o    LinesOptions
	unit precision
}

// LinesOptions are the options of a Lines.
type LinesOptions struct {
	Precision   string // of timestamps: ns, us, ms, s, m or h; empty = ns
	DB, DBLabel string // adds a label with the name of the database; empty = none
	Now         time.Time
}

// NewLines returns a decoder that adds what it decodes to the stores of a backend.
func NewLines(backend door.Backend, o LinesOptions) (*Lines, error) {
	p, ok := precisions1[o.Precision]
	if !ok {
		return nil, fmt.Errorf("invalid precision %q (use ns, us, ms, s, m or h)", o.Precision)
	}
	l := &Lines{o: o, unit: p}
	l.door = door.New(door.NewShared(door.Options{Backend: backend}), "influx", door.Influx, func() *decoder { return &decoder{naming: &DefaultNaming} })
	return l, nil
}

// Decode decodes lines and commits them to the backend's store.
func (l *Lines) Decode(ctx context.Context, lines []byte) (storage.Receipt, error) {
	q, err := l.door.Acquire()
	if err != nil {
		return storage.Receipt{}, err
	}
	defer q.Release()
	q.Decoder.precision, q.Decoder.now, q.Decoder.db = l.unit, l.unit.now(l.o.Now), dbLabel{}
	if l.o.DB != "" && l.o.DBLabel != "" {
		q.Decoder.db = dbLabel{[]byte(l.o.DBLabel), []byte(l.o.DB)}
	}
	q.Decoder.src = lines
	return q.Store(ctx)
}
