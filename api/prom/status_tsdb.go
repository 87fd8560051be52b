package prom

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/util/features"

	"tsdb/api/limiter"
	"tsdb/internal/model"
	"tsdb/query"
	"tsdb/storage"
)

// Rows of each table of cardinality.
const (
	defaultTableRows = 10
	maxTableRows     = 10_000
)

type tableRow struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

func table(counts []storage.NameCount) []tableRow {
	rows := make([]tableRow, len(counts))
	for i, c := range counts {
		rows[i] = tableRow{c.Name, c.Count}
	}
	return rows
}

type headView struct {
	Series     uint64 `json:"numSeries"`
	LabelPairs uint64 `json:"numLabelPairs"`
	Chunks     uint64 `json:"chunkCount"`
	MinTime    int64  `json:"minTime"`
	MaxTime    int64  `json:"maxTime"`
}

// cardinality lists the metrics and labels with the most series, in memory and in
// blocks. It acquires a slot because it reads the index of every block.
func (a *API) cardinality(r *http.Request) (answer, *apiError) {
	rows, bad := tableRows(r, "limit", "topN")
	if bad != nil {
		return answer{}, bad
	}
	req := storage.CardinalityRequest{Tenant: model.DefaultTenant, Limit: rows, Focus: r.Form.Get("focusLabel")}
	if s := r.Form.Get("date"); s != "" {
		if req.Range, bad = dayOf("date", s); bad != nil {
			return answer{}, bad
		}
	}
	var err error
	if req.Sets, err = a.selectors(r); err != nil {
		return answer{}, badParam("match[]", err)
	}
	return a.overIndex(r, func(db *storage.DB, reserve func(int64) error) (encodable, []error, error) {
		req.Reserve = reserve
		c, warnings, err := db.Cardinality(r.Context(), req)
		return jsonValue(cardinalityView(&c)), warnings, err
	})
}

// cardinalityView returns the tables in Prometheus' form.
func cardinalityView(c *storage.Cardinality) any {
	return struct {
		Series       uint64     `json:"totalSeries"`
		LabelPairs   uint64     `json:"totalLabelValuePairs"`
		Head         headView   `json:"headStats"`
		ByMetric     []tableRow `json:"seriesCountByMetricName"`
		ByLabelName  []tableRow `json:"labelValueCountByLabelName"`
		BytesByLabel []tableRow `json:"memoryInBytesByLabelName"`
		SeriesByName []tableRow `json:"seriesCountByLabelName"`
		ByLabelPair  []tableRow `json:"seriesCountByLabelValuePair"`
		ByFocus      []tableRow `json:"seriesCountByFocusLabelValue,omitempty"`
	}{
		c.Series, c.LabelPairs, headView{c.Series, c.LabelPairs, c.Chunks, c.MinTime, c.MaxTime},
		table(c.ByMetric), table(c.ByLabelName), table(c.BytesByLabel), table(c.SeriesByName), table(c.ByLabelPair), table(c.ByFocus),
	}
}

// tableRows reads the number of rows of each table, from the last of the parameters
// given.
func tableRows(r *http.Request, names ...string) (int, *apiError) {
	rows := defaultTableRows
	for _, name := range names {
		s := r.Form.Get(name)
		if s == "" {
			continue
		}
		var err error
		if rows, err = strconv.Atoi(s); err != nil || rows < 1 {
			return 0, badData(fmt.Errorf("%s must be a positive number", name))
		}
		if rows > maxTableRows {
			return 0, badData(fmt.Errorf("%s must not exceed %d", name, maxTableRows))
		}
	}
	return rows, nil
}

// dayOf parses a UTC day, the value of a parameter. It holds what its blocks hold: the time after its first
// millisecond, up to the first one of the next day.
func dayOf(name, s string) (tr model.TimeRange, _ *apiError) {
	day, err := time.Parse(time.DateOnly, s)
	if err != nil || day.UnixMilli() < query.MinTime || day.UnixMilli() >= query.MaxTime-model.DayMs {
		return tr, badData(fmt.Errorf("%s must be a day, such as 2026-03-10, not %q", name, s))
	}
	start := day.UnixMilli() + 1
	return model.TimeRange{Min: start, Max: start + model.DayMs}, nil
}

// readIndex acquires a slot of Options.Status for a request that reads the index of many
// blocks. The caller releases it.
func (a *API) readIndex(r *http.Request) (_ *storage.DB, release func(), _ *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return nil, nil, unavailable(err)
	}
	if err := a.opts.Status.Acquire(r.Context()); errors.Is(err, limiter.ErrFull) {
		return nil, nil, unavailable(err)
	} else if err != nil {
		return nil, nil, classifyWork(err)
	}
	return db, a.opts.Status.Release, nil
}

