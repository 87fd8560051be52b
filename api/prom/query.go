package prom

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/api/asof"
	"tsdb/api/querylog"
	"tsdb/api/resolution"
	"tsdb/internal/model"
	"tsdb/query"
)

// queryable returns the data source of queries: the database as it is or, with the
// parameter as_of, as it was. infos then say of when.
func (a *API) queryable(r *http.Request) (_ *query.Queryable, infos annotations.Annotations, _ *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return nil, nil, unavailable(err)
	}
	s := r.Form.Get("as_of")
	if s == "" {
		return query.NewQueryable(db, model.DefaultTenant), nil, nil
	}
	at, err := parseTime(s)
	if err != nil {
		return nil, nil, badParam("as_of", err)
	}
	q, info, err := asof.Open(db, model.DefaultTenant, timestamp.FromTime(at))
	if err != nil {
		return nil, nil, badParam("as_of", err)
	}
	return q, infos.Add(info), nil
}

// presentOnly refuses requests that name another moment.
func presentOnly(h handler) handler {
	return func(r *http.Request) (answer, *apiError) {
		if r.Form.Has("as_of") {
			return answer{}, badData(asof.ErrPresentOnly)
		}
		return h(r)
	}
}

// query evaluates an expression at one time.
func (a *API) query(r *http.Request) (answer, *apiError) {
	limit, bad := limitOf(r)
	if bad != nil {
		return answer{}, bad
	}
	at, bad := timeOr(r, "time", a.now())
	if bad != nil {
		return answer{}, bad
	}
	span := querylog.Query{StartMs: timestamp.FromTime(at), EndMs: timestamp.FromTime(at)}
	return a.evaluate(r, limit, span, func(ctx context.Context, q *query.Queryable, o promql.QueryOpts, expr string) (*query.Query, error) {
		return a.opts.Engine.Instant(ctx, q, o, expr, at)
	})
}

// queryRange evaluates an expression at the steps of a time range.
func (a *API) queryRange(r *http.Request) (answer, *apiError) {
	limit, bad := limitOf(r)
	if bad != nil {
		return answer{}, bad
	}
	start, err := parseTime(r.Form.Get("start"))
	if err != nil {
		return answer{}, badParam("start", err)
	}
	end, err := parseTime(r.Form.Get("end"))
	if err != nil {
		return answer{}, badParam("end", err)
	}
	if end.Before(start) {
		return answer{}, badParam("end", errors.New("end timestamp must not be before start time"))
	}
	step, bad := a.step(r, start, end)
	if bad != nil {
		return answer{}, bad
	}
	span := querylog.Query{StartMs: timestamp.FromTime(start), EndMs: timestamp.FromTime(end), StepMs: step.Milliseconds()}
	return a.evaluate(r, limit, span, func(ctx context.Context, q *query.Queryable, o promql.QueryOpts, expr string) (*query.Query, error) {
		return a.opts.Engine.Range(ctx, q, o, expr, start, end, step)
	})
}

