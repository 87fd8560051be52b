package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

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

// writeRequest is the reusable state of a remote-write request.
type writeRequest struct {
	body   body
	batch  batch
	write1 decoder1
	write2 decoder2
}

func (in *Ingest) getWrite() (*writeRequest, error) {
	if q, ok := in.writes.Get().(*writeRequest); ok {
		return q, nil
	}
	b, err := in.newBatch(doorRemoteWrite)
	if err != nil {
		return nil, err
	}
	return &writeRequest{
		batch:  b,
		write1: newDecoder1(in.write1, in.opts.Limits),
		write2: newDecoder2(in.write2, in.opts.Limits, &in.metadata),
	}, nil
}

// putWrite returns the state of a request to the pool. finished is false after a
// panic: the decoder may then be in the middle of a request and is not reused.
func (in *Ingest) putWrite(q *writeRequest, finished bool) {
	big := cap(q.body.decoded) > maxPooledBytes
	q.body.release()
	if finished && !big { // the columns of a large request are not pooled either
		in.writes.Put(q)
	}
}

// RemoteWrite serves Prometheus remote write 1.0 and 2.0.
func (in *Ingest) RemoteWrite(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		in.remoteWriteProbe(w, r)
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
	o, err := in.remoteWrite(w, r, message)
	in.answerWrite(w, message, o, err)
}

// remoteWriteProbe answers requests that are not writes: OPTIONS, and the GET with
// which Vector and other clients check that the endpoint exists.
func (in *Ingest) remoteWriteProbe(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if _, err := in.opts.DB(); err != nil {
			w.Header().Set("Retry-After", retryAfter)
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
	offered counts
}

// counts holds the numbers of samples in a request, including those refused.
type counts struct{ floats, histograms, exemplars int }

func (in *Ingest) remoteWrite(w http.ResponseWriter, r *http.Request, message string) (o outcome, err error) {
	if err := in.ready(); err != nil {
		return o, err
	}
	// A decoder and its batch are acquired only once the body is complete.
	received, err := in.budget.Read(w, r, in.limit)
	if err != nil {
		return o, err
	}
	defer received.Release()
	q, err := in.getWrite()
	if err != nil {
		return o, err
	}
	finished := false
	defer func() { in.putWrite(q, finished) }()
	o, err = in.storeWrite(r, message, received, q)
	finished = true
	return o, err
}

func (in *Ingest) storeWrite(r *http.Request, message string, received *reqbody.Body, q *writeRequest) (o outcome, err error) {
	raw, err := q.body.bytes(r.Context(), received)
	if err != nil {
		return o, err
	}
	decoded, err := q.body.decodeSnappy(r.Context(), raw, in.limit)
	if err != nil {
		if name := compression(raw); name != "" {
			err = &encodingError{"the body is compressed with " + name + "; remote write is a plain block of snappy"}
		}
		if looksLikeLines(raw) {
			err = &mediaError{"this is not a snappy block of protobuf" + linesHint}
		}
		return o, err
	}
	if message == message1 {
		d := &q.write1
		d.src = decoded
		o.receipt, err = store(r.Context(), q.batch, d)
		o.offered = d.offered
		d.release()
		return o, err
	}
	d := &q.write2
	d.src = decoded
	d.charge = func(n int64) error { return received.Charge().Take(r.Context(), n) }
	o.receipt, err = store(r.Context(), q.batch, d)
	o.offered = d.offered
	d.release(err == nil)
	return o, err
}

// mediaError reports a body of a media type that the door does not accept.
type mediaError struct{ text string }

func (e *mediaError) Error() string { return e.text }

// answerWrite writes the response of the protocol.
func (in *Ingest) answerWrite(w http.ResponseWriter, message string, o outcome, err error) {
	h := w.Header()
	if message == message2 {
		h.Set(samplesWrittenHeader, strconv.Itoa(o.receipt.Floats))
		h.Set(histogramsWrittenHeader, strconv.Itoa(o.receipt.Histograms))
		h.Set(exemplarsWrittenHeader, strconv.Itoa(o.receipt.Exemplars))
	}
	var media *mediaError
	switch {
	case errors.As(err, &media):
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	case err != nil:
		status := in.statusOf(err)
		if status == http.StatusServiceUnavailable {
			h.Set("Retry-After", retryAfter)
		}
		http.Error(w, err.Error(), status)
		return
	}
	refused := o.offered.floats - o.receipt.Floats + o.offered.histograms - o.receipt.Histograms
	written := o.receipt.Floats + o.receipt.Histograms
	bad := refused > 0
	if message == message2 {
		// Remote write 2 forbids success if an exemplar was dropped. Senders
		// of remote write 1 do not expect exemplars to affect the status.
		refused += o.offered.exemplars - o.receipt.Exemplars
		written += o.receipt.Exemplars
		bad = refused > 0 || len(o.receipt.Rejected) > 0
	}
	if bad {
		http.Error(w, summary(written, refused, o.receipt.Rejected), http.StatusBadRequest)
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
		return "", fmt.Errorf("expected %s as the first (media) part, got %s content-type%s", protobufType, clip(contentType, maxExcerptBytes), linesHint)
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
			return "", fmt.Errorf("expected parameters to be key-values, got %s in %s content-type", clip(param, maxExcerptBytes), clip(contentType, maxExcerptBytes))
		}
		if !strings.EqualFold(strings.TrimSpace(key), "proto") {
			continue
		}
		switch message = strings.Trim(strings.TrimSpace(value), `"`); message {
		case message1, message2:
		default:
			return "", fmt.Errorf("got %s content type; unknown type for remote write protobuf message %s, supported: %s, %s",
				clip(contentType, maxExcerptBytes), clip(message, maxExcerptBytes), message1, message2)
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
	return fmt.Errorf("%s encoding (compression) is not accepted by this server; only snappy is acceptable", clip(encoding, maxExcerptBytes))
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
