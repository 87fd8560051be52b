package prom

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"

	"tsdb/api/reqbody"
	"tsdb/query"
)

// Bounds of a request.
const (
	maxFormBytes = 10 << 20
	maxSelectors = 1000 // of match[] in one request
)

var formLimit = reqbody.Limit{Bytes: maxFormBytes}

// parseForm reads the parameters from URL and body into r.Form. The caller
// releases the charge when the request is answered.
func (a *API) parseForm(w http.ResponseWriter, r *http.Request) (*reqbody.Charge, *apiError) {
	charge, err := a.opts.Budget.ParseForm(w, r, formLimit)
	if err == nil {
		return charge, nil
	}
	err = fmt.Errorf("error parsing form values: %w", err)
	if isUnavailable(err) {
		return nil, unavailable(err)
	}
	e := badData(err)
	e.code = bodyStatus(err)
	return nil, e
}

func contains(words, word string) bool {
	for w := range strings.FieldsSeq(words) {
		if w == word {
			return true
		}
	}
	return false
}

// The minimum and maximum time as Prometheus and its clients write them. Their
// years have more than four digits.
var (
	minTime = time.UnixMilli(query.MinTime).UTC()
	maxTime = time.UnixMilli(query.MaxTime).Add(999_999).UTC()

	minTimeText = minTime.Format(time.RFC3339Nano)
	maxTimeText = maxTime.Format(time.RFC3339Nano)
)

// parseTime parses Unix seconds with decimals or RFC 3339. Digits below a
// millisecond are rounded. Times outside [minTime, maxTime] that fit int64
// milliseconds are clamped.
func parseTime(s string) (time.Time, error) {
	if t, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(t) <= math.MaxInt64/1000 {
		whole, part := math.Modf(t)
		part = math.Round(part*1000) / 1000
		at := time.Unix(int64(whole), int64(part*float64(time.Second))).UTC()
		switch {
		case at.Before(minTime):
			return minTime, nil
		case at.After(maxTime):
			return maxTime, nil
		}
		return at, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	switch s {
	case minTimeText:
		return minTime, nil
	case maxTimeText:
		return maxTime, nil
	}
	return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", s)
}

// timeOr reads a time parameter that may be missing.
func timeOr(r *http.Request, name string, missing time.Time) (time.Time, *apiError) {
	s := r.Form.Get(name)
	if s == "" {
		return missing, nil
	}
	t, err := parseTime(s)
	if err != nil {
		return t, badParam(name, fmt.Errorf("invalid time value for '%s': %w", name, err))
	}
	return t, nil
}

// timeRange reads start and end, which default to the ends of the time line,
// in Unix milliseconds, both inclusive.
func timeRange(r *http.Request) (start, end int64, _ *apiError) {
	s, err := timeOr(r, "start", minTime)
	if err != nil {
		return 0, 0, err
	}
	e, err := timeOr(r, "end", maxTime)
	if err != nil {
		return 0, 0, err
	}
	return timestamp.FromTime(s), timestamp.FromTime(e), nil
}

// parseDuration reads seconds with decimals or a duration such as 1h30m.
func parseDuration(s string) (time.Duration, error) {
	if d, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(d) {
		ns := d * float64(time.Second)
		if ns >= math.MaxInt64 || ns <= math.MinInt64 {
			return 0, fmt.Errorf("cannot parse %q to a valid duration. It overflows int64", s)
		}
		return time.Duration(ns), nil
	}
	if d, err := model.ParseDuration(s); err == nil {
		return time.Duration(d), nil
	}
	return 0, fmt.Errorf("cannot parse %q to a valid duration", s)
}

// limitOf reads the parameter limit; 0 is no limit.
func limitOf(r *http.Request) (int, *apiError) {
	s := r.Form.Get("limit")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err == nil && n < 0 {
		err = errors.New("limit must be non-negative")
	}
	if err != nil {
		return 0, badParam("limit", err)
	}
	return n, nil
}

// errTruncated is the warning of a response that was truncated at its limit.
var errTruncated = errors.New("results truncated due to limit")

// oneMore returns limit+1, the number of results to request from the storage to
// detect that the limit is exceeded; 0 = no limit.
func oneMore(limit int) int {
	if limit > 0 && limit < math.MaxInt {
		return limit + 1
	}
	return limit
}

// boolean parses a switch, which is off if it is missing.
func boolean(r *http.Request, name string) (bool, *apiError) {
	s := r.Form.Get(name)
	if s == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(s)
	if err != nil {
		return false, badParam(name, fmt.Errorf("cannot parse %q as true or false", s))
	}
	return on, nil
}

// number parses an integer parameter. missing is its default.
func number(r *http.Request, name string, missing int) (int, *apiError) {
	s := r.Form.Get(name)
	if s == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, badData(errors.New(name + " must be a number"))
	}
	return n, nil
}

// selectors parses match[]. Each selector must have a matcher that does not match
// the empty string.
func (a *API) selectors(r *http.Request) ([][]*labels.Matcher, error) {
	texts := r.Form["match[]"]
	if len(texts) > maxSelectors {
		return nil, fmt.Errorf("%d match[] parameters, the limit is %d", len(texts), maxSelectors)
	}
	sets, err := a.parser.ParseMetricSelectors(texts)
	if err != nil {
		return nil, err
	}
	for _, ms := range sets {
		if !query.Selective(ms) {
			return nil, errors.New("match[] must contain at least one non-empty matcher")
		}
	}
	return sets, nil
}
