package ingest

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/api/ingest/doortest"
	"tsdb/internal/model"
)

func TestRemoteWriteExemplars(t *testing.T) {
	long := strings.Repeat("x", 128)
	for _, c := range []struct {
		name   string
		labels []string
		want   string // labels stored, "-" = refused
	}{
		{"with labels", []string{"trace_id", "abc", "b", "2"}, `{b="2", trace_id="abc"}`},
		{"without labels", nil, `{}`},
		{"labels too long", []string{"trace_id", long}, "-"},
		{"duplicate label", []string{"a", "1", "a", "2"}, "-"},
		{"not UTF-8", []string{"a", "\xff"}, "-"},
	} {
		check := func(version string, refusedCode int, send func(*server) answer) {
			t.Run(c.name+"/"+version, func(t *testing.T) {
				d := openDoor(t)
				a := send(d)
				wantCode := 204
				if c.want == "-" {
					wantCode = refusedCode
				}
				if a.code != wantCode {
					t.Errorf("got %d %q, want %d", a.code, a.body, wantCode)
				}
				if version == "2" {
					if n := a.written(t); n[0] != "1" || (n[2] == "1") != (c.want != "-") {
						t.Errorf("written %v", n)
					}
				}
				if len(d.stored()) != 1 {
					t.Errorf("the sample beside it was not stored")
				}
				got := d.exemplars()
				switch {
				case c.want == "-" && len(got) != 0:
					t.Errorf("stored %v", got)
				case c.want != "-" && (len(got) != 1 || got[0].T != base || got[0].V != 5 || got[0].Labels.String() != c.want):
					t.Errorf("stored %v, want %s", got, c.want)
				}
			})
		}
		check("1", 204, func(d *server) answer {
			s := doortest.Sample1(base, 1, "__name__", "m")
			s.Exemplars = []prompb.Exemplar{{Labels: doortest.Labels1(c.labels...), Value: 5, Timestamp: base}}
			return d.write1(doortest.Request1(s))
		})
		check("2", 400, func(d *server) answer {
			b := doortest.NewBuilder2().Sample(base, 1, "__name__", "m")
			b.Series[0].Exemplars = []writev2.Exemplar{{LabelsRefs: b.Refs(c.labels...), Value: 5, Timestamp: base}}
			return d.write2(b.Request())
		})
	}
	t.Run("alone in its series, as Prometheus sends it", func(t *testing.T) {
		d := openDoor(t)
		b := doortest.NewBuilder2().Sample(base, 1, "__name__", "m")
		b.Add(writev2.TimeSeries{Exemplars: []writev2.Exemplar{{LabelsRefs: b.Refs("trace_id", "x"), Value: 5, Timestamp: base}}}, "__name__", "m")
		if a := d.write2(b.Request()); a.code != 204 || a.written(t) != [3]string{"1", "0", "1"} || len(d.exemplars()) != 1 {
			t.Errorf("got %d %q, written %v, stored %v", a.code, a.body, a.written(t), d.exemplars())
		}
	})
	t.Run("label refs beyond the symbols", func(t *testing.T) {
		d := openDoor(t)
		b := doortest.NewBuilder2().Sample(base, 1, "__name__", "m")
		b.Series[0].Exemplars = []writev2.Exemplar{{LabelsRefs: []uint32{98, 99}, Value: 5, Timestamp: base}}
		if a := d.write2(b.Request()); a.code != 400 || !strings.Contains(a.body, "parsing exemplar") || a.written(t) != [3]string{"1", "0", "0"} {
			t.Errorf("got %d %q, written %v", a.code, a.body, a.written(t))
		}
	})
}

func (d *server) exemplars() []model.Exemplar {
	d.t.Helper()
	v, err := d.db.View()
	if err != nil {
		d.t.Fatal(err)
	}
	defer v.Release()
	list, _, err := v.Exemplars(d.t.Context(), model.DefaultTenant, model.AllTime, [][]*labels.Matcher{{anyName()}})
	if err != nil {
		d.t.Fatal(err)
	}
	var es []model.Exemplar
	for _, s := range list {
		es = append(es, s.Exemplars...)
	}
	return es
}
