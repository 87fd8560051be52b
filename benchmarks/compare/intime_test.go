package main

import (
	"testing"

	"github.com/prometheus/prometheus/prompb"

	"tsdb/benchmarks/sets"
)

// A set is sent whole, every series in order of time and with its name as a
// label, and no series gets ahead of another by more than a request.
func TestInTimeSendsAllInTime(t *testing.T) {
	set := datasets(3, 1)["cpu"].set
	source, err := inTime(set)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]sets.Series{} // by host and metric
	for i := range set.Groups {
		series, err := set.Group(i)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range series {
			want[s.Labels.Get("hostname")+s.Labels.Get("__name__")] = s
		}
	}
	sent := map[string]int{}
	var raw []byte
	for {
		var n int
		if raw, n, err = source.AppendRequest(raw[:0]); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		var m prompb.WriteRequest
		if err := m.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		for _, series := range m.Timeseries {
			labels := map[string]string{}
			for _, l := range series.Labels {
				labels[l.Name] = l.Value
			}
			if labels[metricLabel] == "" || labels[metricLabel] != labels["__name__"] {
				t.Fatalf("labels %v", labels)
			}
			key := labels["hostname"] + labels["__name__"]
			for _, s := range series.Samples {
				at := sent[key]
				if s.Timestamp != want[key].Times[at] || s.Value != want[key].Values[at] {
					t.Fatalf("sample %d of %s is %v at %d", at, key, s.Value, s.Timestamp)
				}
				sent[key]++
			}
			n -= len(series.Samples)
		}
		if n != 0 {
			t.Fatalf("%d samples more were told than sent", n)
		}
		least, most := len(want[keyOf(want)].Times), 0
		for key := range want {
			least, most = min(least, sent[key]), max(most, sent[key])
		}
		if most-least > requestSamples/len(want)+seriesSamples {
			t.Fatalf("one series has %d samples, another one %d", most, least)
		}
	}
	for key, s := range want {
		if sent[key] != len(s.Times) {
			t.Errorf("%d of %d samples of %s", sent[key], len(s.Times), key)
		}
	}
}

func keyOf(m map[string]sets.Series) (key string) {
	for key = range m {
		break
	}
	return key
}
