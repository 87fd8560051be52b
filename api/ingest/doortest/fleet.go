package doortest

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// FleetSamples is the number of samples per request, as sent by Prometheus.
const FleetSamples = 2000

// fleetLabels are the 11 labels of one series of a node_exporter-like fleet.
func fleetLabels(target, series int) []string {
	return []string{
		"__name__", fmt.Sprintf("node_metric_%d_seconds_total", series/8),
		"cluster", "production-eu-west-1", "cpu", fmt.Sprint(series % 8), "datacenter", "eu-west-1a",
		"environment", "production", "instance", fmt.Sprintf("node-%05d.example.com:9100", target),
		"job", "node-exporter", "mode", "system", "os", "linux", "region", "eu-west-1", "team", "infrastructure",
	}
}

// Fleet1 returns the snappy bodies that write one sample of n series.
func Fleet1(t testing.TB, n int) [][]byte {
	t.Helper()
	var bodies [][]byte
	for from := 0; from < n; from += FleetSamples {
		q := &prompb.WriteRequest{}
		for i := from; i < min(from+FleetSamples, n); i++ {
			q.Timeseries = append(q.Timeseries, Sample1(Base, float64(i)+0.5, fleetLabels(i/500, i%500)...))
		}
		bodies = append(bodies, Snap(Marshal1(t, q)))
	}
	return bodies
}

// Fleet2 returns the same for remote write 2, with metadata.
func Fleet2(t testing.TB, n int) [][]byte {
	t.Helper()
	var bodies [][]byte
	for from := 0; from < n; from += FleetSamples {
		b := NewBuilder2()
		help := b.symbols.Symbolize("Seconds the CPUs spent in each mode.")
		for i := from; i < min(from+FleetSamples, n); i++ {
			b.Add(writev2.TimeSeries{
				Samples:  []writev2.Sample{{Timestamp: Base, Value: float64(i) + 0.5, StartTimestamp: Base - 5000}},
				Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: help},
			}, fleetLabels(i/500, i%500)...)
		}
		bodies = append(bodies, Snap(Marshal2(t, b.Request())))
	}
	return bodies
}

// FleetLines returns bodies of line protocol with ten fields a line, as TSBS
// writes them.
func FleetLines(n int) [][]byte {
	var bodies [][]byte
	for from := 0; from < n; from += FleetSamples {
		var b []byte
		for i := from; i < min(from+FleetSamples, n); i += 10 {
			b = fmt.Appendf(b, "cpu,hostname=host_%d,region=eu-west-1,datacenter=eu-west-1b,rack=67,os=Ubuntu16.10,arch=x86,team=NYC,service=7,service_version=0,service_environment=production ", i/10)
			for f, name := range [...]string{"usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"} {
				if f > 0 {
					b = append(b, ',')
				}
				b = fmt.Appendf(b, "%s=%d.%di", name, (i+f)%100, f)
				b = append(b[:len(b)-3], 'i')
			}
			b = fmt.Appendf(b, " %s\n", fmt.Sprint(Base)+"000000")
		}
		bodies = append(bodies, b)
	}
	return bodies
}

// FleetText returns bodies of the text format with one sample of n series.
func FleetText(n int) [][]byte {
	var bodies [][]byte
	for from := 0; from < n; from += FleetSamples {
		var b []byte
		for i := from; i < min(from+FleetSamples, n); i++ {
			ls := fleetLabels(i/500, i%500)
			if i%8 == 0 {
				b = fmt.Appendf(b, "# TYPE %s counter\n", ls[1])
			}
			b = append(b, ls[1]...)
			for k := 2; k < len(ls); k += 2 {
				sep := byte(',')
				if k == 2 {
					sep = '{'
				}
				b = fmt.Appendf(append(b, sep), "%s=%q", ls[k], ls[k+1])
			}
			b = fmt.Appendf(b, "} %v %d\n", float64(i)+0.5, Base)
		}
		bodies = append(bodies, b)
	}
	return bodies
}

// FleetCSV returns bodies of CSV with two samples a line of n series: time in
// milliseconds, instance, job, free, load.
func FleetCSV(n int) [][]byte {
	var bodies [][]byte
	for from := 0; from < n; from += FleetSamples {
		var b []byte
		for i := from; i < min(from+FleetSamples, n); i += 2 {
			b = fmt.Appendf(b, "%d,node-%05d.example.com:9100,node-exporter,%d.25,%d\n", Base, i, i, i)
		}
		bodies = append(bodies, b)
	}
	return bodies
}

