package ingest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestCSV(t *testing.T) {
	d := openDoor(t)
	now := testNow.UnixMilli()
	format := "/api/v1/import/csv?format=" + url.QueryEscape("2:label:room,3:metric:celsius,4:metric:humidity,1:time:unix_s")
	sec := base / 1000 * 1000
	body := fmt.Sprintf("%d,\"hall, \"\"upper\"\"\",21.5,40\n%d,attic,19,\r\n", sec/1000, sec/1000)
	for range 2 {
		if r := d.do("POST", format, []byte(body)); r.code != http.StatusNoContent {
			t.Fatalf("%d %s", r.code, r.body)
		}
	}
	want := map[string]map[int64]float64{
		`{__name__="celsius", room="hall, \"upper\""}`: {sec: 21.5}, `{__name__="humidity", room="hall, \"upper\""}`: {sec: 40}, `{__name__="celsius", room="attic"}`: {sec: 19},
	}
	if got := d.storedFloats(); !maps.EqualFunc(got, want, func(a, b map[int64]float64) bool { return maps.Equal(a, b) }) {
		t.Errorf("stored %v", got)
	}
	// The same bytes under another format are other series.
	if r := d.do("PUT", "/api/v1/import/csv?format=2:label:floor,3:metric:celsius", []byte(body)); r.code != http.StatusNoContent {
		t.Fatalf("%d %s", r.code, r.body)
	}
	if got := d.storedFloats()[`{__name__="celsius", floor="attic"}`]; !maps.Equal(got, map[int64]float64{now: 19}) {
		t.Errorf("stored %v", got)
	}
	// Fields are told apart, not only their concatenation.
	for _, line := range []string{"x,yz,1\n", "xy,z,2\n"} {
		if r := d.do("POST", "/api/v1/import/csv?format=1:label:a,2:label:b,3:metric:pair", []byte(line)); r.code != http.StatusNoContent {
			t.Fatalf("%d %s", r.code, r.body)
		}
	}
	if got := d.storedFloats(); got[`{__name__="pair", a="x", b="yz"}`][now] != 1 || got[`{__name__="pair", a="xy", b="z"}`][now] != 2 {
		t.Errorf("stored %v", got)
	}
	r := d.do("POST", format, []byte(strings.Join([]string{"time,room,celsius,humidity", fmt.Sprintf("%d,a,x,1", sec/1000), fmt.Sprintf("%d,a,1", sec/1000), `1,"a`, "1,b,5,6"}, "\n")))
	for _, part := range []string{"2 written, 8 refused", "column 3 is no number", "bad_value, 4", "column 1 is no time: time,room,celsius,humidity (bad_time, 2)", "too_old, 2"} {
		if r.code != http.StatusBadRequest || !strings.Contains(r.body, part) {
			t.Errorf("%d %s, want %q", r.code, r.body, part)
		}
	}
	if r := d.do("POST", "/api/v1/import/csv", []byte("1")); r.code != http.StatusBadRequest || !strings.Contains(r.body, `invalid parameter "format"`) {
		t.Errorf("%d %s", r.code, r.body)
	}
}
