package remotewrite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"tsdb/api/ingest/door"
	"tsdb/api/reqbody"
	"tsdb/storage"
)

// The message types of remote write. Only the content type distinguishes them.
const (
	message1 = "prometheus.WriteRequest"
	message2 = "io.prometheus.write.v2.Request"

	protobufType = "application/x-protobuf"
)

// The headers in which remote write 2 reports the numbers stored.
const (
	samplesWrittenHeader    = "X-Prometheus-Remote-Write-Samples-Written"
	histogramsWrittenHeader = "X-Prometheus-Remote-Write-Histograms-Written"
	exemplarsWrittenHeader  = "X-Prometheus-Remote-Write-Exemplars-Written"
)

// linesHint points clients of the InfluxDB line protocol to their endpoint.
const linesHint = "; InfluxDB line protocol goes to /write or /api/v2/write"

// Handler serves Prometheus remote write 1.0 and 2.0. It is safe for concurrent
// use.
type Handler struct {
	shared   *door.Shared
	version1 *door.Door[*decoder1]
	version2 *door.Door[*decoder2]
	metadata door.MetadataCache
}

// DoorName is the name of the doors of both versions in metrics and logs.
const DoorName = "remote_write"

// New returns a handler.
func New(s *door.Shared) *Handler {
	h := &Handler{shared: s}
	h.version1 = door.New(s, DoorName, door.RemoteWrite1, func() *decoder1 { return new(decoder1) })
	h.version2 = door.New(s, DoorName, door.RemoteWrite2, func() *decoder2 { return newDecoder2(&h.metadata) })
	return h
}

// Register registers the endpoints.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.Handle("/api/v1/write", h)
	mux.Handle("/api/v1/push", h)
}

// ServeHTTP serves a write.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		h.probe(w, r)
		return
	}
	// Both headers are checked before the body is read.
	message, err := negotiate(r.Header.Get("Content-Type"))
	if err == nil {
		err = checkSnappy(r.Header.Get("Content-Encoding"))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	}
	o, err := h.write(w, r, message)
	h.answer(w, message, o, err)
}

// probe answers requests that are not writes: OPTIONS, and the GET with
// which Vector and other clients check that the endpoint exists.
func (h *Handler) probe(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if err := h.shared.Ready(); err != nil {
			w.Header().Set("Retry-After", door.RetryAfter)
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "This path takes Prometheus remote write by POST.")
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS, POST")
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS, POST")
		http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
	}
}

// outcome is the result of a request.
type outcome struct {
	receipt storage.Receipt
	offered door.Counts
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request, message string) (o outcome, err error) {
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
	if message == message1 {
		q, err := h.version1.Acquire()
		if err != nil {
			return o, err
		}
		defer q.Release()
		q.AddLabels(extra)
		return store(r.Context(), q, received, h.shared.Limit)
	}
	q, err := h.version2.Acquire()
	if err != nil {
		return o, err
	}
	defer q.Release()
	q.AddLabels(extra)
	return store(r.Context(), q, received, h.shared.Limit)
}

// decoder is implemented by the decoders of both versions.
type decoder interface {
	door.Decoder
	// setSource sets the message. The charge pays for memory beyond a multiple
	// of its size.
	setSource(src []byte, charge func(bytes int64) error)
}

// store decompresses a message and stores it.
func store[D decoder](ctx context.Context, q *door.Request[D], received *reqbody.Body, limit reqbody.Limit) (o outcome, err error) {
	raw, err := q.Body.Bytes(ctx, received)
	if err != nil {
		return o, err
	}
	decoded, err := q.Body.Snappy(ctx, raw, limit, received.Charge())
	if err != nil {
		if name := door.Compression(raw); name != "" {
			err = &door.RequestError{Text: "the body is compressed with " + name + "; remote write is a plain block of snappy"}
		}
		if looksLikeLines(raw) {
			err = &mediaError{"this is not a snappy block of protobuf" + linesHint}
		}
		return o, err
	}
	q.Decoder.setSource(decoded, func(n int64) error { return received.Charge().Take(ctx, n) })
	o.receipt, err = q.Store(ctx)
	o.offered = q.Batch.Offered
	return o, err
}

