// Package pushgateway is the door for pushes in the manner of Prometheus'
// Pushgateway: PUT, POST and DELETE of /metrics/job/JOB{/LABEL/VALUE}. What is pushed
// is stored once, at its arrival, with the labels of the path, in the formats of
// package text. A gateway would expose it until it is deleted; here it is a sample
// like any other.
package pushgateway

import (
	"fmt"
	"net/http"
	"strings"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/text"
)

// Roots are the paths below which groups are named: Pushgateway's, and that of
// VictoriaMetrics.
var Roots = [...]string{"/metrics/", text.Path + "/metrics/"}

// Handler serves the door. It is safe for concurrent use.
type Handler struct {
	shared *door.Shared
	text   *text.Handler
	memory memory
}

// New returns a handler that stores through the door of text.
func New(s *door.Shared, t *text.Handler) *Handler { return &Handler{shared: s, text: t} }

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

// groupOf returns the grouping labels of the path.
func groupOf(r *http.Request) ([]door.Label, error) {
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
	group, err := groupOf(r)
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
		ended, kept := h.memory.compare(key(push.Labels), push.Record.Series, r.Method == http.MethodPost)
		// If a series is pushed again under other bytes, its number beats the marker.
		if err := h.text.MarkStale(r.Context(), ended, push.Now); err != nil {
			return err
		}
		h.memory.set(key(push.Labels), kept, push.Now)
	}
	what := "push_time_seconds"
	if o.Refused() > 0 {
		what = "push_failure_time_seconds"
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

// delete marks the series of the group stale that the server remembers.
func (h *Handler) delete(w http.ResponseWriter, r *http.Request) {
	group, err := groupOf(r)
	if err == nil {
		var extra []door.Label
		if extra, err = door.ExtraLabels(r); err == nil {
			group = append(group, extra...)
			err = h.shared.Ready()
		}
	}
	if err == nil {
		series, pushed := h.memory.get(key(group))
		// A marker at the time of a number would not replace it.
		err = h.text.MarkStale(r.Context(), series, max(h.shared.Clock.Now().UnixMilli(), pushed+1))
	}
	if err == nil {
		h.memory.set(key(group), nil, 0)
	}
	if err != nil {
		h.shared.RefusedRequest(text.DoorName, err)
		h.shared.Fail(w, err.Error(), h.shared.Status(err))
		return
	}
	w.WriteHeader(http.StatusAccepted)
}
