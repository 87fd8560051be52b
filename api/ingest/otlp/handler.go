package otlp

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"tsdb/api/ingest/door"
	"tsdb/api/reqbody"
	"tsdb/storage"
)

// DoorName is the name of the door in metrics and logs.
const DoorName = "otlp"

// Paths are the paths of the door over HTTP: that of the specification, and those of
// Prometheus and of VictoriaMetrics.
var Paths = []string{"/v1/metrics", "/api/v1/otlp/v1/metrics", "/opentelemetry/v1/metrics"}

// Handler serves OTLP metrics over HTTP and gRPC. It is safe for concurrent use.
type Handler struct {
	shared *door.Shared
	door   *door.Door[*decoder]
	rules  atomic.Pointer[rules]
}

// New returns a handler. The settings are valid.
func New(s *door.Shared, o Settings) *Handler {
	h := &Handler{shared: s}
	h.Set(o)
	h.door = door.New(s, DoorName, door.OTLP, func() *decoder { return newDecoder(h.rules.Load()) })
	return h
}

// Set replaces the settings, for requests that begin from now on. They are valid.
func (h *Handler) Set(o Settings) { h.rules.Store(newRules(o)) }

// acquire returns the state for a request under the settings in force, which are part of
// the seed of its aliases.
func (h *Handler) acquire() (*door.Request[*decoder], error) {
	q, err := h.door.Acquire()
	if err != nil {
		return nil, err
	}
	r := h.rules.Load()
	q.Decoder.use(r)
	q.Parameters(r.name)
	return q, nil
}

// Register registers the endpoints.
func (h *Handler) Register(mux *http.ServeMux) {
	for _, path := range Paths {
		mux.Handle(path, h)
	}
}

// ServeHTTP serves a request to store metrics.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
	case http.MethodOptions:
		w.Header().Set("Allow", allow)
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.Header().Set("Allow", allow)
		Fail(w, r, http.StatusMethodNotAllowed, "this path takes OTLP metrics by POST")
		return
	}
	f, err := formOf(r)
	if err == nil {
		err = checkEncoding(encodingOf(r))
	}
	if err != nil {
		Fail(w, r, http.StatusUnsupportedMediaType, err.Error())
		return
	}
	o, err := h.write(w, r, f)
	if err != nil {
		h.shared.RefusedRequest(DoorName, err)
		Fail(w, r, h.shared.Status(err), err.Error())
		return
	}
	f.writeResponse(w, o)
}

const allow = "OPTIONS, POST"

// outcome is the result of a request.
type outcome struct {
	rejectedPoints int
	message        string // why; may be set without a rejected data point
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request, f form) (o outcome, err error) {
	extra, err := door.ExtraLabels(r)
	if err != nil {
		return o, err
	}
	if err := h.shared.Ready(); err != nil {
		return o, err
	}
	received, err := h.shared.Budget.Read(w, r, h.shared.Limit)
	if err != nil {
		return o, err
	}
	defer received.Release()
	q, err := h.acquire()
	if err != nil {
		return o, err
	}
	defer q.Release()
	q.AddLabels(extra)
	src, err := decompress(r.Context(), q, received, encodingOf(r), h.shared.Limit)
	if err != nil {
		return o, err
	}
	paid := int64(len(src)) * door.DecodedCost
	if f == jsonForm {
		if src, err = q.Decoder.json.transcode(r.Context(), src, h.shared.Limit, received.Charge()); err != nil {
			return o, err
		}
	}
	return store(r.Context(), q, src, paid, received.Charge())
}

// decompress returns the decompressed body, and charges it and the samples it holds.
func decompress(ctx context.Context, q *door.Request[*decoder], received *reqbody.Body, encoding string, limit reqbody.Limit) ([]byte, error) {
	raw, err := q.Body.Bytes(ctx, received)
	if err != nil {
		return nil, err
	}
	charge := received.Charge()
	switch encoding {
	case "gzip":
		src, err := q.Body.Gunzip(ctx, raw, limit, charge)
		if err != nil {
			return nil, err
		}
		return src, charge.Take(ctx, int64(len(src))*door.DecodedCost)
	case "zstd":
		return q.Body.Unzstd(ctx, raw, limit, charge)
	}
	if name := door.Compression(raw); name != "" {
		return nil, &door.RequestError{Text: fmt.Sprintf("the body is compressed with %s, but no header says so: send it with \"Content-Encoding: %s\"", name, name)}
	}
	return raw, charge.Take(ctx, int64(len(raw))*door.DecodedCost)
}

// store stores a decompressed message in protobuf. paid is what has been charged for its
// samples.
func store(ctx context.Context, q *door.Request[*decoder], src []byte, paid int64, charge *reqbody.Charge) (o outcome, err error) {
	if more := int64(len(src))*door.DecodedCost - paid; more > 0 { // it was shorter in JSON
		if err := charge.Take(ctx, more); err != nil {
			return o, err
		}
		paid += more
	}
	d := q.Decoder
	d.src = src
	d.budget = spending{paid: paid, charge: func(n int64) error { return charge.Take(ctx, n) }}
	receipt, err := q.Store(ctx)
	if err != nil {
		return o, err
	}
	return outcomeOf(d, receipt), nil
}

// outcomeOf returns the answer to a request that has been stored.
func outcomeOf(d *decoder, receipt storage.Receipt) (o outcome) {
	if len(receipt.Rejected) == 0 {
		return o
	}
	// The log refuses native histograms that are too large for it, after the batch
	// has taken them.
	o.rejectedPoints = d.refusedPoints + d.histogramsIn - receipt.Histograms
	o.message = door.Summary(receipt.Floats+receipt.Histograms, receipt.RejectedCount(), receipt.Rejected)
	return o
}

func encodingOf(r *http.Request) string {
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	if encoding == "identity" {
		return ""
	}
	return encoding
}

func checkEncoding(encoding string) error {
	switch encoding {
	case "", "gzip", "zstd":
		return nil
	}
	return fmt.Errorf("content encoding %q is not supported, use gzip, zstd or none", door.Clip(encoding, 40))
}
