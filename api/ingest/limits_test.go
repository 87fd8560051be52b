package ingest

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"tsdb/api/ingest/appender"
	"tsdb/api/ingest/csv"
	"tsdb/api/ingest/datadog"
	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/api/ingest/graphite"
	"tsdb/api/ingest/influx"
	"tsdb/api/ingest/jsonlines"
	"tsdb/api/ingest/opentsdb"
	"tsdb/api/ingest/otlp"
	"tsdb/api/ingest/remotewrite"
	"tsdb/api/ingest/rpcwrite"
	"tsdb/api/ingest/text"
	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

// form is a way to send a sample of a series in the middle of the retention, whose labels are
// names and values, the metric first.
type form struct {
	name, door string
	send       func(d *server, at int64, pairs ...string)
}

// forms returns one for each protocol and encoding. Of the answers their own tests tell.
func forms() []form {
	// joined returns the labels but the metric, each written in a format.
	joined := func(pairs []string, format, separator string) string {
		var all []string
		for i := 2; i < len(pairs); i += 2 {
			all = append(all, fmt.Sprintf(format, pairs[i], pairs[i+1]))
		}
		return strings.Join(all, separator)
	}
	post := func(path, contentType string, body func(at int64, pairs []string) string) func(*server, int64, ...string) {
		return func(d *server, at int64, pairs ...string) {
			d.do("POST", path, []byte(body(at, pairs)), "Content-Type", contentType)
		}
	}
	gauge := func(at int64, pairs []string) pmetric.Metrics {
		md := pmetric.NewMetrics()
		m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName(pairs[1])
		p := m.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.Timestamp(at * 1e6))
		p.SetDoubleValue(1)
		for i := 2; i < len(pairs); i += 2 {
			p.Attributes().PutStr(pairs[i], pairs[i+1])
		}
		return md
	}
	return []form{
		{"remote write 1", remotewrite.DoorName, func(d *server, at int64, pairs ...string) {
			d.write1(doortest.Request1(doortest.Sample1(at, 1, pairs...)))
		}},
		{"remote write 2", remotewrite.DoorName, func(d *server, at int64, pairs ...string) {
			d.write2(doortest.NewBuilder2().Sample(at, 1, pairs...).Request())
		}},
		{"line protocol", influx.DoorName, func(d *server, at int64, pairs ...string) {
			d.lines(strings.TrimSuffix(pairs[1]+","+joined(pairs, "%s=%s", ","), ",") + fmt.Sprintf(" v=1 %d", at*1e6))
		}},
		{"JSON lines", jsonlines.DoorName, post("/api/v1/import", "", func(at int64, pairs []string) string {
			return fmt.Sprintf(`{"metric":{%s},"values":[1],"timestamps":[%d]}`, joined(append([]string{"", ""}, pairs...), "%q:%q", ","), at)
		})},
		{"text", text.DoorName, post(textPath, "", func(at int64, pairs []string) string {
			return fmt.Sprintf("%s{%s} 1 %d\n", pairs[1], joined(pairs, "%s=%q", ","), at)
		})},
		{"CSV", csv.DoorName, func(d *server, at int64, pairs ...string) {
			format, line := "1:metric:"+pairs[1]+",2:time:unix_ms", fmt.Sprintf("1,%d", at)
			for i := 2; i < len(pairs); i += 2 {
				format += fmt.Sprintf(",%d:label:%s", i/2+2, pairs[i])
				line += "," + pairs[i+1]
			}
			d.do("POST", "/api/v1/import/csv?format="+format, []byte(line))
		}},
		{"OTLP", otlp.DoorName, func(d *server, at int64, pairs ...string) {
			d.do("POST", "/v1/metrics", otlpRequest(d.t, gauge(at, pairs)), "Content-Type", "application/x-protobuf")
		}},
		{"OTLP in JSON", otlp.DoorName, func(d *server, at int64, pairs ...string) {
			b, err := pmetricotlp.NewExportRequestFromMetrics(gauge(at, pairs)).MarshalJSON()
			if err != nil {
				d.t.Fatal(err)
			}
			d.do("POST", "/v1/metrics", b, "Content-Type", "application/json")
		}},
		{"OpenTSDB", opentsdb.DoorName, post("/api/put", "", func(at int64, pairs []string) string {
			return fmt.Sprintf(`{"metric":%q,"timestamp":%d,"value":1,"tags":{%s}}`, pairs[1], at, joined(pairs, "%q:%q", ","))
		})},
		{"DataDog", datadog.DoorName, post("/datadog/api/v1/series", "application/json", func(at int64, pairs []string) string {
			return fmt.Sprintf(`{"series":[{"metric":%q,"points":[[%d,1]],"tags":[%s]}]}`, pairs[1], at/1000, joined(pairs, `"%s:%s"`, ","))
		})},
		{"DataDog, message", datadog.DoorName, post("/api/v2/series", "application/x-protobuf", func(at int64, pairs []string) string {
			point := binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, math.Float64bits(1))
			series := field(nil, 2, []byte(pairs[1]))
			for i := 2; i < len(pairs); i += 2 {
				series = field(series, 3, []byte(pairs[i]+":"+pairs[i+1]))
			}
			return string(field(nil, 1, field(series, 4, binary.AppendUvarint(append(point, 2<<3), uint64(at/1000)))))
		})},
		{"Graphite", graphite.DoorName, func(d *server, at int64, pairs ...string) {
			line := strings.TrimSuffix(pairs[1]+";"+joined(pairs, "%s=%s", ";"), ";")
			if _, err := d.in.graphite.StoreLines(d.t.Context(), fmt.Appendf(nil, "%s 1 %d\n", line, at/1000), nil); err != nil {
				d.t.Fatal(err)
			}
		}},
		{"gRPC", rpcwrite.DoorName, func(d *server, at int64, pairs ...string) {
			send, _ := openWrite(d.t, d.rpcClient())
			if _, err := send(&tsdbv1.WriteRequest{Sequence: 1, Series: []*tsdbv1.SeriesSamples{{Labels: rpcLabels(pairs...), TimesMs: []int64{at}, Values: []float64{1}}}}); err != nil {
				d.t.Fatal(err)
			}
		}},
		{"scrape", appender.DoorName, func(d *server, at int64, pairs ...string) {
			a := d.in.Appendable().AppenderV2(d.t.Context())
			if _, err := a.Append(0, labels.FromStrings(pairs...), 0, at, 1, nil, nil, promstorage.AOptions{}); err != nil {
				d.t.Fatal(err)
			}
			if err := a.Commit(); err != nil {
				d.t.Fatal(err)
			}
		}},
	}
}

