package influx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

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
	h.write(w, r, writeOptions{dialect: dialect1, db: params.Get("db"), precision: p})
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
	h.write(w, r, writeOptions{dialect: dialect2, db: db, precision: p})
}

// writeOptions are the parameters of a write.
type writeOptions struct {
	dialect   dialect
	db        string
	precision precision
	whole     bool // a bad line refuses the request
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request, o writeOptions) {
	d := o.dialect
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
	h.prepare(q, o)
	q.AddLabels(extra)
	receipt, err := h.store(r.Context(), q, received, encoding == "gzip")
	switch {
	case errors.Is(err, errNotAccepted):
		h.shared.RefusedRequest(DoorName, &door.RequestError{Text: err.Error(), Err: err})
		h.answer3(w, r, q.Decoder, nil)
		return
	case err != nil:
		h.failWith(w, r, d, err)
		return
	case d == dialect3 && refusals(q, receipt) != "":
		h.answer3(w, r, q.Decoder, receipt.Rejected)
		return
	}
	h.setHeaders(w, r)
	if text := refusals(q, receipt); text != "" {
		h.fail(w, r, d, http.StatusBadRequest, text)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// prepare sets the parameters of a write.
func (h *Handler) prepare(q *door.Request[*decoder], o writeOptions) {
	d := q.Decoder
	d.precision, d.now, d.db = o.precision, o.precision.now(h.shared.Clock.Now()), dbLabel{}
	d.whole, d.lists = o.whole, o.dialect == dialect3
	if h.opts.DBLabel != "" && o.db != "" {
		d.db = dbLabel{[]byte(h.opts.DBLabel), []byte(o.db)}
		q.Parameters(h.opts.DBLabel, o.db)
	}
}

// StoreLines stores whole lines that come without a request, for package listener.
func (h *Handler) StoreLines(ctx context.Context, lines []byte, o ListenOptions) (storage.Receipt, error) {
	q, err := h.door.Acquire()
	if err != nil {
		return storage.Receipt{}, err
	}
	defer q.Release()
	h.prepare(q, writeOptions{dialect: dialect1, db: o.DB, precision: precisionsListen[o.Precision]})
	q.Decoder.src = lines
	return q.Store(ctx)
}

// ListenOptions are the parameters of lines that come without a request.
type ListenOptions struct {
	DB        string // as that of a write
	Precision string // of timestamps; see Validate
}

// MaxListenLine bounds the bytes of a line that comes without a request. A longer buffer
// would be searched for the end of an open string again and again.
const MaxListenLine = 256 << 10

// precisionsListen are the precisions of ListenOptions.
var precisionsListen = map[string]precision{
	"": {time.Nanosecond}, "ns": {time.Nanosecond}, "us": {time.Microsecond}, "ms": {time.Millisecond}, "s": {time.Second}, "auto": {},
}

// Validate returns an error if the options cannot be used.
func (o ListenOptions) Validate() error {
	if _, ok := precisionsListen[o.Precision]; !ok {
		return fmt.Errorf("invalid precision %q (use ns, us, ms, s or auto)", o.Precision)
	}
	if !validText([]byte(o.DB)) {
		return errors.New("the name of the database is not UTF-8")
	}
	return nil
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
