package files

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/ingest/doortest"
	"tsdb/internal/transfer"
)

// BenchmarkRead measures reading files of one sample a line.
func BenchmarkRead(b *testing.B) {
	const series, rows = 500, 100
	names := make([]labels.Labels, series)
	for i := range names {
		names[i] = labels.FromStrings("__name__", "node_network_receive_bytes_total", "job", "node", "instance", fmt.Sprintf("machine-%04d.rack-17.example.com:9100", i),
			"device", "eth0", "region", "eu-central-1", "datacenter", "fra-2", "cluster", "production-blue", "team", "infrastructure", "version", "1.12.1")
	}
	text := func(ls labels.Labels) string {
		name := ls.Get("__name__")
		return name + labels.NewBuilder(ls).Del("__name__").Labels().String() + " %s %d\n"
	}
	forms := []struct {
		kind string
		o    Options
		line func(ls labels.Labels) string // with verbs for the value and the time
	}{
		{"text", Options{}, text},
		{"openmetrics", Options{}, func(ls labels.Labels) string { return strings.Replace(text(ls), "%d", "%d.125", 1) }},
		{"csv", Options{CSV: "1:label:instance,2:label:region,3:label:datacenter,4:label:cluster,5:label:team,6:metric:m,7:time:unix_s"}, func(ls labels.Labels) string {
			return ls.Get("instance") + "," + ls.Get("region") + "," + ls.Get("datacenter") + "," + ls.Get("cluster") + "," + ls.Get("team") + ",%s,%d\n"
		}},
		{"csv", Options{CSV: ExportedCSV}, func(ls labels.Labels) string {
			var out strings.Builder
			w := csv.NewWriter(&out)
			object := "{"
			labels.NewBuilder(ls).Del("__name__").Labels().Range(func(l labels.Label) {
				object += fmt.Sprintf("%q:%q,", l.Name, l.Value)
			})
			_ = w.Write([]string{ls.Get("__name__"), strings.TrimSuffix(object, ",") + "}"}) // to memory
			w.Flush()
			return strings.TrimSuffix(out.String(), "\n") + ",%[2]d,%[1]s\n"
		}},
		{"influx", Options{Precision: "s"}, func(ls labels.Labels) string {
			line := "node"
			labels.NewBuilder(ls).Del("__name__").Labels().Range(func(l labels.Label) { line += "," + l.Name + "=" + l.Value })
			return line + " receive=%s %d\n"
		}},
	}
	for _, f := range forms {
		for _, order := range []string{"series", "time"} {
			var all strings.Builder
			for i := range series * rows {
				s, row := i/rows, i%rows
				if order == "time" {
					s, row = i%series, i/series
				}
				value := strconv.FormatFloat(float64(s*1000+row)*1.25, 'g', -1, 64)
				fmt.Fprintf(&all, f.line(names[s]), value, 1_790_000_000+15*row)
			}
			name := f.kind
			if f.o.CSV == ExportedCSV {
				name = "exported"
			}
			b.Run(fmt.Sprintf("kind=%s/order=%s", name, order), func(b *testing.B) {
				file := filepath.Join(b.TempDir(), "file")
				must(b, os.WriteFile(file, []byte(all.String()), 0o600))
				src, err := Open(f.kind, []string{file}, f.o)
				must(b, err)
				plan, err := src.Plan(b.Context())
				must(b, err)
				begin := doortest.CPUTime(b)
				for b.Loop() {
					n := 0
					must(b, src.Read(b.Context(), plan.Units[0], 0, func(_ int64, item *transfer.Item) error {
						if item.Samples != nil {
							n += item.Samples.Len()
						}
						return nil
					}))
					if n != series*rows {
						b.Fatalf("%d samples, want %d", n, series*rows)
					}
				}
				cpu := float64(doortest.CPUTime(b)-begin) / float64(b.N)
				b.ReportMetric(cpu/(series*rows), "cpu-ns/sample")
				b.ReportMetric(float64(all.Len())/cpu*1e3, "MB/cpu-s")
			})
		}
	}
}
