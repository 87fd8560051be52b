package ingest

import (
	"maps"
	"slices"
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/influx"
	"tsdb/storage"
)

// A write of InfluxDB 3: the form of its answers, and what is stored.
func TestInflux3Writes(t *testing.T) {
	good := map[string]float64{`{__name__="m_v", db="d"}`: 1}
	for _, c := range []struct {
		name, query, body string
		code              int
		says              string
		want              map[string]float64
	}{
		{"plain", "", "m v=1 " + ns, 204, "", good},
		{"string fields are no error", "&accept_partial=false", "m v=1,s=\"x\" " + ns, 204, "", good},
		{"seconds by size", "", "m v=1 " + ns[:10], 204, "", map[string]float64{}},
		{"milliseconds by size", "&precision=auto", "m v=1 " + ns[:13], 204, "", good},
		{"microseconds by size", "&precision=auto", "m v=1 " + ns[:16], 204, "", good},
		{"milliseconds", "&precision=millisecond&no_sync=true", "m v=1 " + ns[:13], 204, "", good},
		{"an unknown precision", "&precision=minute", "m v=1", 400, `{"error":"unrecognized precision unit: minute"}`, map[string]float64{}},
		{"not a boolean", "&accept_partial=maybe", "m v=1", 400, `{"error":"invalid parameter \"accept_partial\": want true or false, got \"maybe\""}`, map[string]float64{}},
		{"bad lines among good ones", "", "# c\n\nm v=1 " + ns + "\nm v=x\n" + `long_measurement_name,ö=ü v="` + "\n", 400,
			`{"error":"partial write of line protocol occurred","data":[{"error_message":"invalid number","line_number":4,"original_line":"m v=x"},` +
				`{"error_message":"unbalanced quotes","line_number":5,"original_line":"long_measurement_nam"}]}`, good},
		{"a point outside retention", "", "m v=1 " + ns + "\nm v=2 1", 400, `{"error":"partial write of line protocol occurred","data":[{"error_message":"`, good},
		{"no partial write: a bad line", "&accept_partial=false", "m v=1 " + ns + "\nm v=x", 400,
			`{"error":"line protocol parsing error","data":{"error_message":"invalid number","line_number":2,"original_line":"m v=x"}}`, map[string]float64{}},
		{"no partial write: a bad label", "&accept_partial=false", "m v=1 " + ns + "\nm,a=b,a=c v=1", 400,
			`{"error":"line protocol parsing error","data":{"error_message":"duplicate tags","line_number":2,"original_line":"m,a=b,a=c v=1"}}`, map[string]float64{}},
		{"no partial write: a point outside retention", "&accept_partial=false", "m v=1 " + ns + "\nm v=2 1", 400,
			`{"error":"line protocol parsing error","data":{"error_message":"the time of the point`, map[string]float64{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t)
			for range 2 { // series not known, then known
				a := d.do("POST", "/api/v3/write_lp?db=d"+c.query, []byte(c.body))
				if a.code != c.code || len(a.body) < len(c.says) || a.body[:len(c.says)] != c.says {
					t.Fatalf("got %d %s, want %d %s", a.code, a.body, c.code, c.says)
				}
			}
			got := map[string]float64{}
			for series, samples := range d.storedFloats() {
				for at, v := range samples {
					if at == base {
						got[series] = v
					}
				}
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("stored %v, want %v", got, c.want)
			}
		})
	}
	d := openDoor(t)
	if a := d.do("GET", "/api/v3/write_lp", nil); a.code != 405 || a.body != `{"error":"method not allowed"}` {
		t.Errorf("GET: %d %s", a.code, a.body)
	}
}

func TestInfluxNaming(t *testing.T) {
	for _, c := range []struct {
		name   string
		naming influx.Naming
		line   string
		want   []string // nil = refused
	}{
		{"default", influx.DefaultNaming, "cpu-x,h.n=a value=1,load.1=2 ", []string{`{__name__="cpu-x_load.1", "h.n"="a"}`, `{__name__="cpu-x_value", "h.n"="a"}`}},
		{"separator", influx.Naming{Separator: "."}, "cpu value=1 ", []string{`{__name__="cpu.value"}`}},
		{"no separator", influx.Naming{}, "cpu value=1 ", []string{`{__name__="cpuvalue"}`}},
		{"bare value", influx.Naming{Separator: "_", BareValue: true}, "cpu value=1,values=2 ", []string{`{__name__="cpu"}`, `{__name__="cpu_values"}`}},
		{"Prometheus", influx.Naming{Separator: ".", Names: door.NamesUnderscores}, `1cpu:a-ö,h.n=ü.x,2x=y load.1=1 `,
			[]string{`{_2x="y", __name__="_1cpu:a___load_1", h_n="ü.x"}`}},
		{"Prometheus: tags have no colons", influx.Naming{Separator: "_", Names: door.NamesUnderscores}, `m,a:b=c v=1 `, []string{`{__name__="m_v", a_b="c"}`}},
		{"Prometheus, bare value", influx.Naming{Separator: "_", Names: door.NamesUnderscores, BareValue: true}, `c\ p value=1 `, []string{`{__name__="c_p"}`}},
		{"Prometheus: tags that become equal", influx.Naming{Separator: "_", Names: door.NamesUnderscores}, `m,a.b=c,a-b=d v=1 `, nil},
		{"Prometheus: a tag that becomes reserved", influx.Naming{Separator: "_", Names: door.NamesUnderscores}, `m,__name.-=c v=1 `, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t, func(o *Options, _ *storage.Options) { o.InfluxNaming = &c.naming })
			for range 2 {
				if a := d.lines(c.line + ns); (a.code == 204) != (c.want != nil) {
					t.Fatalf("got %d %s", a.code, a.body)
				}
			}
			if got := d.storedSeries(); !slices.Equal(got, c.want) {
				t.Errorf("stored %v, want %v", got, c.want)
			}
		})
	}
}
