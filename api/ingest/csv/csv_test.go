package csv

import (
	"bytes"
	stdcsv "encoding/csv"
	"strings"
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/storage"
)

const fleetFormat = "1:time:unix_ms,2:label:instance,3:label:job,5:metric:load,4:metric:free"

func acquire(t testing.TB, s door.Store, text string) *door.Request[*decoder] {
	t.Helper()
	q := doortest.Acquire(t, New(doortest.NewShared(s)).door)
	var err error
	if q.Decoder.format, err = parseFormat(text); err != nil {
		t.Fatal(err)
	}
	return q
}

func step(t testing.TB) func(door.Store) doortest.Step { return stepOf(t, fleetFormat) }

func stepOf(t testing.TB, format string) func(door.Store) doortest.Step {
	return func(s door.Store) doortest.Step {
		q := acquire(t, s, format)
		f := q.Decoder.format
		return func(body []byte) {
			q.Decoder.src, q.Decoder.format = body, f
			r, err := q.Store(t.Context())
			doortest.CheckStored(t, r, err)
			q.Decoder.Release()
		}
	}
}

func TestKnownSeriesAllocateNothing(t *testing.T) {
	doortest.KnownSeriesAllocateNothing(t, doortest.FleetCSV(doortest.FleetSamples)[0], step(t))
}

func TestParseFormat(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "it names the columns",
		"1:label:a":                      "no column is a metric",
		"1:metric":                       "want POSITION:TYPE:CONTEXT",
		"0:metric:m":                     "position 0",
		"1001:metric:m":                  "position 1001",
		"x:metric:m":                     "want POSITION:TYPE:CONTEXT",
		"1:tag:m":                        "want metric, label or time",
		"1:time:unix,2:metric:m":         `time "unix"`,
		"1:time:unix_s,2:time:unix_s":    "two columns are times",
		"1:metric:m,2:time:custom:":      "custom:LAYOUT",
		"1:metric:":                      "want POSITION:TYPE:CONTEXT",
		strings.Repeat("1:metric:m,", 3): "want POSITION:TYPE:CONTEXT",
	} {
		if _, err := parseFormat(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestTimes(t *testing.T) {
	f := func(form, text string, want int64, ok bool) {
		t.Helper()
		if ms, good := timeParser(form)([]byte(text)); good != ok || ok && ms != want {
			t.Errorf("%s %q: %d %v, want %d %v", form, text, ms, good, want, ok)
		}
	}
	f("unix_s", "1700000000", 1_700_000_000_000, true)
	f("unix_s", "1700000000.5", 1_700_000_000_500, true)
	f("unix_s", "-1", -1000, true)
	f("unix_s", "9223372036854775807", 0, false)
	f("unix_ms", "1700000000123", 1_700_000_000_123, true)
	f("unix_us", "1700000000123456", 1_700_000_000_123, true)
	f("unix_ns", "1700000000123456789", 1_700_000_000_123, true)
	f("unix_ns", "-1", -1, true)
	f("rfc3339", "2023-11-14T22:13:20.25Z", 1_700_000_000_250, true)
	f("rfc3339", "2023-11-14", 0, false)
	f("custom:2006-01-02 15:04", "2023-11-14 22:13", 1_699_999_980_000, true)
	f("unix_s", "", 0, false)
	f("unix_s", "NaN", 0, false)
}

// Lines with the same labels have the same series, wherever the labels are, and others
// have others.
func TestAliases(t *testing.T) {
	for _, format := range []string{"1:label:a,2:label:b,3:metric:m,4:metric:n", "2:label:b,1:label:a,3:metric:m,4:metric:n", "1:label:a,4:label:b,2:metric:m,3:metric:n", "3:metric:m,1:label:a,2:label:b,4:metric:n"} {
		m := doortest.NewMemory()
		q := acquire(t, m, format)
		lines := "x,y,1,2\nx,y,3,4\nxy,,1,2\n,xy,1,2\nx,y\n\"x,y\",,1,2\n"
		if strings.Contains(format, "4:label") {
			lines = "x,1,2,y\nx,3,4,y\nxy,1,2,\n,1,2,xy\nx,,,y\n\"x,y\",1,2,\n"
		}
		q.Decoder.src = []byte(lines)
		if err := doortest.Twice(t, m, func() (storage.Receipt, error) { return q.Store(t.Context()) }); err != nil {
			t.Fatal(err)
		}
		if n := len(m.Series); n != 8 {
			t.Errorf("%s: %d series, want 8: %v", format, n, m.Series)
		}
	}
}

// FuzzLines: any line gives the first fields that encoding/csv gives, if that takes it,
// and decodes alike with known and new series.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"1,a,b,2,3", `1,"a,b","c""d",2,3`, "1,a", ",,,,", `1,"a"x,b,2,3`, `1,"a`, "1,a,b,,3\r\n2,a,b,x,4\n", "1, a ,b, 2 ,\"3\"", strings.Repeat(",", 2*maxColumns)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		m := doortest.NewMemory()
		q := acquire(t, m, fleetFormat)
		q.Decoder.src = src
		if err := doortest.Twice(t, m, func() (storage.Receipt, error) { return q.Store(t.Context()) }); err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(src, "\r\n") || len(src) == 0 {
			return
		}
		want, err := stdcsv.NewReader(bytes.NewReader(src)).Read()
		if err != nil {
			return
		}
		want = want[:min(len(want), maxColumns)]
		fields, ok := Split(nil, src, maxColumns)
		if !ok || len(fields) != len(want) {
			t.Fatalf("%q: %q, encoding/csv has %q", src, fields, want)
		}
		for i := range want {
			if string(Content(fields[i])) != want[i] {
				t.Fatalf("%q: field %d is %q, encoding/csv has %q", src, i, fields[i], want[i])
			}
		}
	})
}

// The memory of new series does not become garbage with each of them.
func TestNewSeriesAllocateNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector allocates")
	}
	for _, metrics := range []int{2, 500} {
		format, bodies := wide(metrics, doortest.FleetSamples)
		f, err := parseFormat(format)
		if err != nil {
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(10, func() {
			q := doortest.Acquire(t, New(doortest.NewShared(doortest.NewTable(doortest.FleetSamples))).door)
			q.Decoder.src, q.Decoder.format = bodies[0], f
			r, err := q.Store(t.Context())
			doortest.CheckStored(t, r, err)
		})
		if n > doortest.FleetSamples/5 {
			t.Errorf("%v allocations for %d new series, %d of a line", n, doortest.FleetSamples, metrics)
		}
	}
}
