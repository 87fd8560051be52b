package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// maxDifferences is the maximum number of differences shown for one answer.
const maxDifferences = 5

// sameAnswer sends a request to both servers and compares the answers, except for the
// order of series, which PromQL does not define.
func sameAnswer(t *testing.T, c *http.Client, got, want, path string, form url.Values) {
	t.Helper()
	codeGot, a, err := ask(t.Context(), c, got, path, form)
	if err != nil {
		t.Errorf("%s %v: %v", path, form, err)
		return
	}
	codeWant, b, err := ask(t.Context(), c, want, path, form)
	if err != nil {
		t.Fatalf("reference: %s %v: %v", path, form, err)
	}
	if codeGot != codeWant || a.Status != b.Status || a.ErrorType != b.ErrorType || a.Error != b.Error {
		t.Errorf("%s %v: %d %s %s %s, want %d %s %s %s", path, form, codeGot, a.Status, a.ErrorType, a.Error, codeWant, b.Status, b.ErrorType, b.Error)
		return
	}
	if !slices.Equal(sorted(a.Warnings), sorted(b.Warnings)) || !slices.Equal(sorted(a.Infos), sorted(b.Infos)) {
		t.Errorf("%s %v: warnings %q and infos %q, want %q and %q", path, form, a.Warnings, a.Infos, b.Warnings, b.Infos)
	}
	if b.Status != "success" {
		t.Fatalf("%s %v: the reference refuses it, so it tests nothing: %s", path, form, b.Error)
	}
	kindGot, rowsGot := rows(t, a.Data)
	kindWant, rowsWant := rows(t, b.Data)
	if kindGot != kindWant {
		t.Errorf("%s %v: result type %q, want %q", path, form, kindGot, kindWant)
		return
	}
	if d := differences(rowsGot, rowsWant); len(d) > 0 {
		t.Errorf("%s %v: %d rows, want %d:\n%s", path, form, len(rowsGot), len(rowsWant), strings.Join(d, "\n"))
	}
}

// rows splits an answer's data into rows, one for each series, exemplar list, string
// or other element, by the text that identifies it.
func rows(t *testing.T, data json.RawMessage) (kind string, out map[string]string) {
	t.Helper()
	out = map[string]string{}
	var query struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	}
	list := data
	if json.Unmarshal(data, &query) == nil && query.ResultType != "" {
		kind, list = query.ResultType, query.Result
	}
	var items []json.RawMessage
	if kind == "scalar" || kind == "string" || json.Unmarshal(list, &items) != nil {
		out[""] = canonical(t, list)
		return kind, out
	}
	for _, item := range items {
		var row map[string]json.RawMessage
		key := string(item)
		if json.Unmarshal(item, &row) == nil && row != nil {
			for _, name := range []string{"metric", "seriesLabels"} {
				if labels, ok := row[name]; ok {
					key = canonical(t, labels)
				}
			}
		}
		if _, ok := out[key]; ok {
			t.Errorf("the answer has %s twice", key)
		}
		out[key] = canonical(t, item)
	}
	return kind, out
}

// canonical formats JSON with sorted keys; numbers keep their digits.
func canonical(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("answer %.200s: %v", raw, err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// differences lists the rows in which two answers differ, in shortened form.
func differences(got, want map[string]string) []string {
	var out []string
	n := 0
	add := func(format string, args ...any) {
		if n++; n <= maxDifferences {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if g, ok := got[key]; !ok {
			add("  missing %.300s", want[key])
		} else if g != want[key] {
			i := 0
			for i < len(g) && i < len(want[key]) && g[i] == want[key][i] {
				i++
			}
			from := max(0, i-60)
			add("  %.200s\n    got  …%.200s\n    want …%.200s", key, g[from:], want[key][from:])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok {
			add("  too much: %.300s", got[key])
		}
	}
	if n > maxDifferences {
		out = append(out, fmt.Sprintf("  and %d more", n-maxDifferences))
	}
	return out
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
