// Package datadog is the door for the series of DataDog's agent and of what speaks its
// API: /api/v1/series and /api/v2/series in JSON, the latter also as the protobuf
// messages that the agent sends. The alias of a series is that of the fields that name
// it, as sent but for blanks:
//
//	{"metric":"system.load.1","host":"db1","tags":["env:prod"],"points":[[1346846400,0.7]]}
//	          └──── alias ──┘        └─ ──┘        └──── ────┘            time      value
//
// A count is stored as it is sent, the number of events of an interval, and a rate as
// the events a second. The other paths of an agent get the answers that let it go on.
package datadog

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// DoorName is the name of the door in metrics.
const DoorName = "datadog"

// Prefix is VictoriaMetrics' prefix of the paths.
const Prefix = "/datadog"

// Paths of series. Without the prefix, SeriesV1 belongs to Prometheus' API.
const (
	SeriesV1 = "/api/v1/series"
	seriesV2 = "/api/v2/series"
)

// ignored are the paths whose bodies are read and dropped: checks, events and what the
// agent reports about its host. They hold no samples.
var ignored = []string{"/api/v1/check_run", "/api/v1/metadata", "/api/v1/events", "/intake", "/intake/{$}"}

// sketches is the path of distributions, which are not stored.
const sketches = "/api/beta/sketches"

// Handler serves the door. It is safe for concurrent use.
type Handler struct {
	shared   *door.Shared
	json     *door.Door[*decoder]
	messages *door.Door[*messages]
}

// New returns a handler.
func New(s *door.Shared, names door.Names) *Handler {
	return &Handler{
		shared:   s,
		json:     door.New(s, DoorName, door.DataDogJSON, func() *decoder { return &decoder{tags: tags{names: names}} }),
		messages: door.New(s, DoorName, door.DataDogMessage, func() *messages { return &messages{tags: tags{names: names}} }),
	}
}

// Register registers the endpoints.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST "+Prefix+SeriesV1, h.series1)
	for _, prefix := range []string{"", Prefix} {
		mux.HandleFunc("POST "+prefix+seriesV2, h.series2)
		mux.HandleFunc("GET "+prefix+"/api/v1/validate", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusOK, map[string]bool{"valid": true})
		})
		for _, path := range ignored {
			mux.HandleFunc("POST "+prefix+path, h.ignore)
		}
		mux.HandleFunc("POST "+prefix+sketches, h.sketches)
	}
}

// Serves reports whether a path is one of the door.
func Serves(path string) bool {
	if rest, ok := strings.CutPrefix(path, Prefix+"/"); ok {
		return rest != ""
	}
	return path == seriesV2 || path == "/api/v1/validate" || path == sketches || slices.Contains(ignored, path) || path == "/intake/"
}

// IsSeries reports whether a request to SeriesV1 sends series, and does not ask for those
// that are stored: it has a body in JSON or a key of DataDog.
func IsSeries(r *http.Request) bool {
	if r.Method != http.MethodPost || r.URL.Path != SeriesV1 {
		return false
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return media == "application/json" || r.Header.Get("Dd-Api-Key") != ""
}

func (h *Handler) series1(w http.ResponseWriter, r *http.Request) {
	h.write(w, r, map[string]string{"status": "ok"})
}

func (h *Handler) series2(w http.ResponseWriter, r *http.Request) {
	h.write(w, r, map[string][]string{"errors": {}})
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request, ok any) {
	receipt, err := h.store(w, r)
	switch {
	case err != nil:
		h.shared.RefusedRequest(DoorName, err)
		Fail(w, h.shared.Status(err), err.Error())
	case receipt.RejectedCount() > 0:
		Fail(w, http.StatusBadRequest, door.Summary(receipt.Floats, receipt.RejectedCount(), receipt.Rejected))
	default:
		answer(w, http.StatusAccepted, ok)
	}
}

func (h *Handler) store(w http.ResponseWriter, r *http.Request) (receipt storage.Receipt, err error) {
	encoding, err := door.Encoding(r, "deflate", "gzip", "zstd")
	if err != nil {
		return receipt, err
	}
	extra, err := door.ExtraLabels(r)
	if err == nil {
		err = h.shared.Ready()
	}
	if err != nil {
		return receipt, err
	}
	received, err := h.shared.Budget.Read(w, r, h.shared.Limit)
	if err != nil {
		return receipt, err
	}
	defer received.Release()
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "application/x-protobuf" {
		q, err := h.messages.Acquire()
		if err != nil {
			return receipt, err
		}
		defer q.Release()
		q.AddLabels(extra)
		if q.Decoder.src, err = q.Body.Content(r.Context(), received, encoding, h.shared.Limit); err != nil {
			return receipt, err
		}
		return q.Store(r.Context())
	}
	q, err := h.json.Acquire()
	if err != nil {
		return receipt, err
	}
	defer q.Release()
	q.AddLabels(extra)
	if q.Decoder.src, err = q.Body.Content(r.Context(), received, encoding, h.shared.Limit); err != nil {
		return receipt, err
	}
	q.Decoder.tree.ChargeTo(r.Context(), received.Charge())
	return q.Store(r.Context())
}

// ignore drops a body.
func (h *Handler) ignore(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, h.shared.Limit.Bytes)); err != nil {
		Fail(w, http.StatusBadRequest, "read request body: "+err.Error())
		return
	}
	answer(w, http.StatusAccepted, map[string]string{"status": "ok"})
}

// sketches drops distributions, and records that. An error would make the agent send
// them again.
func (h *Handler) sketches(w http.ResponseWriter, r *http.Request) {
	h.shared.RefusedRequest(DoorName, &door.RequestError{Text: "distributions (sketches) are not stored"})
	h.ignore(w, r)
}

// Fail writes an error in DataDog's form.
func Fail(w http.ResponseWriter, status int, text string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", door.RetryAfter)
	}
	answer(w, status, map[string][]string{"errors": {text}})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(body) // fails only if the client has disconnected
}
