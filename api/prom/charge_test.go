package prom

import (
	"strings"
	"testing"

	"tsdb/query"
)

// TestListsAreCharged: lists of series and labels, federation and exemplars count
// for the memory of queries, and are refused if they exceed it.
func TestListsAreCharged(t *testing.T) {
	e := query.New(query.Options{MaxBytes: 100})
	s := newServer(t, Options{Engine: e})
	for _, path := range []string{"/series", "/labels", "/label/__name__/values"} {
		got := s.get(t, path, "match[]", `{__name__=~".+"}`)
		t.Run(path, func(t *testing.T) { got.want(t, 422, "execution", "--query.max-bytes") })
	}
	if got := s.get(t, "/explain", "query", `{__name__=~".+"}`); got.status == 500 {
		t.Errorf("explain: %d %s", got.status, got.body)
	}
	if n := e.MemoryBytes(); n != 0 {
		t.Errorf("%d bytes held after refusals", n)
	}
	e = query.New(query.Options{MaxBytes: 1 << 20})
	s = newServer(t, Options{Engine: e})
	for _, path := range []string{"/series", "/labels", "/label/__name__/values"} {
		if got := s.get(t, path, "match[]", `{__name__=~".+"}`); got.status != 200 || !strings.Contains(got.body, `"success"`) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if n := e.MemoryBytes(); n != 0 {
		t.Errorf("%d bytes held after answers", n)
	}
}
