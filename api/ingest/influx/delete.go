package influx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	prommodel "github.com/prometheus/common/model"

	"tsdb/api/adminctx"
	"tsdb/api/ingest/door"
	"tsdb/api/reqbody"
	"tsdb/internal/model"
	"tsdb/storage"
)

// maxDeleteBytes bounds the body of a delete request.
const maxDeleteBytes = 1 << 20

// errNoDBLabel is returned for deletions if databases leave no trace in series.
var errNoDBLabel = errors.New("databases cannot be told apart, because --influx.db-label is empty: nothing was deleted")

// needsAdmin is the error of a statement that deletes samples, for other clients.
const needsAdmin = " deletes samples, which only clients on this machine may do unless the server runs with --web.enable-admin-api: nothing was deleted"

// delete2 serves the delete endpoint of InfluxDB 2.x, with the parameters bucket
// and org (ignored) and a body {"start":…,"stop":…,"predicate":…}. The server lets
// administrators only through to this path.
func (h *Handler) delete2(w http.ResponseWriter, r *http.Request) {
	if h.refuseMethod(w, r, dialect2, http.MethodPost) {
		return
	}
	body, err := h.shared.Budget.Read(w, r, reqbody.Limit{Bytes: maxDeleteBytes})
	if err != nil {
		h.failWith(w, r, dialect2, err)
		return
	}
	defer body.Release()
	var q struct{ Start, Stop, Predicate string }
	if err := json.NewDecoder(body).Decode(&q); err != nil {
		h.fail(w, r, dialect2, http.StatusBadRequest, "invalid request; error parsing request json: "+err.Error())
		return
	}
	db, _, _ := strings.Cut(r.URL.Query().Get("bucket"), "/")
	if db == "" {
		h.fail(w, r, dialect2, http.StatusBadRequest, "Please provide bucket: buckets have no IDs here")
		return
	}
	c := &condition{times: model.AllTime}
	if strings.TrimSpace(q.Predicate) != "" {
		if c, err = parseCondition(q.Predicate, h.shared.Clock.Now()); err == nil && c.hasTime {
			err = errors.New("the time is given by start and stop")
		}
		if err != nil {
			h.fail(w, r, dialect2, http.StatusBadRequest, "invalid predicate: "+err.Error())
			return
		}
	}
	var times [2]int64
	for i, s := range [2]struct{ name, text string }{{"start", q.Start}, {"stop", q.Stop}} {
		t, err := time.Parse(time.RFC3339Nano, s.text)
		if err != nil {
			h.fail(w, r, dialect2, http.StatusBadRequest, fmt.Sprintf("invalid RFC3339Nano for field %s, please format your time with RFC3339Nano format, example: 2009-01-02T23:00:00Z", s.name))
			return
		}
		times[i] = t.UnixMilli() // rounds down, as for points
	}
	if times[1] < times[0] {
		h.fail(w, r, dialect2, http.StatusBadRequest, "start is after stop")
		return
	}
	c.times = model.Inclusive(times[0], times[1])
	if _, err := h.deleteSeries(r.Context(), db, c); err != nil {
		h.fail(w, r, dialect2, h.deleteStatus(err), err.Error())
		return
	}
	h.setHeaders(w, r)
	w.WriteHeader(http.StatusNoContent)
}

// deleteStatus returns the status code for a deletion that failed.
func (h *Handler) deleteStatus(err error) int {
	if errors.Is(err, errNoDBLabel) || errors.Is(err, storage.ErrDeleteTooLarge) {
		return http.StatusBadRequest
	}
	return h.shared.Status(err)
}

// deleteSeries deletes what matches the conditions in a database.
func (h *Handler) deleteSeries(ctx context.Context, db string, conditions ...*condition) (e storage.DeleteEstimate, err error) {
	if h.opts.DBLabel == "" {
		return e, errNoDBLabel
	}
	store, err := h.opts.DB()
	if err != nil {
		return e, err
	}
	r := storage.DeleteRequest{Range: conditions[0].times}
	if r.Range.Empty() {
		return e, nil
	}
	for _, c := range conditions {
		ms, err := c.matchers(h.opts.Naming, h.opts.DBLabel, db)
		if err != nil {
			return e, &door.RequestError{Text: err.Error()}
		}
		r.Sets = append(r.Sets, ms)
	}
	if r.Tenant, err = store.Tenant(h.opts.Tenant); err != nil {
		return e, err
	}
	return store.DeleteSeries(ctx, r)
}

