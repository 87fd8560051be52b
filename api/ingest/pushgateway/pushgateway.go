// Package pushgateway is the door for pushes in the manner of Prometheus'
// Pushgateway: PUT, POST and DELETE of /metrics/job/JOB{/LABEL/VALUE}. What is pushed
// is stored once, at its arrival, with the labels of the path, in the formats of
// package text. A gateway would expose it until it is deleted; here it is a sample
// like any other.
package pushgateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/text"
	"tsdb/storage"
)

// Roots are the paths below which groups are named: Pushgateway's, and that of
// VictoriaMetrics.
var Roots = [...]string{"/metrics/", text.Path + "/metrics/"}

// Handler serves the door. It is safe for concurrent use.
type Handler struct {
	shared *door.Shared
	text   *text.Handler
	memory memory
	db     func() (*storage.DB, error)
	tenant string
}

// New returns a handler that stores through the door of text. db and tenant are asked for
// the series of groups that were pushed before the start.
func New(s *door.Shared, t *text.Handler, db func() (*storage.DB, error), tenant string) *Handler {
	return &Handler{shared: s, text: t, db: db, tenant: tenant}
}

// Register registers the endpoints.
func (h *Handler) Register(mux *http.ServeMux) {
	for _, root := range Roots {
		for _, job := range [...]string{"job/{path...}", "job" + base64Suffix + "/{path...}"} {
			mux.HandleFunc("PUT "+root+job, h.push)
			mux.HandleFunc("POST "+root+job, h.push)
			mux.HandleFunc("DELETE "+root+job, h.delete)
		}
	}
}

// parsePath returns the grouping labels of the path.
func parsePath(r *http.Request) ([]door.Label, error) {
	escaped := r.URL.EscapedPath()
	for _, root := range Roots {
		if rest, ok := strings.CutPrefix(escaped, root); ok {
			return parseGroup(rest)
		}
	}
	return nil, &door.RequestError{Text: "the path names no group"}
}

// push stores a body. PUT ends all series of the group that are not in it, POST those
// of the metrics that are in it: they are marked stale.
func (h *Handler) push(w http.ResponseWriter, r *http.Request) {
	group, err := parsePath(r)
	if err == nil {
		err = h.store(w, r, group)
	}
	if err != nil {
		h.shared.RefusedRequest(text.DoorName, err)
		h.shared.Fail(w, err.Error(), h.shared.Status(err))
	}
}

func (h *Handler) store(w http.ResponseWriter, r *http.Request, group []door.Label) error {
	extra, err := door.ExtraLabels(r)
	if err != nil {
		return err
	}
	now := h.shared.Clock.Now()
	push := text.Push{Labels: append(group[:len(group):len(group)], extra...), Now: now.UnixMilli(), Record: &text.Record{}}
	var o door.Outcome
	if err := h.text.Store(w, r, push, &o); err != nil {
		return err
	}
	if !push.Record.Full { // otherwise it is not known which series are not in the body
		old, err := h.groupOf(r.Context(), push.Labels, push.Now)
		if err != nil {
			return err
		}
		ended, kept := old.compare(push.Record.Series, r.Method == http.MethodPost)
		// If a series is pushed again under other bytes, its number beats the marker.
		if err := h.end(r.Context(), ended, push.Now); err != nil {
			return err
		}
		kept.key, kept.t = key(push.Labels), push.Now
		h.memory.set(kept)
	}
	what := pushTime
	if o.Refused() > 0 {
		what = failureTime
	}
	line := fmt.Appendf(nil, "# TYPE %s gauge\n%s %.3f\n", what, what, float64(push.Now)/1000)
	if err := h.text.StoreLines(r.Context(), line, text.Push{Labels: push.Labels, Now: push.Now}); err != nil {
		return err
	}
	if o.Refused() > 0 {
		h.shared.Answer(w, text.DoorName, &o, nil)
		return nil
	}
	w.WriteHeader(http.StatusOK) // clients take 200 and 202 only
	return nil
}

// groupOf returns a group as its last push has left it.
func (h *Handler) groupOf(ctx context.Context, labels []door.Label, now int64) (*group, error) {
	if g := h.memory.get(key(labels)); g != nil {
		return g, nil
	}
	g, err := h.recall(ctx, labels, now)
	if err != nil {
		return nil, fmt.Errorf("find the series of the group: %w", err)
	}
	return g, nil
}

// end marks the series of a group stale.
func (h *Handler) end(ctx context.Context, g *group, t int64) error {
	if err := h.text.MarkStale(ctx, g.series, t); err != nil {
		return err
	}
	return h.markStale(ctx, g.recalled, t)
}

// delete marks the series of the group stale.
func (h *Handler) delete(w http.ResponseWriter, r *http.Request) {
	group, err := parsePath(r)
	if err == nil {
		var extra []door.Label
		if extra, err = door.ExtraLabels(r); err == nil {
			group = append(group, extra...)
			err = h.shared.Ready()
		}
	}
	if err == nil {
		err = h.forget(r.Context(), group)
	}
	if err != nil {
		h.shared.RefusedRequest(text.DoorName, err)
		h.shared.Fail(w, err.Error(), h.shared.Status(err))
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// forget marks all series of a group stale.
func (h *Handler) forget(ctx context.Context, labels []door.Label) error {
	now := h.shared.Clock.Now().UnixMilli()
	// One more millisecond, so that a push in the one of the deletion counts as earlier.
	g, err := h.groupOf(ctx, labels, now+1)
	if err != nil {
		return err
	}
	// A marker at the time of a number would not replace it.
	if err := h.end(ctx, g, max(now, g.t+1)); err != nil {
		return err
	}
	h.memory.set(&group{key: key(labels), t: g.t})
	return nil
}