// step returns the step of a range query from start to end.
func (a *API) step(r *http.Request, start, end time.Time) (time.Duration, *apiError) {
	step, err := parseDuration(r.Form.Get("step"))
	if err != nil {
		return 0, badParam("step", err)
	}
	if step < time.Millisecond {
		return 0, badParam("step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
	}
	if n := query.Points(timestamp.FromTime(start), timestamp.FromTime(end), step.Milliseconds()); n > uint64(a.opts.MaxPoints) {
		return 0, badData(tooManyPoints(n, a.opts.MaxPoints))
	}
	return step, nil
}

// tooManyPoints returns the error of a range query with too many steps. At the
// default limit, which is Prometheus', its text is Prometheus' own.
func tooManyPoints(n uint64, limit int) error {
	if limit == query.DefaultMaxPoints {
		return errors.New("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
	}
	return fmt.Errorf("query would make %d points per timeseries, more than the %d of --query.max-points. Try decreasing the query resolution (?step=XX)", n, limit)
}

// evaluate runs the query returned by prepare with the parameters common to
// instant and range queries. The query log records it with the times of span.
func (a *API) evaluate(r *http.Request, limit int, span querylog.Query, prepare func(context.Context, *query.Queryable, promql.QueryOpts, string) (*query.Query, error)) (answer, *apiError) {
	ctx := r.Context()
	if s := r.Form.Get("timeout"); s != "" {
		timeout, err := parseDuration(s)
		if err != nil {
			return answer{}, badParam("timeout", err)
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	opts, err := a.queryOpts(r)
	if err != nil {
		return answer{}, badData(err)
	}
	q, infos, unready := a.queryable(r)
	if unready != nil {
		return answer{}, unready
	}
	expr := r.Form.Get("query")
	qry, err := prepare(ctx, q, opts, expr)
	if err != nil {
		return answer{}, badParam("query", err)
	}
	ans := answer{query: expr, done: qry.Close}
	span.Text, span.Door, span.Client, span.Background = expr, "http", clientOf(r), isUncounted(r)
	running, end := a.opts.Queries.Begin(ctx, span)
	executed := false
	defer func() {
		if !executed { // Exec panicked
			end(querylog.Outcome{Err: querylog.ErrPanicked})
			qry.Close()
		}
	}()
	res := qry.Exec(withOrigin(running, r))
	executed = true
	end(querylog.OutcomeOf(qry, res))
	if res.Err != nil {
		if errors.Is(context.Cause(running), querylog.ErrCancelled) {
			res.Err = querylog.ErrCancelled
		}
		return ans, classify(res.Err)
	}
	ans.warnings = res.Warnings.Merge(infos)
	value, cut := truncate(res.Value, limit)
	if cut {
		ans.warnings.Add(errTruncated)
	}
	var st *statsView
	switch s := r.Form.Get("stats"); s {
	case "":
	case "true", statsAll:
		st = newStats(qry.Stats(), s == statsAll)
		if st.all {
			st.CachedSteps, st.BucketsRead, st.BucketsReadByTier = qry.CachedSteps(), qry.BucketsRead(), qry.BucketsReadByTier()
		}
	default:
		st = newStats(qry.Stats(), false)
		ans.warnings.Add(fmt.Errorf("value %q for parameter \"stats\" is deprecated and will be rejected in the next major release, use %q or %q", s, "true", statsAll))
	}
	ans.data = func(e *encoder) {
		e.encoding = qry.EncodeResponse(r.Context())
		defer e.encoding.End()
		queryData(value, st)(e)
	}
	return ans, nil
}

const statsAll = "all" // also requests counts per step and the time of encoding

func (a *API) queryOpts(r *http.Request) (promql.QueryOpts, error) {
	tier, err := resolution.Parse(r.Form.Get("resolution"), a.opts.Rollups)
	if err != nil {
		return nil, fmt.Errorf("invalid parameter \"resolution\": %w", err)
	}
	var lookback time.Duration
	if s := r.Form.Get("lookback_delta"); s != "" {
		if lookback, err = parseDuration(s); err != nil {
			return nil, fmt.Errorf("error parsing lookback delta duration: %w", err)
		}
	}
	opts := query.WithResolution(promql.NewPrometheusQueryOpts(r.Form.Get("stats") == statsAll, lookback), tier)
	switch r.Form.Get("nocache") {
	case "1", "true":
		opts = query.Uncached(opts)
	}
	if isUncounted(r) {
		opts = query.Uncounted(opts)
	}
	return opts, nil
}

// isUncounted reports whether a query does not count as asked for by a user.
func isUncounted(r *http.Request) bool {
	switch r.Form.Get("uncounted") {
	case "1", "true":
		return true
	}
	return false
}

// withOrigin adds the client to the context, for the engine's query log.
func withOrigin(ctx context.Context, r *http.Request) context.Context {
	return promql.NewOriginContext(ctx, map[string]any{
		"httpRequest": map[string]string{"clientIP": clientOf(r), "method": r.Method, "path": r.URL.Path},
	})
}

// clientOf returns the address of the peer, without its port.
func clientOf(r *http.Request) string {
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return ip
}

// truncate truncates a list of series to the limit; 0 = no limit.
func truncate(v parser.Value, limit int) (_ parser.Value, cut bool) {
	if limit == 0 {
		return v, false
	}
	switch l := v.(type) {
	case promql.Vector:
		if len(l) > limit {
			return l[:limit], true
		}
	case promql.Matrix:
		if len(l) > limit {
			return l[:limit], true
		}
	}
	return v, false
}

// queryExemplars returns the exemplars of the series selected by an expression.
// The response to an expression without selectors is 204.
func (a *API) queryExemplars(r *http.Request) (answer, *apiError) {
	start, bad := timeOr(r, "start", minTime)
	if bad != nil {
		return answer{}, bad
	}
	end, bad := timeOr(r, "end", maxTime)
	if bad != nil {
		return answer{}, bad
	}
	if end.Before(start) {
		return answer{}, badData(errors.New("end timestamp must not be before start timestamp"))
	}
	expr, err := a.parser.ParseExpr(r.Form.Get("query"))
	if err != nil {
		return answer{}, badData(err)
	}
	selectors := parser.ExtractSelectors(expr)
	if len(selectors) == 0 {
		return answer{}, nil
	}
	q, infos, unready := a.queryable(r)
	if unready != nil {
		return answer{}, unready
	}
	found, warnings, err := q.Exemplars(r.Context(), timestamp.FromTime(start), timestamp.FromTime(end), selectors...)
	charge := a.opts.Engine.Charge()
	if err == nil {
		err = charge.Exemplars(found)
	}
	if err != nil {
		charge.Close()
		return answer{}, classify(err)
	}
	return answer{data: exemplarData(found), warnings: warnings.Merge(infos), done: charge.Close}, nil
}