// dropDatabase forgets a database that a client has created, and deletes its samples.
func (h *Handler) dropDatabase(ctx context.Context, word string) result {
	name := unquote(word)
	stored, err := h.storedDatabases(ctx)
	if err != nil {
		return result{Error: err.Error()}
	}
	if slices.Contains(stored, name) {
		if !adminctx.Allowed(ctx) {
			return result{Error: "DROP DATABASE" + needsAdmin}
		}
		if _, err := h.deleteSeries(ctx, name, &condition{times: model.AllTime}); err != nil {
			return result{Error: err.Error()}
		}
	}
	h.databases.drop(name)
	return result{}
}

// deleteStatement executes DROP MEASUREMENT m, DROP SERIES and DELETE [FROM m, …]
// [WHERE …]; what names the statement, and words are those after it.
func (h *Handler) deleteStatement(ctx context.Context, what string, words []string, db string) result {
	if !adminctx.Allowed(ctx) {
		return result{Error: what + needsAdmin}
	}
	if db == "" {
		return result{Error: "database name required"}
	}
	fail := func(err error) result { return result{Error: "error parsing query: " + err.Error()} }
	text := strings.Join(words, " ")
	var measurements []string
	if what == "DROP MEASUREMENT" {
		if len(words) != 1 {
			return fail(errors.New("want DROP MEASUREMENT measurement"))
		}
		measurements = []string{unquote(words[0])}
		text = ""
	}
	p := &conditionParser{rest: text}
	where, err := h.from(p, &measurements)
	if err != nil {
		return fail(err)
	}
	c := &condition{times: model.AllTime}
	if where != "" {
		if c, err = parseCondition(where, h.shared.Clock.Now()); err != nil {
			return fail(err)
		}
	}
	switch {
	case what == "DROP SERIES" && c.hasTime:
		return fail(errors.New("DROP SERIES doesn't support time in WHERE clause"))
	case where == "" && len(measurements) == 0:
		return fail(errors.New("found EOF, expected FROM, WHERE"))
	case c.measurement != "" || c.field != "":
		return fail(errors.New("measurements are named after FROM"))
	}
	conditions := []*condition{c}
	if len(measurements) > 0 {
		conditions = nil
		for _, m := range measurements {
			one := *c
			one.measurement = m
			conditions = append(conditions, &one)
		}
	}
	names, err := h.metricsOf(ctx, db, measurements)
	if err != nil {
		return result{Error: err.Error()}
	}
	if _, err = h.deleteSeries(ctx, db, conditions...); err != nil {
		return result{Error: err.Error()}
	}
	if len(measurements) == 0 || len(names) == 0 {
		return result{}
	}
	return result{Messages: []message{{"warning", "metrics are named " + h.opts.Naming.metric("measurement", "field") + ", so those of measurements whose names begin with " +
		h.opts.Naming.metric(measurements[0], "") + " belong to " + measurements[0] + "; deleted from " + door.Clip(strings.Join(names, ", "), door.MaxExcerptBytes)}}}
}

// from parses FROM m, … and returns the text after WHERE.
func (h *Handler) from(p *conditionParser, measurements *[]string) (where string, err error) {
	t, err := p.next(false)
	if err != nil {
		return "", err
	}
	if t.isKeyword("from") {
		for more := true; more; {
			if t, err = p.next(false); err != nil {
				return "", err
			}
			if t.kind != tokenWord && t.kind != tokenQuoted || t.text == "" {
				return "", fmt.Errorf("found %s, expected the name of a measurement", t.describe())
			}
			*measurements = append(*measurements, t.text)
			if t, err = p.next(false); err != nil {
				return "", err
			}
			more = t == (token{tokenSign, ","})
		}
	}
	switch {
	case t.kind == tokenEnd:
		return "", nil
	case !t.isKeyword("where"):
		return "", fmt.Errorf("found %s, expected WHERE", t.describe())
	case strings.TrimSpace(p.rest) == "":
		return "", errors.New("found EOF after WHERE")
	}
	return p.rest, nil
}

// metricsOf returns the names of the metrics of measurements in a database.
func (h *Handler) metricsOf(ctx context.Context, db string, measurements []string) (names []string, err error) {
	if h.opts.DBLabel == "" {
		return nil, errNoDBLabel
	}
	store, err := h.opts.DB()
	if err != nil {
		return nil, err
	}
	tenant, err := store.Tenant(h.opts.Tenant)
	if err != nil {
		return nil, err
	}
	v, err := store.View()
	if err != nil {
		return nil, err
	}
	defer v.Release()
	for _, m := range measurements {
		ms, err := (&condition{measurement: m}).matchers(h.opts.Naming, h.opts.DBLabel, db)
		if err != nil {
			return nil, err
		}
		some, _, err := v.LabelValues(ctx, tenant, prommodel.MetricNameLabel, model.AllTime, 100, ms...)
		if err != nil {
			return nil, err
		}
		names = append(names, some...)
	}
	return names, nil
}
