package sets

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// What a server has stored is moved by whole hours, and repeated.
func TestStoredReturnsWhatTheServerHas(t *testing.T) {
	answers := map[string]string{
		"":                            `["node_load1","old","up"]`,
		`{__name__="up"}[1h]`:         `{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"a"},"values":[[1760000000.123,"1"],[1760000001.001,"NaN"]]},{"metric":{"__name__":"up","job":"b"},"histograms":[]}]}`,
		`{__name__="old"}[1h]`:        `{"resultType":"matrix","result":[]}`,
		`{__name__="node_load1"}[1h]`: `{"resultType":"matrix","result":[{"metric":{"__name__":"node_load1"},"values":[[1760000000.5, "0.25"]]}]}`,
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := answers[r.FormValue("query")]
		if !ok || r.URL.Path != "/api/v1/query" && r.URL.Path != "/api/v1/label/__name__/values" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"status":"error","error":"no %s"}`, r.URL)
			return
		}
		fmt.Fprintf(w, `{"status":"success","data":%s}`, data)
	}))
	defer s.Close()
	end := time.Unix(1_760_000_002, 0)
	set, err := Stored(t.Context(), s.URL, end, time.Hour, start.AddDate(0, 0, -7), 1)
	if err != nil {
		t.Fatal(err)
	}
	all := groups(t, set)
	move := start.AddDate(0, 0, -7).UnixMilli() - time.Unix(1_760_000_000, 0).Truncate(time.Hour).UnixMilli()
	if len(all) != 2 || !labels.Equal(all[0].Labels, labels.FromStrings("__name__", "node_load1")) || !labels.Equal(all[1].Labels, labels.FromStrings("__name__", "up", "job", "a")) {
		t.Fatalf("%v", all)
	}
	if move%time.Hour.Milliseconds() != 0 || !slices.Equal(all[1].Times, []int64{1760000000123 + move, 1760000001001 + move}) || !reflect.DeepEqual(all[0].Values, []float64{0.25}) {
		t.Errorf("%v, moved by %d", all, move)
	}
	set, err = Stored(t.Context(), s.URL, end, time.Hour, start.AddDate(0, 0, -7), 3)
	if err != nil {
		t.Fatal(err)
	}
	const hour = 3_600_000
	again := groups(t, set)[1]
	want := slices.Clone(all[1].Times)
	for k := int64(1); k < 3; k++ {
		want = append(want, all[1].Times[0]+k*hour, all[1].Times[1]+k*hour)
	}
	if !slices.Equal(again.Times, want) || len(again.Values) != 6 || again.Values[4] != 1 {
		t.Errorf("three times: %v, want times %v", again, want)
	}
	if _, err := Stored(t.Context(), s.URL, end, 2*time.Hour, start, 1); err == nil {
		t.Error("no error for an answer with an error")
	}
}
