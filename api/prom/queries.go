package prom

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"tsdb/api/querylog"
)

// millis returns a time clamped to years of four digits, which JSON requires.
func millis(ms int64) time.Time {
	const first, last = -62135596800_000, 253402300799_999 // of the years 1 and 9999
	return time.UnixMilli(min(max(ms, first), last)).UTC()
}

// runningView is a query that has not ended.
type runningView struct {
	ID      uint64    `json:"id"` // for cancel_query
	Query   string    `json:"query"`
	Start   time.Time `json:"start"` // of its range, or its time
	End     time.Time `json:"end"`
	Step    float64   `json:"step"` // seconds; 0 = instant
	Since   time.Time `json:"since"`
	Seconds float64   `json:"seconds"` // since then
	Door    string    `json:"door"`
	Client  string    `json:"client"`
}

// activeQueries lists the queries that run or wait, oldest first.
func (a *API) activeQueries(*http.Request) (answer, *apiError) {
	queries := []runningView{}
	now := a.now()
	for _, q := range a.opts.Queries.Running() {
		queries = append(queries, runningView{
			ID: q.ID, Query: q.Text, Start: millis(q.StartMs), End: millis(q.EndMs), Step: float64(q.StepMs) / 1000,
			Since: q.Since.UTC(), Seconds: now.Sub(q.Since).Seconds(), Door: q.Door, Client: q.Client,
		})
	}
	return answer{data: jsonValue(struct {
		Queries []runningView `json:"queries"`
		Waiting int           `json:"waiting"` // of them, for a slot
	}{queries, a.opts.Engine.Waiting()})}, nil
}

// cancelQuery ends the query whose number is id.
func (a *API) cancelQuery(r *http.Request) (answer, *apiError) {
	id, err := strconv.ParseUint(r.Form.Get("id"), 10, 64)
	if err != nil {
		return answer{}, badParam("id", errors.New("the number of a query of status/active_queries is missing"))
	}
	if !a.opts.Queries.Cancel(id) {
		return answer{}, notFound(fmt.Errorf("query %d does not run, or not any more", id))
	}
	return answer{}, nil
}

// queryCostView is the total cost of the queries of one expression since the
// server started.
type queryCostView struct {
	Query          string    `json:"query"`
	Count          uint64    `json:"count"`
	Errors         uint64    `json:"errors"`
	TotalSeconds   float64   `json:"totalSeconds"`
	LongestSeconds float64   `json:"longestSeconds"`
	SamplesRead    int64     `json:"samplesRead"`
	Series         int       `json:"series"` // of the last answer
	Last           time.Time `json:"last"`
	Background     bool      `json:"background,omitempty"` // a page asked of its own accord
}

// topQueries lists the most expensive expressions by duration, frequency or
// samples.
func (a *API) topQueries(r *http.Request) (answer, *apiError) {
	by := querylog.ByDuration
	if s := r.Form.Get("by"); s != "" {
		if by = querylog.Order(s); !slices.Contains(querylog.Orders, by) {
			return answer{}, badParam("by", fmt.Errorf("%q is not one of %q", s, querylog.Orders))
		}
	}
	n, bad := limitOf(r)
	if bad != nil {
		return answer{}, bad
	}
	if n == 0 {
		n = defaultTableRows
	}
	queries := []queryCostView{}
	for _, c := range a.opts.Queries.Top(by, n, r.Form.Get("background") != "0") {
		queries = append(queries, queryCostView{
			c.Text, c.Count, c.Errors, c.Total.Seconds(), c.Longest.Seconds(), c.SamplesRead, c.Series, c.Last.UTC(), c.Background,
		})
	}
	return answer{data: jsonValue(queries)}, nil
}
