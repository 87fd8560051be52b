// Package graphite is the door for Graphite's plaintext protocol over TCP and UDP, a
// sample a line:
//
//	servers.db1.cpu.idle;dc=eu 98.5 1346846400
//	└──────── alias ─────────┘ value seconds
//
// The alias of a series is that of its path with the tags, as sent.
package graphite

import (
	"context"
	"io"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// DoorName is the name of the door in metrics.
const DoorName = "graphite"

// Handler stores lines. It is safe for concurrent use.
type Handler struct {
	shared *door.Shared
	door   *door.Door[*decoder]
}

// New returns a handler.
func New(s *door.Shared, names door.Names) *Handler {
	return &Handler{shared: s, door: door.New(s, DoorName, door.Graphite, func() *decoder { return &decoder{names: names} })}
}

// StoreLines stores whole lines. It answers nothing: the protocol has no answers. Lines
// that are refused are in the receipt.
func (h *Handler) StoreLines(ctx context.Context, lines []byte, _ io.Writer) (storage.Receipt, error) {
	q, err := h.door.Acquire()
	if err != nil {
		return storage.Receipt{}, err
	}
	defer q.Release()
	q.Decoder.src, q.Decoder.now = lines, h.shared.Clock.Now().UnixMilli()
	return q.Store(ctx)
}