// FleetJSON returns bodies of JSON lines with n samples, some rows a line.
func FleetJSON(t testing.TB, n, rows int) [][]byte {
	t.Helper()
	var bodies [][]byte
	for from := 0; from < n; from += FleetSamples {
		var b []byte
		for i := from; i < min(from+FleetSamples, n); i += rows {
			ls := fleetLabels(i/500, i%500)
			b = append(b, `{"metric":{`...)
			for k := 0; k < len(ls); k += 2 {
				if k > 0 {
					b = append(b, ',')
				}
				b = fmt.Appendf(b, "%q:%q", ls[k], ls[k+1])
			}
			b = append(b, `},"values":[`...)
			for k := range rows {
				if k > 0 {
					b = append(b, ',')
				}
				b = fmt.Append(b, float64(i+k)+0.5)
			}
			b = append(b, `],"timestamps":[`...)
			for k := range rows {
				if k > 0 {
					b = append(b, ',')
				}
				b = fmt.Append(b, Base+int64(k)*15_000)
			}
			b = append(b, "]}\n"...)
		}
		bodies = append(bodies, b)
	}
	return bodies
}

// FleetPoints returns bodies of OpenTSDB's data points, one of n series.
func FleetPoints(n int) [][]byte {
	var bodies [][]byte
	for from := 0; from < n; from += FleetSamples {
		b := []byte{'['}
		for i := from; i < min(from+FleetSamples, n); i++ {
			ls := fleetLabels(i/500, i%500)
			if i > from {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, `{"metric":%q,"timestamp":%d,"value":%v,"tags":{`, ls[1], Base, float64(i)+0.5)
			for k := 2; k < len(ls); k += 2 {
				if k > 2 {
					b = append(b, ',')
				}
				b = fmt.Appendf(b, "%q:%q", ls[k], ls[k+1])
			}
			b = append(b, "}}"...)
		}
		bodies = append(bodies, append(b, ']'))
	}
	return bodies
}

// FleetDataDog returns bodies of DataDog's series in JSON, one sample of n series, and
// the same as messages.
func FleetDataDog(n int) (json, messages [][]byte) {
	for from := 0; from < n; from += FleetSamples {
		text, message := []byte(`{"series":[`), []byte(nil)
		for i := from; i < min(from+FleetSamples, n); i++ {
			ls := fleetLabels(i/500, i%500)
			if i > from {
				text = append(text, ',')
			}
			text = fmt.Appendf(text, `{"metric":%q,"points":[[%d,%v]],"type":"gauge","host":%q,"tags":[`, ls[1], Base/1000, float64(i)+0.5, ls[11])
			field := func(dst []byte, number byte, content []byte) []byte {
				return append(binary.AppendUvarint(append(dst, number<<3|2), uint64(len(content))), content...)
			}
			host := field(field(nil, 1, []byte("host")), 2, []byte(ls[11]))
			series := field(field(nil, 1, host), 2, []byte(ls[1]))
			for k := 2; k < len(ls); k += 2 {
				if k > 2 {
					text = append(text, ',')
				}
				text = fmt.Appendf(text, "%q", ls[k]+":"+ls[k+1])
				series = field(series, 3, []byte(ls[k]+":"+ls[k+1]))
			}
			text = append(text, "]}"...)
			point := binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, math.Float64bits(float64(i)+0.5))
			series = field(series, 4, binary.AppendUvarint(append(point, 2<<3), uint64(Base/1000)))
			message = field(message, 1, append(series, 5<<3, 3))
		}
		json, messages = append(json, append(text, "]}"...)), append(messages, message)
	}
	return json, messages
}

// FleetGraphite returns bodies of Graphite's lines, one sample of n series.
func FleetGraphite(n int) [][]byte {
	var bodies [][]byte
	for from := 0; from < n; from += FleetSamples {
		var b []byte
		for i := from; i < min(from+FleetSamples, n); i++ {
			ls := fleetLabels(i/500, i%500)
			b = append(b, ls[1]...)
			for k := 2; k < len(ls); k += 2 {
				b = fmt.Appendf(b, ";%s=%s", ls[k], ls[k+1])
			}
			b = fmt.Appendf(b, " %v %d\n", float64(i)+0.5, Base/1000)
		}
		bodies = append(bodies, b)
	}
	return bodies
}