// refusalsOf returns the number of samples that a door has refused for a reason, and the
// detail of the last.
func (d *server) refusalsOf(door, reason string) (samples int, detail string) {
	for _, x := range d.in.shared.Rejected.List() {
		if x.Door == door && x.Reason == reason {
			return int(x.Samples), x.Last[0].Detail
		}
	}
	return 0, ""
}

// TestDoorsHaveAForm: the table has all doors.
func TestDoorsHaveAForm(t *testing.T) {
	for _, door := range Doors() {
		if !slices.ContainsFunc(forms(), func(f form) bool { return f.door == door }) {
			t.Errorf("door %s has no form", door)
		}
	}
}

// TestLimitsOfLabelsHaveOneWording sends a series beyond each limit through every door, and
// one below them.
func TestLimitsOfLabelsHaveOneWording(t *testing.T) {
	pairs := []string{"__name__", "m"}
	for i := range 128 {
		pairs = append(pairs, fmt.Sprintf("a%03d", i), "x")
	}
	long := strings.Repeat("x", 16<<10+1)
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			d := openDoor(t)
			for i, c := range []struct {
				pairs []string
				says  string
			}{
				{pairs, "series has 129 labels, limit is 128 (--limit.labels)"},
				{[]string{"__name__", "m", long, "x"}, "label name of 16385 bytes, limit is 1024 (--limit.label-name)"},
				{[]string{"__name__", "m", "a", long}, `value of label "a" has 16385 bytes, limit is 16384 (--limit.label-value)`},
			} {
				f.send(d, base, c.pairs...)
				if n, detail := d.refusalsOf(f.door, string(storage.ReasonLimit)); n != i+1 || !strings.Contains(detail, c.says) {
					t.Errorf("%d refused, the last: %.300s, want %q", n, detail, c.says)
				}
			}
			if got := d.storedSeries(); len(got) != 0 {
				t.Errorf("%d series are stored", len(got))
			}
			f.send(d, base, "__name__", "m", "a", "b")
			if got := d.storedSeries(); len(got) != 1 || !strings.Contains(got[0], `a="b"`) {
				t.Errorf("stored %v", got)
			}
		})
	}
}

