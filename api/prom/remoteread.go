package prom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/encoding/protowire"

	"tsdb/api/limiter"
	"tsdb/internal/model"
	"tsdb/query"
)

const defaultReadSamples = 50_000_000

// readError is an error of a remote read with its status code. The response is
// plain text, as in Prometheus.
type readError struct {
	code int
	err  error
}

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// remoteRead serves Prometheus' remote read: the samples of some selectors, as a
// single message or as a stream of chunks.
func (a *API) remoteRead(w http.ResponseWriter, r *http.Request) {
	sent, err := a.read(w, r)
	switch {
	case err == nil:
	case sent:
		// The client does not know the length of the stream: only an aborted
		// connection tells it that the stream is incomplete.
		level := slog.LevelWarn
		if r.Context().Err() != nil {
			level = slog.LevelDebug // the client has disconnected
		}
		a.log.Log(r.Context(), level, "remote read aborted", "err", err)
		panic(http.ErrAbortHandler)
	default:
		writeReadError(w, err)
	}
}

// read serves a remote read. It reports whether a part of the response has been
// sent.
func (a *API) read(w http.ResponseWriter, r *http.Request) (sent bool, err error) {
	body, err := a.opts.Budget.Read(w, r, readLimit)
	if err != nil {
		return false, badRead(err)
	}
	defer body.Release()
	req, err := decodeReadRequest(r.Context(), body)
	if err != nil {
		return false, badRead(err)
	}
	sets, err := readSets(r.Context(), body.Charge(), req.Queries)
	if err != nil {
		return false, badRead(err)
	}
	kind, err := negotiateRead(req.AcceptedResponseTypes)
	if err != nil {
		return false, badRead(err)
	}
	damage, err := newDamageReport(r)
	if err != nil {
		return false, badRead(err)
	}
	// The slot of the limiter is acquired after the body has been read, so stalled
	// bodies hold none.
	if err := a.opts.Reads.Acquire(r.Context()); err != nil {
		return false, err
	}
	defer a.opts.Reads.Release()
	db, err := a.opts.DB()
	if err != nil {
		return false, err
	}
	src := query.NewQueryable(db, model.DefaultTenant)
	if kind == prompb.ReadRequest_STREAMED_XOR_CHUNKS {
		out := newChunkStream(w, damage)
		if err = a.eachRead(r.Context(), src, req, sets, damage, out.add); err == nil {
			err = out.finish()
		}
		return out.sent, err
	}
	out := &sampleAnswer{limit: a.opts.ReadMaxSamples}
	if err := a.eachRead(r.Context(), src, req, sets, damage, out.add); err != nil {
		return false, err
	}
	damage.write(w.Header())
	return out.send(w, len(req.Queries))
}

// eachRead calls add with the series of every query in order, sorted by labels.
func (a *API) eachRead(ctx context.Context, src promstorage.Queryable, req *prompb.ReadRequest, sets [][]*labels.Matcher, damage *damageReport, add func(query int, s readSeries) error) error {
	for i, q := range req.Queries {
		if err := a.readQuery(ctx, src, q, sets[i], damage, func(s readSeries) error { return add(i, s) }); err != nil {
			return err
		}
	}
	return nil
}

// readSeries is a series of a response.
type readSeries struct {
	promstorage.Series
	listed bool         // only its labels are requested
	check  func() error // returns an error if damaged data forbids sending the series
}

func (a *API) readQuery(ctx context.Context, src promstorage.Queryable, q *prompb.Query, ms []*labels.Matcher, damage *damageReport, add func(readSeries) error) error {
	if len(ms) == 0 {
		return nil // selects nothing, as in Prometheus
	}
	reader, err := src.Querier(q.StartTimestampMs, q.EndTimestampMs)
	if err != nil {
		return err
	}
	defer reader.Close()
	var hints *promstorage.SelectHints
	if h := q.Hints; h != nil {
		hints = &promstorage.SelectHints{
			Start: h.StartMs, End: h.EndMs, Step: h.StepMs, Func: h.Func, Grouping: h.Grouping, By: h.By, Range: h.RangeMs,
		}
	}
	set := reader.Select(ctx, true, hints, ms...)
	defer func() {
		for _, w := range set.Warnings() {
			a.log.Warn("remote read meets damaged data", "err", w)
		}
	}()
	check := func() error { return damage.check(set.Warnings()) }
	if err := check(); err != nil {
		return err
	}
	for set.Next() {
		if err := add(readSeries{set.At(), hints != nil && hints.Func == "series", check}); err != nil {
			return err
		}
	}
	if err := set.Err(); err != nil {
		return err
	}
	return check()
}

// badRead returns an error in the body of a request with its status code.
func badRead(err error) error {
	if code := bodyStatus(err); code != http.StatusServiceUnavailable {
		return &readError{code, err}
	}
	return err
}

