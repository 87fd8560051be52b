package text

import (
	"context"
	"math"

	"github.com/prometheus/prometheus/model/value"
	"github.com/zeebo/xxh3"

	"tsdb/api/ingest/door"
	"tsdb/internal/model"
)

// maxRecorded bounds the series of a record.
const maxRecorded = 1 << 16

// A Record holds the aliases of the series of a body, so that they can be marked
// stale later. It belongs to one goroutine. A nil record records nothing.
type Record struct {
	Series []Recorded
	Full   bool // the body had more series
	kept   int  // those of earlier pieces
}

// Recorded is a series of a record.
type Recorded struct {
	Alias model.Hash
	Name  uint64 // a hash of the metric's name
}

// begin forgets the series of the piece, which is decoded again.
func (r *Record) begin() {
	if r != nil {
		r.Series = r.Series[:r.kept]
	}
}

// keep begins a new piece.
func (r *Record) keep() {
	if r != nil {
		r.kept = len(r.Series)
	}
}

func (r *Record) add(alias model.Hash, name []byte) {
	switch {
	case r == nil:
	case len(r.Series) == maxRecorded:
		r.Full = true
	default:
		r.Series = append(r.Series, Recorded{alias, xxh3.Hash(name)})
	}
}

// MarkStale stores a stale marker at a time, in Unix milliseconds, for the series that
// are still known.
func (h *Handler) MarkStale(ctx context.Context, all []Recorded, t int64) error {
	if len(all) == 0 {
		return nil
	}
	q, err := h.markers.Acquire()
	if err != nil {
		return err
	}
	defer q.Release()
	q.Decoder.series, q.Decoder.t = all, t
	_, err = q.Store(ctx)
	return err
}

// markers makes stale markers of a record.
type markers struct {
	series []Recorded
	t      int64
}

// Release implements door.Decoder.
func (d *markers) Release() { d.series = nil }

// NextGroup implements door.Decoder.
func (d *markers) NextGroup() {}

// Decode implements door.Decoder.
func (d *markers) Decode(b *door.Batch) error {
	for _, s := range d.series {
		b.Queue(s.Alias)
		if err := b.FlushIfFull(); err != nil {
			return err
		}
	}
	return nil
}

// Labels implements door.Decoder: a series that is not known gets no marker.
func (d *markers) Labels(int, *door.LabelSet) (samples int, err error) { return 0, nil }

// AddSamples implements door.Decoder.
func (d *markers) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	for _, ref := range refs[from:to] {
		if ref != 0 {
			b.Offered.Floats++
			b.Float(ref, d.t, 0, math.Float64frombits(value.StaleNaN))
		}
	}
	return nil
}
