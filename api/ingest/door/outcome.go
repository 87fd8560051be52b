package door

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"tsdb/storage"
)

// Outcome is the result of a request of lines so far.
type Outcome struct {
	written, refused int
	rejected         storage.Rejections
}

// Refused returns the number of samples that were refused.
func (o *Outcome) Refused() int { return o.refused }

// Add adds the receipt of a part of the request.
func (o *Outcome) Add(r storage.Receipt) {
	o.written += r.Floats + r.Histograms
	o.refused += r.RejectedCount()
	for _, x := range r.Rejected {
		o.rejected.Add(x.Reason, x.Series, x.T, x.Detail, x.Count)
	}
}

// StorePieces stores a body piece by piece. set prepares the decoder for a piece.
func StorePieces[D Decoder](ctx context.Context, d *Door[D], p *Pieces, o *Outcome, set func(q *Request[D], lines []byte) error) error {
	for {
		lines, err := p.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = storePiece(ctx, d, lines, o, set)
		}
		if err != nil {
			return err
		}
	}
}

func storePiece[D Decoder](ctx context.Context, d *Door[D], lines []byte, o *Outcome, set func(q *Request[D], lines []byte) error) error {
	q, err := d.Acquire()
	if err != nil {
		return err
	}
	defer q.Release()
	if err := set(q, lines); err != nil {
		return err
	}
	receipt, err := q.Store(ctx)
	if err != nil {
		return err
	}
	o.Add(receipt)
	return nil
}

// Answer answers a request of lines to a door in plain text: 204 if all is stored, 400
// with Summary if some was refused, else the status of the error.
func (s *Shared) Answer(w http.ResponseWriter, door string, o *Outcome, err error) {
	switch {
	case err != nil:
		s.RefusedRequest(door, err)
		text := err.Error()
		if o.written > 0 {
			text += fmt.Sprintf(" (%d samples before it are stored; sending them again changes nothing)", o.written)
		}
		s.Fail(w, text, s.Status(err))
	case o.refused > 0:
		http.Error(w, Summary(o.written, o.refused, o.rejected.List()), http.StatusBadRequest)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// Fail answers a request with an error in plain text, and with Retry-After if it may
// succeed later.
func (s *Shared) Fail(w http.ResponseWriter, text string, status int) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", RetryAfter)
	}
	http.Error(w, text, status)
}
