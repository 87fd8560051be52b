package sets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Stored reads the floats of the last span before end from a server with Prometheus' API,
// at most a day of them, and returns them as a set, moved in time by whole hours so that
// the first sample is in the hour after start, and given repeat times, a span apart:
// counters fall at each repetition. Stale markers are not among them: queries do not show them.
func Stored(ctx context.Context, server string, end time.Time, span time.Duration, start time.Time, repeat int) (Set, error) {
	names, err := get[[]string](ctx, server+"/api/v1/label/"+model.MetricNameLabel+"/values", nil)
	if err != nil {
		return Set{}, err
	}
	var all []Series
	var first int64 = math.MaxInt64
	for _, name := range names {
		type matrix struct {
			Result []struct {
				Metric map[string]string
				Values []storedPoint
			}
		}
		query := fmt.Sprintf("{__name__=%q}[%s]", name, model.Duration(span))
		at := strconv.FormatInt(end.Unix(), 10)
		found, err := get[matrix](ctx, server+"/api/v1/query", url.Values{"query": {query}, "time": {at}})
		if err != nil {
			return Set{}, fmt.Errorf("%s: %w", name, err)
		}
		for _, r := range found.Result {
			if len(r.Values) == 0 { // histograms only
				continue
			}
			s := Series{Labels: labels.FromMap(r.Metric)}
			for _, p := range r.Values {
				s.Times, s.Values = append(s.Times, p.t), append(s.Values, p.v)
			}
			first = min(first, s.Times[0])
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return Set{}, errors.New("the server has no samples in this time")
	}
	move := start.Truncate(time.Hour).Sub(time.UnixMilli(first).Truncate(time.Hour)).Milliseconds()
	for k := range all {
		s := &all[k]
		for i := range s.Times {
			s.Times[i] += move
		}
		n, times := len(s.Times), s.Times
		for again := 1; again < repeat; again++ {
			for _, t := range times[:n] {
				s.Times = append(s.Times, t+int64(again)*span.Milliseconds())
			}
			s.Values = append(s.Values, s.Values[:n]...)
		}
	}
	return Set{Name: "stored", Groups: 1, Group: func(int) ([]Series, error) { return all, nil }}, nil
}

// storedPoint is a pair of Unix seconds and a value as text.
type storedPoint struct {
	t int64 // Unix milliseconds
	v float64
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *storedPoint) UnmarshalJSON(text []byte) error {
	at, value, ok := strings.Cut(strings.Trim(string(text), "[]"), ",")
	if !ok {
		return fmt.Errorf("point %s is not a pair", text)
	}
	t, err1 := strconv.ParseFloat(strings.TrimSpace(at), 64)
	v, err2 := strconv.ParseFloat(strings.Trim(strings.TrimSpace(value), `"`), 64)
	p.t, p.v = int64(math.Round(t*1000)), v
	return errors.Join(err1, err2)
}

// get returns the data of an answer of Prometheus' API.
func get[T any](ctx context.Context, address string, values url.Values) (data T, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"?"+values.Encode(), nil)
	if err != nil {
		return data, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return data, err
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          T
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return data, fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	if answer.Status != "success" {
		return data, fmt.Errorf("status %d: %s", resp.StatusCode, answer.Error)
	}
	return answer.Data, nil
}
