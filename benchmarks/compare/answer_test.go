package main

import (
	"math"
	"strings"
	"testing"
)

func TestParseAnswer(t *testing.T) {
	got, err := parseAnswer([]byte(`{"status":"success","data":{"resultType":"matrix","result":[
		{"metric":{"b":"2","a":"1"},"values":[[1.5,"NaN"],[2,"+Inf"]]},
		{"metric":{},"values":[]}]},"warnings":["w"]}`))
	if err != nil || len(got) != 2 || got[0].labels != "" || got[1].labels != `a="1",b="2"` {
		t.Fatalf("%v, %v", got, err)
	}
	if ps := got[1].points; len(ps) != 2 || ps[0].t != 1.5 || !math.IsNaN(ps[0].v) || ps[1] != (point{2, math.Inf(1)}) {
		t.Errorf("points %v", ps)
	}
	got, err = parseAnswer([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"1"},"value":[1.5,"2"]}]}}`))
	if err != nil || len(got) != 1 || len(got[0].points) != 1 || got[0].points[0] != (point{1.5, 2}) {
		t.Errorf("vector: %v, %v", got, err)
	}
	for _, body := range []string{
		``,
		`{"status":"error"}`,
		`{"status":"success","data":{"resultType":"scalar","result":[]}}`,
		`{"status":"success","data":{"resultType":"matrix","result":[{"values":[["1","1"]]}]}}`,
		`{"status":"success","data":{"resultType":"matrix","result":[{"values":[[1,"x"]]}]}}`,
	} {
		if got, err := parseAnswer([]byte(body)); err == nil {
			t.Errorf("%s: %v and no error", body, got)
		}
	}
}

func TestAnswersDiffer(t *testing.T) {
	one := func(labels string, points ...point) answer { return answer{{labels, points}} }
	f := func(a, b answer, reason string) {
		t.Helper()
		for range 2 {
			err := a.differs(b, 1e-9)
			if (err == nil) != (reason == "") || err != nil && !strings.Contains(err.Error(), reason) {
				t.Errorf("%v and %v: %v, want %q", a, b, err, reason)
			}
			a, b = b, a
		}
	}
	f(answer{}, answer{}, "")
	f(one("a", point{1, 2}), one("a", point{1, 2 * (1 + 0.9e-9)}), "")
	f(one("a", point{1, -2}), one("a", point{1, -2 * (1 + 1.2e-9)}), "at 1")
	f(one("a", point{1, math.NaN()}), one("a", point{1, math.NaN()}), "")
	f(one("a", point{1, math.Inf(1)}), one("a", point{1, math.Inf(1)}), "")
	f(one("a", point{1, math.NaN()}), one("a", point{1, 0}), "NaN")
	f(one("a", point{1, math.Inf(1)}), one("a", point{1, 1e300}), "Inf")
	f(one("a", point{1, 0}), one("a", point{1, 1e-300}), "at 1")
	f(one("a", point{1, 2}), one("a", point{2, 2}), "at 2")
	f(one("a", point{1, 2}), one("a"), "points")
	f(one("a"), one("b"), `{b}`)
	f(one("a"), answer{}, "series")
}