// mediaError reports a body of a media type that the door does not accept.
type mediaError struct{ text string }

func (e *mediaError) Error() string { return e.text }

// answer writes the response of the protocol.
func (h *Handler) answer(w http.ResponseWriter, message string, o outcome, err error) {
	header := w.Header()
	if message == message2 {
		header.Set(samplesWrittenHeader, strconv.Itoa(o.receipt.Floats))
		header.Set(histogramsWrittenHeader, strconv.Itoa(o.receipt.Histograms))
		header.Set(exemplarsWrittenHeader, strconv.Itoa(o.receipt.Exemplars))
	}
	var media *mediaError
	switch {
	case errors.As(err, &media):
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	case err != nil:
		h.shared.RefusedRequest(DoorName, err)
		status := h.shared.Status(err)
		if status == http.StatusServiceUnavailable {
			header.Set("Retry-After", door.RetryAfter)
		}
		http.Error(w, err.Error(), status)
		return
	}
	refused := o.offered.Floats - o.receipt.Floats + o.offered.Histograms - o.receipt.Histograms
	written := o.receipt.Floats + o.receipt.Histograms
	bad := refused > 0
	if message == message2 {
		// Remote write 2 forbids success if an exemplar was dropped. Senders
		// of remote write 1 do not expect Exemplars to affect the status.
		refused += o.offered.Exemplars - o.receipt.Exemplars
		written += o.receipt.Exemplars
		bad = refused > 0 || len(o.receipt.Rejected) > 0
	}
	if bad {
		http.Error(w, door.Summary(written, refused, o.receipt.Rejected), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// negotiate returns the message type that a content type names. It is strict
// about the media type and the parameter proto, and ignores space and case as
// RFC 9110 allows.
func negotiate(contentType string) (message string, err error) {
	if strings.TrimSpace(contentType) == "" {
		return message1, nil
	}
	media, params, _ := strings.Cut(contentType, ";")
	if !strings.EqualFold(strings.TrimSpace(media), protobufType) {
		return "", fmt.Errorf("expected %s as the first (media) part, got %s content-type%s", protobufType, door.Clip(contentType, door.MaxExcerptBytes), linesHint)
	}
	message = message1
	for more := params != ""; more; {
		var param string
		param, params, more = strings.Cut(params, ";")
		if strings.TrimSpace(param) == "" {
			continue
		}
		key, value, ok := strings.Cut(param, "=")
		if !ok {
			return "", fmt.Errorf("expected parameters to be key-values, got %s in %s content-type", door.Clip(param, door.MaxExcerptBytes), door.Clip(contentType, door.MaxExcerptBytes))
		}
		if !strings.EqualFold(strings.TrimSpace(key), "proto") {
			continue
		}
		switch message = strings.Trim(strings.TrimSpace(value), `"`); message {
		case message1, message2:
		default:
			return "", fmt.Errorf("got %s content type; unknown type for remote write protobuf message %s, supported: %s, %s",
				door.Clip(contentType, door.MaxExcerptBytes), door.Clip(message, door.MaxExcerptBytes), message1, message2)
		}
	}
	return message, nil
}

// checkSnappy returns an error if the content encoding is neither snappy nor
// missing.
func checkSnappy(encoding string) error {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "snappy":
		return nil
	}
	return fmt.Errorf("%s encoding (compression) is not accepted by this server; only snappy is acceptable", door.Clip(encoding, door.MaxExcerptBytes))
}

// looksLikeLines reports whether a body that is not a snappy block could be line
// protocol: text with an equals sign.
func looksLikeLines(b []byte) bool {
	b = b[:min(len(b), 512)]
	for len(b) > 0 && !utf8.RuneStart(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	if len(b) > 0 && b[len(b)-1] >= utf8.RuneSelf {
		b = b[:len(b)-1]
	}
	control := bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' })
	return utf8.Valid(b) && !control && bytes.IndexByte(b, '=') > 0
}