// TestLimitsOfSeriesHaveOneWording: beyond its limits of active and of new series a door
// refuses further ones, and those it has go on.
func TestLimitsOfSeriesHaveOneWording(t *testing.T) {
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			d := openDoor(t)
			f.send(d, base, "__name__", "m", "a", "b")
			known := d.storedSeries()
			for i, c := range []struct {
				rules  door.DoorRules
				reason storage.Reason
				says   string
			}{
				{door.DoorRules{Series: 1}, storage.ReasonSeriesLimit, "the door has 1 active series, limit is 1 (limit.series of doors: " + f.door + ")"},
				{door.DoorRules{NewPerHour: 1}, storage.ReasonChurnLimit, "1 series of the door were new in the last hour, limit is 1 (limit.new-series of doors: " + f.door + ")"},
			} {
				d.in.SetRules(door.Rules{Doors: map[string]door.DoorRules{f.door: c.rules}})
				for k := range 2 { // whether its alias is known or not
					f.send(d, base, "__name__", "m", "a", "new")
					if n, detail := d.refusalsOf(f.door, string(c.reason)); n != k+1 || !strings.Contains(detail, c.says) {
						t.Errorf("%d refused, the last: %.300s, want %q", n, detail, c.says)
					}
					f.send(d, base+int64(1+2*i+k)*1000, "__name__", "m", "a", "b")
				}
			}
			if got := d.storedSeries(); len(known) != 1 || !slices.Equal(got, known) {
				t.Errorf("stored %v, want %v", got, known)
			}
			for series, samples := range d.stored() {
				if samples.Len() != 5 {
					t.Errorf("%s: %d samples, want 5", series, samples.Len())
				}
			}
		})
	}
}

// TestDoorsWriteTheSeriesOfTheirTenant writes the same line for two tenants.
func TestDoorsWriteTheSeriesOfTheirTenant(t *testing.T) {
	d := openDoor(t, func(_ *Options, so *storage.Options) { so.Tenants = map[string]uint32{"other": 7} })
	d.lines("m v=1 " + ns)
	o := Options{DB: func() (*storage.DB, error) { return d.db, nil }, Tenant: "other", Seed: 42, Clock: d.clock}
	other := http.NewServeMux()
	New(o).Register(other)
	if a := do(t, other, "POST", "/write", []byte("m v=2 "+ns)); a.code != 204 {
		t.Fatal(a)
	}
	v, err := d.db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	for tenant, want := range map[uint32]float64{model.DefaultTenant: 1, 7: 2} {
		set, err := v.Select(t.Context(), tenant, model.AllTime, anyName())
		if err != nil || set.Len() != 1 {
			t.Fatalf("tenant %d: %v", tenant, err)
		}
		var samples model.Samples
		if err := set.At(0).Samples(t.Context(), model.AllTime, &samples); err != nil || samples.Len() != 1 || samples.V[0] != want {
			t.Errorf("tenant %d: %v, %v", tenant, samples.V, err)
		}
	}
}

// TestTreesOfJSONAreBounded: a small body of many values is refused in the protocol's
// form, also when it is alone.
func TestTreesOfJSONAreBounded(t *testing.T) {
	d := openDoor(t)
	zeros := strings.Repeat("0,", 1_300_000) + "0]"
	for path, c := range map[string]struct{ body, want string }{
		"/api/put":       {"[" + zeros, `{"error":{"code":413,"message":"request body too large: its JSON values take `},
		"/api/v2/series": {`{"series":[` + zeros + `}`, `{"errors":["request body too large: its JSON values take `},
		"/v1/metrics":    {`{"resourceMetrics":[` + zeros + `}`, `"message":"request body too large: its JSON values take `},
	} {
		if a := d.do("POST", path, []byte(c.body), "Content-Type", "application/json"); a.code != 413 || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d %s", path, a.code, a.body)
		}
	}
}
