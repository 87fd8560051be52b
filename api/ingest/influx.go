package ingest

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"tsdb/api/reqbody"
	"tsdb/storage"
)

// remoteWriteHint points clients of remote write to their endpoint.
const remoteWriteHint = "this path takes InfluxDB line protocol; Prometheus remote write goes to /api/v1/write"

// influxRequest is the reusable state of a line-protocol request.
type influxRequest struct {
	body    body
	batch   batch
	decoder influxDecoder
}

func (in *Ingest) getInflux() (*influxRequest, error) {
	if q, ok := in.influx.Get().(*influxRequest); ok {
		return q, nil
	}
	b, err := in.newBatch(doorInflux)
	if err != nil {
		return nil, err
	}
	return &influxRequest{
		batch:   b,
		decoder: influxDecoder{labels: labelSet{limits: in.opts.Limits}, strings: &in.strings},
	}, nil
}

func (in *Ingest) putInflux(q *influxRequest, finished bool) {
	big := cap(q.body.decoded) > maxPooledBytes || cap(q.body.raw) > maxPooledBytes
	q.body.release()
	if finished && !big {
		in.influx.Put(q)
	}
}

// InfluxWrite serves the write endpoint of InfluxDB 1.x, with the parameters db,
// rp (ignored) and precision.
func (in *Ingest) InfluxWrite(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	p, ok := precisions1[params.Get("precision")]
	if !ok {
		in.influxError(w, r, dialect1, http.StatusBadRequest, fmt.Sprintf("invalid precision %q (use n, u, ms, s, m or h)", clip(params.Get("precision"), 40)))
		return
	}
	in.influxWrite(w, r, dialect1, params.Get("db"), p)
}

// InfluxWriteV2 serves the write endpoint of InfluxDB 2.x, with the parameters
// bucket, org (ignored) and precision. A bucket "db/rp" means the database db.
func (in *Ingest) InfluxWriteV2(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	p, ok := precisions2[params.Get("precision")]
	if !ok {
		in.influxError(w, r, dialect2, http.StatusBadRequest, fmt.Sprintf("invalid precision %q; valid precision units are ns, us, ms, and s", clip(params.Get("precision"), 40)))
		return
	}
	db, _, _ := strings.Cut(params.Get("bucket"), "/")
	in.influxWrite(w, r, dialect2, db, p)
}

func (in *Ingest) influxWrite(w http.ResponseWriter, r *http.Request, d dialect, db string, p precision) {
	if in.influxMethods(w, r, d, http.MethodPost) {
		return
	}
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case encoding == "snappy", strings.EqualFold(strings.TrimSpace(media), protobufType):
		in.influxError(w, r, d, http.StatusUnsupportedMediaType, remoteWriteHint)
		return
	case encoding != "" && encoding != "identity" && encoding != "gzip":
		in.influxError(w, r, d, http.StatusUnsupportedMediaType, fmt.Sprintf("unsupported content encoding %q, use gzip or none", clip(encoding, 40)))
		return
	}
	if err := in.ready(); err != nil {
		in.influxFailed(w, r, d, err)
		return
	}
	// A decoder and its batch are acquired only once the body is complete.
	received, err := in.budget.Read(w, r, in.limit)
	if err != nil {
		in.influxFailed(w, r, d, err)
		return
	}
	defer received.Release()
	q, err := in.getInflux()
	if err != nil {
		in.influxFailed(w, r, d, err)
		return
	}
	finished := false
	defer func() { in.putInflux(q, finished) }()
	q.decoder.precision = p
	q.decoder.now = p.now(in.opts.Clock.Now())
	q.decoder.db = dbLabel{}
	q.decoder.seed = aliasSeed(in.seed, protocolInflux, in.opts.Generation)
	if in.opts.InfluxDBLabel != "" && db != "" {
		q.decoder.db = dbLabel{[]byte(in.opts.InfluxDBLabel), []byte(db)}
		q.decoder.seed = aliasSeed(in.seed, protocolInflux, in.opts.Generation, in.opts.InfluxDBLabel, db)
	}
	defer q.decoder.release()
	receipt, err := in.influxStore(r, received, q, encoding == "gzip")
	finished = true
	if err != nil {
		in.influxFailed(w, r, d, err)
		return
	}
	in.influxHeaders(w, r)
	if text := influxRefusals(&q.decoder, receipt); text != "" {
		in.influxError(w, r, d, http.StatusBadRequest, text)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (in *Ingest) influxStore(r *http.Request, received *reqbody.Body, q *influxRequest, gzipped bool) (storage.Receipt, error) {
	lines, err := q.body.bytes(r.Context(), received)
	switch {
	case err != nil:
	case gzipped && len(lines) > 0:
		lines, err = q.body.gunzip(r.Context(), lines, in.limit)
	default:
		err = checkPlain(lines)
	}
	if err == nil {
		err = received.Charge().Take(r.Context(), int64(len(lines))*decodedCost)
	}
	if err != nil {
		return storage.Receipt{}, err
	}
	q.decoder.src = lines
	return store(r.Context(), q.batch, &q.decoder)
}

// checkPlain returns an error for a compressed body without a Content-Encoding
// header, which would otherwise be reported as one long bad line.
func checkPlain(body []byte) error {
	switch name := compression(body); name {
	case "":
		return nil
	case "gzip":
		return &encodingError{`the body is compressed with gzip, but no header says so: send it with "Content-Encoding: gzip"`}
	default:
		return &encodingError{"the body is compressed with " + name + ", which is not supported: use gzip or none"}
	}
}

// compression returns the compression format that the first bytes of a body
// indicate, "" if none.
func compression(body []byte) string {
	for _, c := range [...]struct{ magic, name string }{
		{"\x1f\x8b", "gzip"}, {"\x28\xb5\x2f\xfd", "zstd"}, {"\xff\x06\x00\x00sNaPpY", "framed snappy"},
	} {
		if bytes.HasPrefix(body, []byte(c.magic)) {
			return c.name
		}
	}
	return ""
}

// encodingError reports a body whose encoding is not the one in the headers.
type encodingError struct{ text string }

func (e *encodingError) Error() string { return e.text }
