package ingest

import (
	"maps"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/api/ingest/doortest"
	"tsdb/internal/model"
	"tsdb/storage"
)

func (d *server) metadata() map[string][]model.Metadata {
	d.t.Helper()
	v, err := d.db.View()
	if err != nil {
		d.t.Fatal(err)
	}
	defer v.Release()
	m, _, err := v.Metadata(d.t.Context(), model.DefaultTenant, "")
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

func TestRemoteWrite1AcceptsMetadataWithoutSeries(t *testing.T) {
	d := openDoor(t)
	q := &prompb.WriteRequest{Metadata: []prompb.MetricMetadata{
		{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "requests_total", Help: "Requests.", Unit: "requests"},
		{Type: prompb.MetricMetadata_GAUGEHISTOGRAM, MetricFamilyName: "g", Help: "Größe"},
		{MetricFamilyName: "u"},
		{Type: prompb.MetricMetadata_MetricType(77), MetricFamilyName: "strange"},
		{Type: prompb.MetricMetadata_INFO, Help: "of no metric"},
	}}
	if a := d.write1(q); a.code != 204 {
		t.Fatalf("got %d %q", a.code, a.body)
	}
	want := map[string][]model.Metadata{
		"requests_total": {{Type: "counter", Unit: "requests", Help: "Requests."}},
		"g":              {{Type: "gaugehistogram", Help: "Größe"}},
		"u":              {{Type: "unknown"}},
		"strange":        {{Type: "unknown"}},
	}
	if got := d.metadata(); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("stored %v, want %v", got, want)
	}
	if len(d.stored()) != 0 {
		t.Errorf("metadata made series: %v", d.storedSeries())
	}
}

func TestRemoteWrite2MetadataOfSeries(t *testing.T) {
	d := openDoor(t)
	b := doortest.NewBuilder2()
	add := func(kind writev2.Metadata_MetricType, unit, help, name string) {
		b.Add(writev2.TimeSeries{
			Samples:  []writev2.Sample{{Timestamp: base, Value: 1}},
			Metadata: writev2.Metadata{Type: kind, UnitRef: b.Refs(unit)[0], HelpRef: b.Refs(help)[0]},
		}, "__name__", name)
	}
	add(writev2.Metadata_METRIC_TYPE_COUNTER, "requests", "Requests.", "requests_total")
	add(writev2.Metadata_METRIC_TYPE_HISTOGRAM, "seconds", "Latency.", "latency_bucket")
	add(writev2.Metadata_METRIC_TYPE_HISTOGRAM, "seconds", "Latency.", "latency_count")
	add(writev2.Metadata_METRIC_TYPE_SUMMARY, "", "Sizes.", "sizes_sum")
	add(writev2.Metadata_METRIC_TYPE_UNSPECIFIED, "", "", "nothing_said")
	add(writev2.Metadata_METRIC_TYPE_UNSPECIFIED, "", "Help alone.", "helped")
	want := map[string][]model.Metadata{
		"requests_total": {{Type: "counter", Unit: "requests", Help: "Requests."}},
		"latency":        {{Type: "histogram", Unit: "seconds", Help: "Latency."}},
		"sizes":          {{Type: "summary", Help: "Sizes."}},
		"helped":         {{Type: "unknown", Help: "Help alone."}},
	}
	for range 3 { // cached or not, the response is the same
		if a := d.write2(b.Request()); a.code != 204 {
			t.Fatalf("got %d %q", a.code, a.body)
		}
		if got := d.metadata(); !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("stored %v, want %v", got, want)
		}
	}
	b = doortest.NewBuilder2()
	add(writev2.Metadata_METRIC_TYPE_GAUGE, "requests", "Requests, now.", "requests_total")
	if a := d.write2(b.Request()); a.code != 204 {
		t.Fatalf("got %d %q", a.code, a.body)
	}
	if got := d.metadata()["requests_total"]; !slices.Equal(got, []model.Metadata{{Type: "gauge", Unit: "requests", Help: "Requests, now."}}) {
		t.Errorf("newer metadata: %v", got)
	}
}

// Rules that rename a metric by its name rename its metadata, at every door.
func TestMetadataAreRelabelled(t *testing.T) {
	d := openDoor(t, func(o *Options, _ *storage.Options) {
		o.Rules.Relabel = rules(t, "[{source_labels: [__name__], regex: 'old_(.*)', target_label: __name__, replacement: 'new_$1'}]")
	})
	if a := d.do("POST", "/api/v1/import/prometheus", []byte("# HELP old_a Help.\n# TYPE old_a counter\nold_a_total 1\n# TYPE b gauge\nb 2\n")); a.code != 204 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	all := d.metadata()
	if len(all) != 2 || len(all["new_a"]) != 1 || all["new_a"][0].Help != "Help." || len(all["b"]) != 1 {
		t.Errorf("%v", all)
	}
}
