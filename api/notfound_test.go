package api_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tsdb/api"
	"tsdb/api/ingest"
	"tsdb/api/prom"
)

// patternsOf returns the patterns of a mux, which has no method for it.
func patternsOf(t *testing.T, mux *http.ServeMux) []string {
	t.Helper()
	var all []string
	add := func(patterns reflect.Value) {
		for i := range patterns.Len() {
			all = append(all, patterns.Index(i).Elem().FieldByName("str").String())
		}
	}
	index := reflect.ValueOf(mux).Elem().FieldByName("index")
	add(index.FieldByName("multis"))
	for segments := index.FieldByName("segments").MapRange(); segments.Next(); {
		add(segments.Value())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestNotFoundListsEveryPattern: every pattern is in the list that a 404 answers,
// with its methods.
func TestNotFoundListsEveryPattern(t *testing.T) {
	mux := http.NewServeMux()
	api.MountOwn(mux)
	new(prom.API).Register(mux)
	ingest.New(ingest.Options{}).Register(mux)
	patterns := patternsOf(t, mux)
	if len(patterns) < 80 {
		t.Fatalf("the mux has %d patterns: %q", len(patterns), patterns)
	}
	listed := api.ServedPaths()
	for _, pattern := range patterns {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "", pattern
		}
		if method == http.MethodOptions || strings.HasPrefix(path, "/debug/pprof/") && path != "/debug/pprof/" {
			continue // preflights, and the links of the page of profiles
		}
		path = strings.ReplaceAll(strings.TrimSuffix(path, "{$}"), "{name}", "NAME")
		path = strings.ReplaceAll(path, "{path...}", "PATH")
		methods, ok := listed[path]
		if !ok || method != "" && !slices.Contains(methods, method) {
			t.Errorf("%s is served and not listed", pattern)
		}
	}
}