// overIndex answers with what read finds in the index of many blocks. It holds a slot of
// Options.Status meanwhile, and charges memory as queries do through reserve.
func (a *API) overIndex(r *http.Request, read func(db *storage.DB, reserve func(bytes int64) error) (encodable, []error, error)) (answer, *apiError) {
	db, release, bad := a.readIndex(r)
	if bad != nil {
		return answer{}, bad
	}
	defer release()
	charge := a.opts.Engine.Charge()
	defer charge.Close()
	data, warnings, err := read(db, charge.Take)
	if err != nil {
		return answer{}, classifyWork(err)
	}
	return warned(data, warnings), nil
}

// blockView is a block in Prometheus' format. Its level is 1 for a cut, 2 for
// merged cuts, 3 for the final form.
type blockView struct {
	Name    string `json:"ulid"`
	MinTime int64  `json:"minTime"`
	MaxTime int64  `json:"maxTime"` // exclusive
	Stats   struct {
		Samples uint64 `json:"numSamples"`
		Series  uint64 `json:"numSeries"`
		Chunks  uint64 `json:"numChunks"`
		Bytes   int64  `json:"numBytes"`
	} `json:"stats"`
	Compaction struct {
		Level   int      `json:"level"`
		Sources []string `json:"sources,omitempty"`
	} `json:"compaction"`
	Version int `json:"version"`
}

// blocks lists the blocks.
func (a *API) blocks(*http.Request) (answer, *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	list, err := db.Blocks()
	if err != nil {
		return answer{}, classifyWork(err)
	}
	views := make([]blockView, len(list))
	for i, b := range list {
		v := &views[i]
		v.Name, v.MinTime, v.MaxTime, v.Version = b.Name, b.MinTime, b.MaxTime+1, 1
		v.Stats.Samples, v.Stats.Series, v.Stats.Chunks, v.Stats.Bytes = b.Samples, b.Series, b.Chunks, b.Size
		v.Compaction.Level, v.Compaction.Sources = int(b.Level)+1, b.Inputs
	}
	return answer{data: jsonValue(struct {
		Blocks []blockView `json:"blocks"`
	}{views})}, nil
}

// walReplay returns the progress of the replay of the log, in bytes. It works
// while the server starts.
func (a *API) walReplay(*http.Request) (answer, *apiError) {
	var done, total int64
	if a.opts.Replay != nil {
		done, total = a.opts.Replay()
	}
	return answer{data: jsonValue(struct {
		Min     int64 `json:"min"`
		Max     int64 `json:"max"`
		Current int64 `json:"current"`
	}{0, total, min(done, total)})}, nil
}

// features lists the supported features of Prometheus.
func (a *API) features(*http.Request) (answer, *apiError) {
	r := features.NewRegistry()
	a.parser.RegisterFeatures(r)
	for _, name := range []string{"at_modifier", "negative_offset", "per_query_lookback_delta", "subqueries"} {
		r.Enable(features.PromQL, name)
	}
	for _, name := range []string{
		"label_values_match", "query_stats", "query_warnings", "remote_write_receiver", "time_range_labels", "time_range_series",
	} {
		r.Enable(features.API, name)
	}
	for _, name := range []string{"exclude_alerts", "lifecycle", "otlp_write_receiver", "search"} {
		r.Disable(features.API, name)
	}
	for _, name := range []string{"exemplar_storage", "metadata_wal_records", "native_histograms", "st_storage"} {
		r.Enable(features.TSDB, name)
	}
	all := r.Get()
	return answer{data: func(e *encoder) {
		e.unescaped(all)
	}}, nil
}

// unescaped writes a value without escaping < and >, which are names of operators.
func (e *encoder) unescaped(v any) {
	w := appendWriter{e}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("BUG: encode " + err.Error())
	}
	e.b = e.b[:len(e.b)-1] // the newline
}

type appendWriter struct{ e *encoder }

func (w appendWriter) Write(b []byte) (int, error) {
	w.e.b = append(w.e.b, b...)
	return len(b), nil
}

// notifications returns an empty list: the server reports problems by /-/healthy,
// warnings and metrics.
func (a *API) notifications(*http.Request) (answer, *apiError) {
	return answer{data: func(e *encoder) { e.raw("[]") }}, nil
}

// liveNotifications responds with 204, as Prometheus does at its limit of
// listeners; clients then stop asking.
func (a *API) liveNotifications(*http.Request) (answer, *apiError) { return answer{}, nil }
