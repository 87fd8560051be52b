package prom

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"tsdb/api/asof"
	"tsdb/internal/model"
	"tsdb/internal/transfer/jsonl"
)

// Bounds of a line of an export.
const (
	exportRows    = 10_000  // samples of a line, unless max_rows_per_line says less
	exportFlushAt = 1 << 18 // bytes that are sent at once
)

// export serves all samples of the selected series as lines of JSON, in
// VictoriaMetrics' form: see package jsonl. The answer is streamed; if it fails halfway,
// the connection is closed before its end.
func (a *API) export(w http.ResponseWriter, r *http.Request) {
	sent, err := a.writeExport(w, r)
	switch {
	case err == nil:
	case sent:
		a.log.Warn("export ended early", "err", err)
		panic(http.ErrAbortHandler) // the client must not take it for complete
	default:
		writeReadError(w, err)
	}
}

func (a *API) writeExport(w http.ResponseWriter, r *http.Request) (sent bool, err error) {
	charge, bad := a.parseForm(w, r)
	if bad != nil {
		return false, &readError{bad.code, bad.err}
	}
	defer charge.Release()
	if r.Form.Has("as_of") {
		return false, &readError{http.StatusBadRequest, asof.ErrPresentOnly}
	}
	if len(r.Form["match[]"]) == 0 {
		return false, &readError{http.StatusBadRequest, errors.New("no match[] parameter provided")}
	}
	start, end, bad := timeRange(r)
	if bad != nil {
		return false, &readError{http.StatusBadRequest, bad.err}
	}
	rows, bad := number(r, "max_rows_per_line", exportRows)
	if bad != nil || rows < 0 {
		return false, &readError{http.StatusBadRequest, errors.New("max_rows_per_line is not a number of rows")}
	}
	if rows == 0 { // no limit, in VictoriaMetrics
		rows = exportRows
	}
	selectors, err := a.selectors(r)
	if lacksMemory(err) {
		return false, err
	} else if err != nil {
		return false, &readError{http.StatusBadRequest, fmt.Errorf("match[]: %w", err)}
	}
	damage, err := newDamageReport(r)
	if err != nil {
		return false, &readError{http.StatusBadRequest, err}
	}
	if err := a.opts.Reads.Acquire(r.Context()); err != nil {
		return false, err
	}
	defer a.opts.Reads.Release()
	q, _, unready := a.querier(r, start, end)
	if unready != nil {
		return false, unready.err
	}
	defer q.Close()
	held := a.opts.Engine.Charge()
	defer held.Close()
	held.Selections(q)
	hints := &promstorage.SelectHints{Start: start, End: end}
	sets := make([]promstorage.SeriesSet, len(selectors))
	for i, ms := range selectors {
		sets[i] = q.Select(r.Context(), true, hints, ms...)
	}
	set := sets[0]
	if len(sets) > 1 {
		set = promstorage.NewMergeSeriesSet(sets, 0, promstorage.ChainedSeriesMerge)
	}
	out := &exportWriter{w: w, rows: min(rows, exportRows), min: start, max: end}
	for set.Next() {
		if err := damage.check(set.Warnings()); err != nil {
			return out.sent, err
		}
		if err := out.series(set.At().Labels(), set.At()); err != nil {
			return out.sent, err
		}
		if err := r.Context().Err(); err != nil {
			return out.sent, err
		}
	}
	if err := errors.Join(set.Err(), damage.check(set.Warnings())); err != nil {
		return out.sent, err
	}
	if out.sent {
		damage.writeTrailer(w.Header())
	} else {
		damage.write(w.Header())
	}
	return true, out.flush()
}

// exportWriter writes lines.
type exportWriter struct {
	w        http.ResponseWriter
	rows     int
	min, max int64 // both inclusive
	sent     bool
	buffer   []byte
	samples  model.Samples
	it       chunkenc.Iterator
}

func (o *exportWriter) series(ls labels.Labels, s promstorage.Series) error {
	o.it = s.Iterator(o.it)
	for {
		kind := o.it.Next()
		if kind == chunkenc.ValNone || o.samples.Len() == o.rows {
			o.buffer = jsonl.AppendSamples(o.buffer, ls, &o.samples, 0)
			o.samples.Reset()
			if len(o.buffer) >= exportFlushAt {
				if err := o.flush(); err != nil {
					return err
				}
			}
		}
		switch kind {
		case chunkenc.ValNone:
			return o.it.Err()
		case chunkenc.ValFloat:
			if t, v := o.it.At(); t >= o.min && t <= o.max {
				o.samples.Append(t, o.it.AtST(), v, model.Histogram{})
			}
		case chunkenc.ValHistogram:
			if t, h := o.it.AtHistogram(nil); t >= o.min && t <= o.max {
				o.samples.Append(t, o.it.AtST(), 0, model.Histogram{Int: h})
			}
		case chunkenc.ValFloatHistogram:
			if t, h := o.it.AtFloatHistogram(nil); t >= o.min && t <= o.max {
				o.samples.Append(t, o.it.AtST(), 0, model.Histogram{Float: h})
			}
		}
	}
}

func (o *exportWriter) flush() error {
	if !o.sent {
		o.w.Header().Set("Content-Type", "application/stream+json; charset=utf-8")
		o.sent = true
	}
	_, err := o.w.Write(o.buffer)
	o.buffer = o.buffer[:0]
	return err
}