// writeReadError sends an error as plain text.
func writeReadError(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	var known *readError
	switch {
	case errors.As(err, &known):
		code = known.code
	case errors.Is(err, context.Canceled):
		code = statusClientClosed
	case errors.Is(err, limiter.ErrFull), isUnavailable(err):
		code = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", strconv.Itoa(retryAfterSeconds))
	case exceedsLimit(err):
		code = http.StatusUnprocessableEntity
	}
	http.Error(w, err.Error(), code)
}

// negotiateRead returns the first supported response type of the client's list,
// SAMPLES if the list is empty.
func negotiateRead(accepted []prompb.ReadRequest_ResponseType) (prompb.ReadRequest_ResponseType, error) {
	supported := []prompb.ReadRequest_ResponseType{prompb.ReadRequest_SAMPLES, prompb.ReadRequest_STREAMED_XOR_CHUNKS}
	if len(accepted) == 0 {
		return prompb.ReadRequest_SAMPLES, nil
	}
	for _, kind := range accepted {
		if slices.Contains(supported, kind) {
			return kind, nil
		}
	}
	return 0, fmt.Errorf("server does not support any of the requested response types: %v; supported: %v", accepted, supported)
}

// sampleAnswer collects a response of type SAMPLES, a single
// prometheus.ReadResponse. It is encoded by hand because the generated code omits
// the value -0 as if it were 0.
type sampleAnswer struct {
	limit   int // maximum number of samples
	samples int
	results [][]byte // encoded QueryResult by query
	series  []byte   // scratch: an encoded TimeSeries
	part    []byte   // scratch: a message in it
	labels  []prompb.Label
	it      chunkenc.Iterator
}

// Fields of TimeSeries and of Sample.
const (
	fieldLabel     = 1
	fieldSample    = 2
	fieldHistogram = 4

	fieldSampleValue = 1
	fieldSampleTime  = 2
)

func (o *sampleAnswer) add(query int, s readSeries) error {
	for len(o.results) <= query {
		o.results = append(o.results, nil)
	}
	o.series = o.series[:0]
	o.labels = prompb.FromLabels(s.Labels(), o.labels)
	for i := range o.labels {
		if err := o.message(fieldLabel, &o.labels[i]); err != nil {
			return err
		}
	}
	if !s.listed {
		before := o.samples
		if err := o.addSamples(s); err != nil {
			return err
		}
		if o.samples == before {
			return nil // blocks are selected by their whole time range
		}
	}
	o.results[query] = appendMessage(o.results[query], o.series)
	return nil
}

func (o *sampleAnswer) addSamples(s readSeries) error {
	o.it = s.Iterator(o.it)
	for kind := o.it.Next(); kind != chunkenc.ValNone; kind = o.it.Next() {
		if o.samples++; o.samples > o.limit {
			return &readError{http.StatusBadRequest, fmt.Errorf("exceeded sample limit (%d)", o.limit)}
		}
		var err error
		switch kind {
		case chunkenc.ValFloat:
			t, v := o.it.At()
			o.part = protowire.AppendTag(o.part[:0], fieldSampleValue, protowire.Fixed64Type)
			o.part = protowire.AppendFixed64(o.part, math.Float64bits(v))
			o.part = protowire.AppendTag(o.part, fieldSampleTime, protowire.VarintType)
			o.part = protowire.AppendVarint(o.part, uint64(t))
			o.series = protowire.AppendBytes(protowire.AppendTag(o.series, fieldSample, protowire.BytesType), o.part)
		case chunkenc.ValHistogram:
			t, h := o.it.AtHistogram(nil)
			p := prompb.FromIntHistogram(t, h)
			err = o.message(fieldHistogram, &p)
		case chunkenc.ValFloatHistogram:
			t, h := o.it.AtFloatHistogram(nil)
			p := prompb.FromFloatHistogram(t, h)
			err = o.message(fieldHistogram, &p)
		}
		if err != nil {
			return err
		}
	}
	return o.it.Err()
}

// message appends a part of a TimeSeries.
func (o *sampleAnswer) message(field protowire.Number, m interface{ Marshal() ([]byte, error) }) error {
	b, err := m.Marshal()
	o.series = protowire.AppendBytes(protowire.AppendTag(o.series, field, protowire.BytesType), b)
	return err
}

// appendMessage appends a message as field 1, the number of both
// ReadResponse.results and QueryResult.timeseries.
func appendMessage(dst, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, 1, protowire.BytesType), message)
}

// send writes the response to a request with the given number of queries.
func (o *sampleAnswer) send(w http.ResponseWriter, queries int) (sent bool, err error) {
	var b []byte
	for i := range queries {
		var result []byte
		if i < len(o.results) {
			result, o.results[i] = o.results[i], nil
		}
		b = appendMessage(b, result)
	}
	if s2.MaxEncodedLen(len(b)) < 0 {
		return false, fmt.Errorf("remote read: response of %d bytes exceeds the maximum length of a snappy block; accept STREAMED_XOR_CHUNKS or select less", len(b))
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Header().Set("Content-Encoding", "snappy")
	_, err = w.Write(s2.EncodeSnappy(nil, b))
	return true, err
}
