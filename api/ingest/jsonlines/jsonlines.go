// Package jsonlines is the door for samples as lines of JSON: /api/v1/import, in
// VictoriaMetrics' form (package internal/transfer/jsonl). A body is stored piece by
// piece while it arrives, so that it may be longer than memory; each piece goes through
// the log like any other write.
package jsonlines

import (
	"net/http"

	"tsdb/api/ingest/door"
)

// DoorName is the name of the door in metrics.
const DoorName = "json_lines"

// Handler serves the door. It is safe for concurrent use.
type Handler struct {
	shared *door.Shared
	door   *door.Door[*decoder]
}

// New returns a handler.
func New(s *door.Shared) *Handler {
	return &Handler{shared: s, door: door.New(s, DoorName, door.JSONLines, func() *decoder { return new(decoder) })}
}

// Register registers the endpoint.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v1/import", h.write)
	mux.HandleFunc("PUT /api/v1/import", h.write)
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
	pieces, err := h.shared.OpenPieces(w, r)
	if err != nil {
		return err
	}
	defer pieces.Close()
	return door.StorePieces(r.Context(), h.door, pieces, o, func(q *door.Request[*decoder], lines []byte) error {
		q.AddLabels(extra)
		q.Decoder.src = lines
		return nil
	})
}
