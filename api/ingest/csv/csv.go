// Package csv is the door for lines of values separated by commas:
// /api/v1/import/csv, whose parameter format describes the columns, as in
// VictoriaMetrics. The alias of a series is that of the fields of a line which are
// labels, as sent, and the number of the metric among those of the format. A body is
// stored piece by piece while it arrives.
package csv

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

const (
	path     = "/api/v1/import/csv"
	DoorName = "csv"
)

// Handler serves the door. It is safe for concurrent use.
type Handler struct {
	shared *door.Shared
	door   *door.Door[*decoder]
}

// New returns a handler.
func New(s *door.Shared) *Handler {
	return &Handler{shared: s, door: door.New(s, DoorName, door.CSV, func() *decoder { return new(decoder) })}
}

// Register registers the endpoint.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST "+path, h.write)
	mux.HandleFunc("PUT "+path, h.write)
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request) {
	var o door.Outcome
	h.shared.Answer(w, DoorName, &o, h.store(w, r, &o))
}

// store stores the body.
func (h *Handler) store(w http.ResponseWriter, r *http.Request, o *door.Outcome) error {
	extra, err := door.ExtraLabels(r)
	if err != nil {
		return err
	}
	text := r.URL.Query().Get("format")
	f, err := parseFormat(text)
	if err != nil {
		return &door.RequestError{Text: fmt.Sprintf("invalid parameter \"format\": %v", err)}
	}
	now, err := h.shared.DefaultTime(r)
	if err != nil {
		return err
	}
	pieces, err := h.shared.OpenPieces(w, r)
	if err != nil {
		return err
	}
	defer pieces.Close()
	return door.StorePieces(r.Context(), h.door, pieces, o, func(q *door.Request[*decoder], lines []byte) error {
		q.Parameters("format", text)
		q.AddLabels(extra)
		q.Decoder.src, q.Decoder.format, q.Decoder.now = lines, f, now
		return nil
	})
}

// Lines decodes lines that are not the body of a request, such as a file. It belongs to
// one goroutine.
type Lines struct {
	door   *door.Door[*decoder]
	format *format
	now    int64 // time of lines without one, Unix milliseconds
}

// NewLines returns a decoder of lines in a format that adds what it decodes to the stores
// of a backend. now is the time of lines without one.
func NewLines(b door.Backend, format string, now time.Time) (*Lines, error) {
	f, err := parseFormat(format)
	if err != nil {
		return nil, err
	}
	d := door.New(door.NewShared(door.Options{Backend: b}), DoorName, door.CSV, func() *decoder { return new(decoder) })
	return &Lines{door: d, format: f, now: now.UnixMilli()}, nil
}

// Decode decodes lines and commits them to the backend's store.
func (l *Lines) Decode(ctx context.Context, lines []byte) (storage.Receipt, error) {
	q, err := l.door.Acquire()
	if err != nil {
		return storage.Receipt{}, err
	}
	defer q.Release()
	q.Decoder.src, q.Decoder.format, q.Decoder.now = lines, l.format, l.now
	return q.Store(ctx)
}
