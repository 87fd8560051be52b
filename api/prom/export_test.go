package prom

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/transfer/jsonl"
)

// exported returns the samples of an export by series, and the longest line in rows.
func exported(t *testing.T, text string) (map[string]*model.Samples, int) {
	t.Helper()
	all, longest := map[string]*model.Samples{}, 0
	for line := range strings.Lines(text) {
		var l jsonl.Line
		var b labels.ScratchBuilder
		var s, merged model.Samples
		if err := l.Split([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if err := l.Labels(b.Add); err != nil {
			t.Fatal(err)
		}
		if err := l.Samples(&s); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, s.Len())
		name := b.Labels().String()
		if all[name] == nil {
			all[name] = &model.Samples{}
		}
		model.Merge(&merged, all[name], &s)
		*all[name] = merged
	}
	return all, longest
}

// An export has every sample of the selected series, bit for bit, from memory and
// from blocks, in lines of the length asked for.
func TestExportHasEveryBit(t *testing.T) {
	s := newServer(t, Options{})
	for _, settled := range []bool{false, true} {
		if settled {
			if _, err := s.db.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
		v, err := s.db.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Release()
		set, err := v.Select(ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchNotEqual, "__name__", ""))
		if err != nil {
			t.Fatal(err)
		}
		r := s.get(t, "/export", "match[]", `{__name__!=""}`, "max_rows_per_line", "7", "reduce_mem_usage", "1")
		if r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("Content-Type"), "application/stream+json") {
			t.Fatalf("%d %s", r.status, r.header)
		}
		got, longest := exported(t, string(r.body))
		if len(got) != set.Len() || longest != 7 {
			t.Errorf("%d series, want %d; lines of %d rows", len(got), set.Len(), longest)
		}
		nans := 0
		for i := range set.Len() {
			var want model.Samples
			if err := set.At(i).Samples(ctx, model.AllTime, &want); err != nil {
				t.Fatal(err)
			}
			have := got[set.At(i).Labels.String()]
			if have == nil || have.Len() != want.Len() {
				t.Errorf("%s is not complete", set.At(i).Labels)
				continue
			}
			for k := range want.T {
				if !have.EqualAt(k, &want, k) {
					t.Errorf("%s at %d: %x, want %x", set.At(i).Labels, want.T[k], math.Float64bits(have.V[k]), math.Float64bits(want.V[k]))
				}
				if math.IsNaN(want.V[k]) {
					nans++
				}
			}
		}
		if nans == 0 {
			t.Error("no NaN was tested")
		}
	}
	r := s.post(t, "/export", "match[]", `http_requests_total`, "start", fmt.Sprint(readFrom/1000), "end", fmt.Sprint(readTo/1000))
	got, _ := exported(t, string(r.body))
	if len(got) == 0 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for name, samples := range got {
		if samples.T[0] < readFrom || samples.T[samples.Len()-1] > readTo {
			t.Errorf("%s: times %d to %d", name, samples.T[0], samples.T[samples.Len()-1])
		}
	}
}

func TestExportRefuses(t *testing.T) {
	s := newServer(t, Options{})
	for part, params := range map[string][]string{
		"no match[]":        nil,
		"match[]":           {"match[]", "{"},
		"max_rows_per_line": {"match[]", "up", "max_rows_per_line", "-1"},
		"start":             {"match[]", "up", "start", "x"},
	} {
		if r := s.get(t, "/export", params...); r.status != http.StatusBadRequest || !strings.Contains(string(r.body), part) {
			t.Errorf("%v: %d %s", params, r.status, r.body)
		}
	}
}
