package ingest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tsdb/api/ingest/doortest"
	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

// TestLimitsOfLabelsHaveOneWording sends a series beyond each limit through every
// door.
func TestLimitsOfLabelsHaveOneWording(t *testing.T) {
	pairs := []string{"__name__", "m"}
	for i := range 128 {
		pairs = append(pairs, fmt.Sprintf("a%03d", i), "x")
	}
	long := strings.Repeat("x", 16<<10+1)
	for _, c := range []struct {
		pairs []string
		says  string
	}{
		{pairs, "series has 129 labels, limit is 128 (--limit.labels)"},
		{[]string{"__name__", "m", long, "x"}, "label name of 16385 bytes, limit is 1024 (--limit.label-name)"},
		{[]string{"__name__", "m", "a", long}, `value of label "a" has 16385 bytes, limit is 16384 (--limit.label-value)`},
	} {
		d := openDoor(t)
		line := "m"
		for i := 2; i < len(c.pairs); i += 2 {
			line += "," + c.pairs[i] + "=" + c.pairs[i+1]
		}
		for door, a := range map[string]answer{
			"remote write 1": d.write1(doortest.Request1(doortest.Sample1(base, 1, c.pairs...))),
			"remote write 2": d.write2(doortest.NewBuilder2().Sample(base, 1, c.pairs...).Request()),
			"influx":         d.lines(line + " v=1 " + ns),
		} {
			if a.code != 400 || !strings.Contains(strings.ReplaceAll(a.body, `\"`, `"`), c.says) {
				t.Errorf("%s: %d %.300s, want %q", door, a.code, a.body, c.says)
			}
		}
		client, _ := serveRPC(t, d.in)
		send, _ := openWrite(t, client)
		r, err := send(&tsdbv1.WriteRequest{Sequence: 1, Series: []*tsdbv1.SeriesSamples{{Labels: rpcLabels(c.pairs...), TimesMs: []int64{base}, Values: []float64{1}}}})
		if err != nil || len(r.Rejected) != 1 || !strings.Contains(r.Rejected[0].Example, c.says) {
			t.Errorf("gRPC: %v, %v, want %q", r, err, c.says)
		}
		if n := len(d.stored()); n != 0 {
			t.Errorf("%d series are stored", n)
		}
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
