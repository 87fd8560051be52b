package query_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/query"
)

// Each stage of a query counts once, and each query that fails by a limit.
func TestStagesAndLimitsAreMeasured(t *testing.T) {
	s := wide(t, 100)
	reg := prometheus.NewRegistry()
	e := query.New(query.Options{MaxBytes: 100_000, Registerer: reg})
	if res := answer(t, e, s, "sum(wide) + sum(wide)"); res.Err != nil {
		t.Fatal(res.Err)
	}
	if res := answer(t, e, s, "wide"); res.Err == nil {
		t.Fatal("no error")
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += "," + l.GetValue()
			}
			switch {
			case m.Histogram != nil:
				got[name] = float64(m.Histogram.GetSampleCount())
			case m.Counter != nil:
				got[name] = m.Counter.GetValue()
			case m.Gauge != nil:
				got[name] = m.Gauge.GetValue()
			}
		}
	}
	for name, want := range map[string]float64{
		"tsdb_query_duration_seconds,queue": 2, "tsdb_query_duration_seconds,select": 2, "tsdb_query_duration_seconds,evaluate": 2,
		"tsdb_query_duration_seconds,deliver": 0, "tsdb_query_limited_total,bytes": 1, "tsdb_query_limited_total,series": 0,
		"tsdb_query_running,light": 0, "tsdb_query_running,heavy": 0, "tsdb_query_waiting": 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, %v, want %v", name, v, ok, want)
		}
	}
	if got["tsdb_query_memory_bytes"] == 0 {
		t.Error("queries that are not closed hold nothing")
	}
}
