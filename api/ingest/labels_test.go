package ingest

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/api/ingest/doortest"
)

// TestRemoteWriteLabels runs each case through both versions, which accept the same
// labels.
func TestRemoteWriteLabels(t *testing.T) {
	at := func(pairs ...string) []string { return pairs }
	for _, c := range []struct {
		name   string
		labels []string
		want   string // series stored, empty = refused
		says   string // why not
	}{
		{name: "sorted", labels: at("__name__", "m", "a", "1", "b", "2"), want: `{__name__="m", a="1", b="2"}`},
		{name: "unsorted", labels: at("b", "2", "__name__", "m", "a", "1"), want: `{__name__="m", a="1", b="2"}`},
		{name: "name only", labels: at("__name__", "m"), want: `{__name__="m"}`},
		{name: "UTF-8 names", labels: at("__name__", "resource.cpu.usage", "job.name", "x", "resource cpu", "y"), want: `{__name__="resource.cpu.usage", "job.name"="x", "resource cpu"="y"}`},
		{name: "newline and emoji", labels: at("__name__", "m", "a", "x\ny🙂"), want: "{__name__=\"m\", a=\"x\\ny🙂\"}"},
		{name: "empty value is dropped", labels: at("__name__", "m", "a", "", "b", "2"), want: `{__name__="m", b="2"}`},
		{name: "no name", labels: at("a", "1"), says: `invalid metric name or labels, got {a="1"}`},
		{name: "empty name", labels: at("__name__", "", "a", "1"), says: "invalid metric name or labels, got {"},
		{name: "no labels", says: "invalid metric name or labels, got {}"},
		{name: "duplicate", labels: at("__name__", "m", "a", "1", "a", "1"), says: "duplicated label a"},
		{name: "duplicate with another value", labels: at("__name__", "m", "b", "1", "a", "1", "b", "2"), says: "duplicated label b"},
		{name: "two names", labels: at("__name__", "m", "__name__", "n"), says: "duplicated label __name__"},
		{name: "invalid UTF-8 in a value", labels: at("__name__", "m", "a", "\xff\xfe"), says: "invalid metric name or labels"},
		{name: "invalid UTF-8 in a name", labels: at("__name__", "m", "a\xff", "1"), says: "invalid metric name or labels"},
		{name: "invalid UTF-8 in the metric", labels: at("__name__", "m\xff"), says: "invalid metric name or labels"},
		{name: "empty label name", labels: at("__name__", "m", "", "1"), says: "invalid metric name or labels"},
		{name: "value too long", labels: at("__name__", "m", "a", strings.Repeat("x", 16<<10+1)), says: "limit is 16384"},
		{name: "longest value", labels: at("__name__", "m", "a", strings.Repeat("x", 16<<10)), want: `{__name__="m", a="` + strings.Repeat("x", 16<<10) + `"}`},
		{name: "name too long", labels: at("__name__", "m", strings.Repeat("x", 1<<10+1), "1"), says: "limit is 1024"},
	} {
		check := func(version string, send func(d *server) answer) {
			t.Run(c.name+"/"+version, func(t *testing.T) {
				d := openDoor(t)
				a := send(d)
				if c.want == "" {
					if a.code != 400 || !strings.Contains(a.body, c.says) || !strings.Contains(a.body, "1 written, 1 refused") {
						t.Errorf("got %d %q, want 400 with %q", a.code, a.body, c.says)
					}
					if strings.Contains(a.body, "\n") || len(a.body) > 4<<10 {
						t.Errorf("the text is not a short line: %q", a.body)
					}
				} else if a.code != 204 {
					t.Errorf("got %d %q, want 204", a.code, a.body)
				}
				want := []string{`{__name__="good"}`}
				if c.want != "" {
					want = append(want, c.want)
				}
				slices.Sort(want)
				if got := d.storedSeries(); !slices.Equal(got, want) {
					t.Errorf("stored %v, want %v", got, want)
				}
				if c.want != "" {
					if got := d.storedFloats()[c.want]; !maps.Equal(got, map[int64]float64{base: 7}) {
						t.Errorf("samples %v", got)
					}
				}
			})
		}
		check("1", func(d *server) answer {
			return d.write1(doortest.Request1(doortest.Sample1(base, 7, c.labels...), doortest.Sample1(base, 1, "__name__", "good")))
		})
		check("2", func(d *server) answer {
			return d.write2(doortest.NewBuilder2().Sample(base, 7, c.labels...).Sample(base, 1, "__name__", "good").Request())
		})
	}
}

func TestRemoteWrite2BadReferencesCostTheirSeries(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*writev2.Request)
		says string
	}{
		{"odd number", func(q *writev2.Request) { q.Timeseries[0].LabelsRefs = q.Timeseries[0].LabelsRefs[:3] }, "invalid labelRefs length 3"},
		{"name beyond the symbols", func(q *writev2.Request) { q.Timeseries[0].LabelsRefs[0] = 99 }, "outside of symbols table"},
		{"value beyond the symbols", func(q *writev2.Request) { q.Timeseries[0].LabelsRefs[3] = uint32(len(q.Symbols)) }, "outside of symbols table"},
		{"largest number", func(q *writev2.Request) { q.Timeseries[0].LabelsRefs[1] = math.MaxUint32 }, "outside of symbols table"},
		{"help beyond the symbols", func(q *writev2.Request) { q.Timeseries[0].Metadata.HelpRef = 99 }, "parsing metadata"},
		{"unit beyond the symbols", func(q *writev2.Request) { q.Timeseries[0].Metadata.UnitRef = 99 }, "parsing metadata"},
		{"no samples", func(q *writev2.Request) { q.Timeseries[0].Samples = nil }, `TimeSeries must contain at least one sample or histogram for series {__name__="m", a="1"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t)
			q := doortest.NewBuilder2().Sample(base, 1, "__name__", "m", "a", "1").Sample(base, 2, "__name__", "good").Request()
			c.edit(q)
			a := d.write2(q)
			if a.code != 400 || !strings.Contains(a.body, c.says) || a.written(t)[0] != "1" {
				t.Errorf("got %d %q, written %v, want 400 with %q", a.code, a.body, a.written(t), c.says)
			}
			if got := d.storedSeries(); !slices.Equal(got, []string{`{__name__="good"}`}) {
				t.Errorf("stored %v", got)
			}
		})
	}
	t.Run("first symbol not empty", func(t *testing.T) {
		d := openDoor(t)
		q := &writev2.Request{Symbols: []string{"__name__", "m"}, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{0, 1}, Samples: []writev2.Sample{{Timestamp: base, Value: 1}}}}}
		if a := d.write2(q); a.code != 204 || !slices.Equal(d.storedSeries(), []string{`{__name__="m"}`}) {
			t.Errorf("got %d %q, stored %v", a.code, a.body, d.storedSeries())
		}
	})
	t.Run("created timestamp of older senders", func(t *testing.T) {
		d := openDoor(t)
		q := doortest.NewBuilder2().Sample(base, 1, "__name__", "m").Request()
		q.Timeseries[0].XXX_unrecognized = []byte{6 << 3, 0x80, 0x01}
		if a := d.write2(q); a.code != 204 || len(d.stored()) != 1 {
			t.Errorf("got %d %q", a.code, a.body)
		}
	})
}
