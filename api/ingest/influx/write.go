package influx

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"tsdb/api/ingest/door"
	"tsdb/api/reqbody"
	"tsdb/storage"
)

// remoteWriteHint points clients of remote write to their endpoint.
const remoteWriteHint = "this path takes InfluxDB line protocol; Prometheus remote write goes to /api/v1/write"

// write1 serves the write endpoint of InfluxDB 1.x, with the parameters db,
// rp (ignored) and precision.
func (h *Handler) write1(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	p, ok := precisions1[params.Get("precision")]
	if !ok {
		h.fail(w, r, dialect1, http.StatusBadRequest, fmt.Sprintf("invalid precision %q (use n, u, ms, s, m or h)", door.Clip(params.Get("precision"), 40)))
		return
	}
	h.write(w, r, dialect1, params.Get("db"), p)
}

// write2 serves the write endpoint of InfluxDB 2.x, with the parameters
// bucket, org (ignored) and precision. A bucket "db/rp" means the database db.
func (h *Handler) write2(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	p, ok := precisions2[params.Get("precision")]
	if !ok {
		h.fail(w, r, dialect2, http.StatusBadRequest, fmt.Sprintf("invalid precision %q; valid precision units are ns, us, ms, and s", door.Clip(params.Get("precision"), 40)))
		return
	}
	db, _, _ := strings.Cut(params.Get("bucket"), "/")
	h.write(w, r, dialect2, db, p)
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request, d dialect, db string, p precision) {
	if h.refuseMethod(w, r, d, http.MethodPost) {
		return
	}
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case encoding == "snappy", strings.EqualFold(strings.TrimSpace(media), "application/x-protobuf"):
		h.fail(w, r, d, http.StatusUnsupportedMediaType, remoteWriteHint)
		return
	case encoding != "" && encoding != "identity" && encoding != "gzip":
		h.fail(w, r, d, http.StatusUnsupportedMediaType, fmt.Sprintf("unsupported content encoding %q, use gzip or none", door.Clip(encoding, 40)))
		return
	}
	extra, err := door.ExtraLabels(r)
	if err == nil {
		err = h.shared.Ready()
	}
	if err != nil {
		h.failWith(w, r, d, err)
		return
	}
	received, err := h.shared.Budget.Read(w, r, h.shared.Limit)
	if err != nil {
		h.failWith(w, r, d, err)
		return
	}
	defer received.Release()
	q, err := h.door.Acquire()
	if err != nil {
		h.failWith(w, r, d, err)
		return
	}
	defer q.Release()
	q.Decoder.precision = p
	q.Decoder.now = p.now(h.shared.Clock.Now())
	q.Decoder.db = dbLabel{}
	if h.opts.DBLabel != "" && db != "" {
		q.Decoder.db = dbLabel{[]byte(h.opts.DBLabel), []byte(db)}
		q.Parameters(h.opts.DBLabel, db)
	}
	q.AddLabels(extra)
	receipt, err := h.store(r.Context(), q, received, encoding == "gzip")
	if err != nil {
		h.failWith(w, r, d, err)
		return
	}
	h.setHeaders(w, r)
	if text := refusals(q, receipt); text != "" {
		h.fail(w, r, d, http.StatusBadRequest, text)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// store decompresses lines and stores them.
func (h *Handler) store(ctx context.Context, q *door.Request[*decoder], received *reqbody.Body, gzipped bool) (storage.Receipt, error) {
	lines, err := q.Body.Bytes(ctx, received)
	switch {
	case err != nil:
	case gzipped && len(lines) > 0:
		lines, err = q.Body.Gunzip(ctx, lines, h.shared.Limit, received.Charge())
	default:
		err = checkPlain(lines)
	}
	if err == nil {
		err = received.Charge().Take(ctx, int64(len(lines))*door.DecodedCost)
	}
	if err != nil {
		return storage.Receipt{}, err
	}
	q.Decoder.src = lines
	return q.Store(ctx)
}

// checkPlain returns an error for a compressed body without a Content-Encoding
// header, which would otherwise be reported as one long bad line.
func checkPlain(body []byte) error {
	switch name := door.Compression(body); name {
	case "":
		return nil
	case "gzip":
		return &door.RequestError{Text: `the body is compressed with gzip, but no header says so: send it with "Content-Encoding: gzip"`}
	default:
		return &door.RequestError{Text: "the body is compressed with " + name + ", which is not supported: use gzip or none"}
	}
}
