package query_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"tsdb/query"
)

// Labels that a query makes are bounded before they are made.
func TestLabelBombs(t *testing.T) {
	s := wide(t, 500)
	e := query.New(query.Options{MaxBytes: 32 << 20})
	double := "wide"
	for range 40 {
		double = `label_replace(` + double + `, "i", "$1$1", "i", "(.*)")`
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, expr := range map[string]string{
		"join":     `count(label_join(wide, "x", ","` + strings.Repeat(`, "i"`, 20_000) + `))`,
		"double":   "count(" + double + ")",
		"template": `count(label_replace(wide, "x", "` + strings.Repeat("${1}", 20_000) + `", "i", "(.*)"))`,
	} {
		t.Run(name, func(t *testing.T) {
			exceeds(t, e, s, expr, query.LimitLabelValue, "--limit.label-value")
		})
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 512<<20 {
		t.Errorf("%d MB allocated", n>>20)
	}
	e = query.New(query.Options{MaxBytes: 8 << 20})
	exceeds(t, e, s, `count(label_join(wide, "x", ","`+strings.Repeat(`, "__name__"`, 3000)+`) or label_join(wide, "y", ","`+strings.Repeat(`, "__name__"`, 3000)+`))`, query.LimitBytes, "--query.max-bytes")
}

// What Grafana's All makes of 9,000 pods, and long or deep queries, are answered.
func TestLongQueriesAreAnswered(t *testing.T) {
	s := wide(t, 5)
	e := query.New(query.Options{})
	var pods strings.Builder
	for i := range 9000 {
		fmt.Fprintf(&pods, "ns-00000/pod-abcdef-%06d-xyz12|", i)
	}
	for _, expr := range []string{
		`count(wide{i=~"` + pods.String() + `1"})`, "1" + strings.Repeat("+1", 2100), strings.Repeat("(", 300) + "wide" + strings.Repeat(")", 300),
	} {
		if res := answer(t, e, s, expr); res.Err != nil || isEmpty(res.Value) {
			t.Errorf("%.40s…: %v", expr, res.Err)
		}
	}
}
