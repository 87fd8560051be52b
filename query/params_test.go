package query_test

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/query"
	"tsdb/query/querytest"
)

// An @ in the parameter of an aggregation is where it says, at every step.
func TestParametersLookAtTheirTime(t *testing.T) {
	s := querytest.New(t, false)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	app := s.AppenderV2(t.Context())
	for k := range int64(11) {
		for name, v := range map[string]float64{"k": float64(1 + k%3), "a": float64(k), "b": float64(k) + 0.5, "c": float64(2 * k)} {
			ls := labels.FromStrings("__name__", name)
			if name != "k" {
				ls = labels.FromStrings("__name__", "m", "i", name)
			}
			if _, err := app.Append(0, ls, 0, k*60_000, v, nil, nil, promstorage.AOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	e := query.New(query.Options{})
	ask := func(text string) string {
		q, err := e.NewRangeQuery(t.Context(), s, nil, text, time.Unix(0, 0), time.Unix(600, 0), time.Minute)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		defer q.Close()
		res := q.Exec(t.Context())
		if res.Err != nil {
			t.Fatalf("%s: %v", text, res.Err)
		}
		return res.String()
	}
	// k is 1, 2, 3, 1, 2, 3, …: 1 at the start, 2 at the end, 3 after two minutes.
	for _, c := range [][2]string{
		{"topk(scalar(k @ start()), m)", "topk(1, m)"},
		{"topk(scalar(k @ end()), m)", "topk(2, m)"},
		{"topk(scalar(k @ 120), m)", "topk(3, m)"},
		{"quantile(scalar(k @ end()) / 4, m)", "quantile(0.5, m)"},
		{"bottomk(scalar(max_over_time(k[5m] @ end())), m)", "bottomk(3, m)"},
	} {
		if got, want := ask(c[0]), ask(c[1]); got != want {
			t.Errorf("%s:\n%s\n%s:\n%s", c[0], got, c[1], want)
		}
	}
}
