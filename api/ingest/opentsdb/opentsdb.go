// Package opentsdb is the door for the HTTP API of OpenTSDB: POST /api/put, of an object
// or an array of them,
//
//	{"metric":"sys.cpu.nice","timestamp":1346846400,"value":18,"tags":{"host":"web01"}}
//	          └─── alias ──┘                                           └─── alias ───┘
//
// The alias of a series is that of the metric and the tags, as sent but for blanks.
package opentsdb

import (
	"encoding/json"
	"net/http"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// DoorName is the name of the door in metrics.
const DoorName = "opentsdb"

// Paths are the paths of the door: OpenTSDB's, and that of VictoriaMetrics.
var Paths = []string{"/api/put", "/opentsdb/api/put"}

// Handler serves the door. It is safe for concurrent use.
type Handler struct {
	shared *door.Shared
	door   *door.Door[*decoder]
}

// New returns a handler.
func New(s *door.Shared, names door.Names) *Handler {
	return &Handler{shared: s, door: door.New(s, DoorName, door.OpenTSDB, func() *decoder { return &decoder{names: names} })}
}

// Register registers the endpoint.
func (h *Handler) Register(mux *http.ServeMux) {
	for _, path := range Paths {
		mux.HandleFunc("POST "+path, h.put)
		mux.HandleFunc("POST "+path+"/{$}", h.put)
	}
}

// put answers as OpenTSDB does: 204, or with the parameter summary or details 200 and
// the numbers; 400 if data points were refused, with details also which and why.
func (h *Handler) put(w http.ResponseWriter, r *http.Request) {
	var a report
	if err := h.store(w, r, &a); err != nil {
		h.shared.RefusedRequest(DoorName, err)
		Fail(w, h.shared.Status(err), err.Error())
		return
	}
	query := r.URL.Query()
	details := query.Has("details")
	status := http.StatusOK
	if a.Failed > 0 {
		status = http.StatusBadRequest
	}
	switch {
	case details, query.Has("summary"):
		if !details {
			a.Errors = nil
		}
		answer(w, status, &a)
	case a.Failed > 0:
		Fail(w, status, a.summary)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *Handler) store(w http.ResponseWriter, r *http.Request, a *report) error {
	encoding, err := door.Encoding(r, "gzip", "zstd", "deflate")
	if err != nil {
		return err
	}
	extra, err := door.ExtraLabels(r)
	if err == nil {
		err = h.shared.Ready()
	}
	if err != nil {
		return err
	}
	received, err := h.shared.Budget.Read(w, r, h.shared.Limit)
	if err != nil {
		return err
	}
	defer received.Release()
	q, err := h.door.Acquire()
	if err != nil {
		return err
	}
	defer q.Release()
	q.AddLabels(extra)
	d := q.Decoder
	if d.src, err = q.Body.Content(r.Context(), received, encoding, h.shared.Limit); err != nil {
		return err
	}
	d.tree.ChargeTo(r.Context(), received.Charge())
	d.now = h.shared.Clock.Now().UnixMilli()
	receipt, err := q.Store(r.Context())
	if err != nil {
		return err
	}
	a.fill(d, receipt)
	return nil
}

// report is the answer to the parameters summary and details.
type report struct {
	Errors  []refusal `json:"errors,omitempty"`
	Failed  int       `json:"failed"`
	Success int       `json:"success"`

	summary string // of the refusals
}

// refusal is a data point that was refused, or one of some.
type refusal struct {
	DataPoint json.RawMessage `json:"datapoint,omitempty"`
	Error     string          `json:"error"`
}

func (a *report) fill(d *decoder, receipt storage.Receipt) {
	a.Success, a.Failed = receipt.Floats, receipt.RejectedCount()
	if a.Failed == 0 {
		return
	}
	a.Errors = append(a.Errors, d.refused...)
	decoded := map[storage.Reason]bool{}
	for _, reason := range d.reasons {
		decoded[reason] = true
	}
	for _, r := range receipt.Rejected { // those of the database, which do not name a data point
		if !decoded[r.Reason] {
			a.Errors = append(a.Errors, refusal{Error: door.Summary(receipt.Floats, r.Count, []storage.Rejection{r})})
		}
	}
	a.summary = door.Summary(a.Success, a.Failed, receipt.Rejected)
}

// Fail writes an error in OpenTSDB's form.
func Fail(w http.ResponseWriter, status int, text string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", door.RetryAfter)
	}
	type failure struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	answer(w, status, struct {
		Error failure `json:"error"`
	}{failure{status, text}})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(body) // fails only if the client has disconnected
}
