package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// The clients of InfluxDB for JavaScript and Python write, and PromQL reads back what
// they sent. They also list databases and measurements.
func TestInfluxClientLibraries(t *testing.T) {
	t.Parallel()
	node := findProgram(t, "node")
	const python = "/usr/bin/python3" // Debian's, which has Debian's packages
	js, err := filepath.Abs(filepath.Join("testdata", "influx-js"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(js, "node_modules", "influx")); err != nil {
		missing(t, "the packages of testdata/influx-js are not installed (make test-deps does it)")
	}
	if !isExecutable(python) {
		missing(t, "python3 of Debian is not installed (make test-deps does it)")
	}
	if code, _ := runProgram(t, python, "-c", "import influxdb"); code != 0 {
		missing(t, "python3-influxdb is not installed (make test-deps does it)")
	}
	client := newHTTPClient(t)
	s := newServer(t, t.TempDir())
	s.start(t)
	s.waitReady(t)
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	seconds := strconv.FormatInt(at.Unix(), 10)
	for _, c := range []struct{ db, measurement, program, script, address string }{
		{"js1", "js_air", node, filepath.Join(js, "send.mjs"), s.url()},
		{"py1", "py_air", python, filepath.Join("testdata", "influx-python", "send.py"), s.addr[len("127.0.0.1:"):]},
	} {
		code, out := runProgram(t, c.program, c.script, c.address, seconds)
		var names struct{ Databases, Measurements []string }
		if err := json.Unmarshal([]byte(out), &names); err != nil || code != 0 {
			t.Fatalf("%s: exit code %d: %v\n%s", c.script, code, err, out)
		}
		if !slices.Contains(names.Databases, c.db) || !slices.Equal(names.Measurements, []string{c.measurement}) {
			t.Errorf("%s lists %+v", c.script, names)
		}
	}
	known := map[string]float64{
		`js_air_celsius{city="São Paulo, BR",db="js1"}`: -2.5e-7,
		`js_air_drops{city="São Paulo, BR",db="js1"}`:   9007199254740991,
		`js_air_rain{city="São Paulo, BR",db="js1"}`:    1,
		`js_sea_depth{unit="m s",site="a=b",db="js2"}`:  21.125,
		`js_sea_count{unit="m s",site="a=b",db="js2"}`:  -3,
		`js_sea_big{unit="m s",site="a=b",db="js2"}`:    4,
		`js_sea_wet{unit="m s",site="a=b",db="js2"}`:    0,
		`py_air_celsius{city="Bergen, NO",db="py1"}`:    0.1,
		`py_air_drops{city="Bergen, NO",db="py1"}`:      7,
		`py_air_rain{city="Bergen, NO",db="py1"}`:       1,
	}
	for selector, want := range known {
		if rows := queryVector(t, client, s.url(), selector, at); len(rows) != 1 || rows[0].Value.v != want {
			t.Errorf("%s = %v, want %v", selector, rows, want)
		}
	}
	if rows := queryVector(t, client, s.url(), `{__name__=~"(js|py)_.+"}`, at); len(rows) != len(known) {
		t.Errorf("%d series, want %d: %v", len(rows), len(known), rows)
	}
	s.stop(t)
	s.check(t)
}
