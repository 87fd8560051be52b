package prom

import (
	"fmt"
	"slices"

	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/prom/promtest"
	"tsdb/internal/model"
)

// TestSeriesAndLabelsOfARange lists the last ten minutes, from memory, a block
// and a merged block: a pod that ended four hours before is not listed.
func TestSeriesAndLabelsOfARange(t *testing.T) {
	s := newServer(t, Options{})
	b := s.db.NewBatch("test", model.DefaultTenant)
	for i, pod := range []string{"gone", "live"} {
		ref, err := b.Resolve(model.Hash{Hi: 77, Lo: uint64(i)}, labels.FromStrings("__name__", "old_v", "pod", pod, pod+"_label", "x"))
		if err != nil {
			t.Fatal(err)
		}
		b.Float(ref, (promtest.End-int64(1-i)*4*3600)*1000, 0, 1)
	}
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		start, end := fmt.Sprint(promtest.End-600), fmt.Sprint(promtest.End)
		var sets []map[string]string
		s.get(t, "/series", "match[]", "old_v", "start", start, "end", end).data(t, &sets)
		if len(sets) != 1 || sets[0]["pod"] != "live" {
			t.Errorf("%s: series %v", when, sets)
		}
		var values, names []string
		s.get(t, "/label/pod/values", "start", start, "end", end).data(t, &values)
		if !slices.Equal(values, []string{"live"}) {
			t.Errorf("%s: values %q", when, values)
		}
		s.get(t, "/labels", "match[]", "old_v", "start", start, "end", end).data(t, &names)
		if !slices.Equal(names, []string{"__name__", "live_label", "pod"}) {
			t.Errorf("%s: names %q", when, names)
		}
		s.get(t, "/label/pod/values", "limit", "1", "start", fmt.Sprint(promtest.End-5*3600), "end", end).data(t, &values)
		if !slices.Equal(values, []string{"gone"}) {
			t.Errorf("%s: first value of five hours: %q", when, values)
		}
	}
	check("head")
	if _, err := s.db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	check("block")
	if _, err := s.db.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	check("merged")
}
