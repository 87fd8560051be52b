// Package importer is the door of `tsdb import` to a running server:
// /api/v1/admin/import. GET reports which times are taken; POST takes a stream of samples
// (package internal/transfer/stream) and publishes it in runs of bounded memory, beside
// the log. The reply comes when all of them are durable and visible.
package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
	"tsdb/internal/transfer/stream"
	"tsdb/storage"
)

// stallLimit bounds the time between two reads of a body. An import may wait for its
// source.
const stallLimit = 5 * time.Minute

// Options are the options of a Handler. DB is required.
type Options struct {
	DB       func() (*storage.DB, error) // the database, or an error until it is open
	Tenant   string                      // empty = storage.DefaultTenantName
	RunBytes int64                       // memory of a run; 0 = the default
	Logger   *slog.Logger                // nil = none
}

// Handler serves imports, one at a time: each holds a run in memory. It is safe for
// concurrent use.
type Handler struct {
	o    Options
	busy sync.Mutex
}

// New returns a handler.
func New(o Options) *Handler {
	if o.Tenant == "" {
		o.Tenant = storage.DefaultTenantName
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{o: o}
}

// Register mounts the endpoint. The caller restricts access to /api/v1/admin.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/admin/import", h.bounds)
	mux.HandleFunc("POST /api/v1/admin/import", h.take)
}

// bounds reports which times are taken.
func (h *Handler) bounds(w http.ResponseWriter, _ *http.Request) {
	db, err := h.o.DB()
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, answer{Status: "success", Data: transfer.BoundsOf(db)})
}

// take imports the body.
func (h *Handler) take(w http.ResponseWriter, r *http.Request) {
	if !h.busy.TryLock() {
		fail(w, fmt.Errorf("%w: another import is under way", storage.ErrBusy))
		return
	}
	defer h.busy.Unlock()
	db, err := h.o.DB()
	if err != nil {
		fail(w, err)
		return
	}
	tenant, err := db.Tenant(h.o.Tenant)
	if err != nil {
		fail(w, err)
		return
	}
	dst := transfer.NewDB(db, tenant, h.o.RunBytes)
	defer dst.Close()
	body := &stallReader{r: r.Body, control: http.NewResponseController(w)}
	total, err := importStream(r.Context(), dst, body)
	if err != nil {
		h.o.Logger.Warn("import ended early; what was published of it stays", "samples", total.Samples, "err", err)
		fail(w, fmt.Errorf("%w (%d samples before it are stored)", err, total.Samples))
		return
	}
	reply(w, http.StatusOK, answer{Status: "success", Data: total})
}

// importStream publishes a stream.
func importStream(ctx context.Context, dst *transfer.DB, body io.Reader) (total transfer.Receipt, err error) {
	in, err := stream.NewReader(body)
	if err != nil {
		return total, err
	}
	for {
		f, err := in.Next()
		if errors.Is(err, io.EOF) {
			return total, publish(ctx, dst, &total)
		} else if err != nil {
			return total, err
		}
		item := transfer.Item{Labels: f.Labels, Samples: f.Samples, Metric: f.Metric, Metadata: f.Metadata}
		if f.Exemplar != nil {
			item.Samples, item.Exemplars = &model.Samples{}, []model.Exemplar{*f.Exemplar}
		}
		if err := dst.Add(ctx, &item); err != nil {
			return total, err
		}
		if dst.Full() {
			if err := publish(ctx, dst, &total); err != nil {
				return total, err
			}
		}
	}
}

func publish(ctx context.Context, dst *transfer.DB, total *transfer.Receipt) error {
	r, err := dst.Publish(ctx)
	if err == nil {
		total.Add(r)
	}
	return err
}

// stallReader ends a body that stalls.
type stallReader struct {
	r       io.Reader
	control *http.ResponseController
}

func (s *stallReader) Read(p []byte) (int, error) {
	_ = s.control.SetReadDeadline(time.Now().Add(stallLimit)) // not all connections have one
	return s.r.Read(p)
}

// answer has the form of Prometheus' API.
type answer struct {
	Status    string `json:"status"`
	Data      any    `json:"data,omitempty"`
	ErrorType string `json:"errorType,omitempty"`
	Error     string `json:"error,omitempty"`
}

func fail(w http.ResponseWriter, err error) {
	code, kind := http.StatusInternalServerError, "internal"
	switch {
	case errors.Is(err, storage.ErrBusy), errors.Is(err, storage.ErrPoisoned), errors.Is(err, storage.ErrClosed), errors.Is(err, context.Canceled):
		code, kind = http.StatusServiceUnavailable, "unavailable"
		w.Header().Set("Retry-After", "1")
	case errors.Is(err, stream.ErrCorrupt):
		code, kind = http.StatusBadRequest, "bad_data"
	}
	reply(w, code, answer{Status: "error", ErrorType: kind, Error: err.Error()})
}

func reply(w http.ResponseWriter, code int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(a) // the client has gone
}
