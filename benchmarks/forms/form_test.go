package forms

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/protobuf/encoding/protowire"

	"tsdb/benchmarks/fleet"
	"tsdb/benchmarks/sets"
)

// messages returns the messages of all senders, and the sum of the values that are in them.
func messages(t *testing.T, form string, d func() Data, rows int) (all [][]byte, samples int, sum float64) {
	t.Helper()
	f, ok := Named(form)
	if !ok {
		t.Fatalf("no form %q", form)
	}
	for _, s := range f.Sources(d(), rows) {
		for {
			m, n, err := s.AppendRequest(nil)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			all = append(all, m)
			samples += n
		}
	}
	for _, s := range d().Streams {
		for r := s.Next(); r != nil; r = s.Next() {
			for _, v := range r.Values {
				sum += v
			}
		}
	}
	if samples != d().Samples {
		t.Fatalf("%d samples, want %d", samples, d().Samples)
	}
	return all, samples, sum
}

func smallFleet() Data {
	return Fleet(fleet.Options{Targets: 3, Span: 2 * time.Minute, Start: time.Unix(1_760_000_000, 0)})
}

func smallHosts() Data {
	d, err := Hosts(sets.CPUOnly(sets.Options{Groups: 3, Start: time.Unix(1_760_000_000, 0), Span: time.Minute, Seed: 1}), 2)
	if err != nil {
		panic(err)
	}
	return d
}

// eachField passes the fields of a message to f, with their content if they have a length.
func eachField(m []byte, f func(number protowire.Number, content []byte) error) error {
	for len(m) > 0 {
		number, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			return protowire.ParseError(n)
		}
		m = m[n:]
		if n = protowire.ConsumeFieldValue(number, kind, m); n < 0 {
			return protowire.ParseError(n)
		}
		content := m[:n]
		if kind == protowire.BytesType {
			content, _ = protowire.ConsumeBytes(m)
		}
		if err := f(number, content); err != nil {
			return err
		}
		m = m[n:]
	}
	return nil
}

// The protocols' own libraries read from the messages what was put in.
func TestFormsHoldTheSamples(t *testing.T) {
	for form, read := range map[string]func(m []byte) (n int, sum float64, err error){
		"remote1": func(m []byte) (n int, sum float64, err error) {
			var r prompb.WriteRequest
			err = r.Unmarshal(m)
			for _, s := range r.Timeseries {
				n += len(s.Samples)
				sum += s.Samples[0].Value
			}
			return n, sum, err
		},
		"remote2": func(m []byte) (n int, sum float64, err error) {
			var r writev2.Request
			err = r.Unmarshal(m)
			for _, s := range r.Timeseries {
				n += len(s.Samples)
				sum += s.Samples[0].Value
				for _, ref := range s.LabelsRefs {
					if int(ref) >= len(r.Symbols) || ref == 0 || r.Symbols[0] != "" {
						return n, sum, fmt.Errorf("symbol %d of %d", ref, len(r.Symbols))
					}
				}
			}
			return n, sum, err
		},
		"text": func(m []byte) (n int, sum float64, err error) {
			p := expfmt.NewTextParser(model.UTF8Validation)
			for line := range strings.Lines(string(m)) { // the same series may be in a message twice
				families, err := p.TextToMetricFamilies(strings.NewReader(line))
				if err != nil {
					return n, sum, err
				}
				for _, f := range families {
					for _, s := range f.Metric {
						n++
						sum += s.GetUntyped().GetValue()
					}
				}
			}
			return n, sum, nil
		},
		"jsonl": func(m []byte) (n int, sum float64, err error) {
			for line := range strings.Lines(string(m)) {
				var s struct {
					Metric     map[string]string
					Values     []float64
					Timestamps []int64
				}
				if err := json.Unmarshal([]byte(line), &s); err != nil {
					return n, sum, err
				}
				if s.Metric["__name__"] == "" || len(s.Timestamps) != 1 {
					return n, sum, fmt.Errorf("line %s", line)
				}
				n++
				sum += s.Values[0]
			}
			return n, sum, nil
		},
		"graphite": func(m []byte) (n int, sum float64, err error) {
			for line := range strings.Lines(string(m)) {
				var path string
				var v float64
				var at int64
				if _, err := fmt.Sscanf(line, "%s %g %d\n", &path, &v, &at); err != nil || at/1e9 != 1 || !strings.Contains(path, ";instance=") {
					return n, sum, fmt.Errorf("line %q: %v", line, err)
				}
				n++
				sum += v
			}
			return n, sum, nil
		},
		"opentsdb": func(m []byte) (n int, sum float64, err error) {
			var points []struct {
				Metric    string
				Timestamp int64
				Value     float64
				Tags      map[string]string
			}
			err = json.Unmarshal(m, &points)
			for _, p := range points {
				if p.Metric == "" || p.Timestamp/1e12 != 1 || p.Tags["instance"] == "" || p.Tags["__name__"] != "" {
					return n, sum, fmt.Errorf("point %v", p)
				}
				n++
				sum += p.Value
			}
			return n, sum, err
		},
		"datadog1": func(m []byte) (n int, sum float64, err error) {
			var payload struct {
				Series []struct {
					Metric string
					Tags   []string
					Points [][2]float64
				}
			}
			err = json.Unmarshal(m, &payload)
			for _, s := range payload.Series {
				if s.Metric == "" || len(s.Tags) < 2 || s.Points[0][0]/1e9 >= 2 {
					return n, sum, fmt.Errorf("series %v", s)
				}
				n += len(s.Points)
				sum += s.Points[0][1]
			}
			return n, sum, err
		},
		"datadog2": func(m []byte) (n int, sum float64, err error) {
			err = eachField(m, func(number protowire.Number, series []byte) error {
				if number != 1 {
					return fmt.Errorf("field %d", number)
				}
				n++
				return eachField(series, func(number protowire.Number, point []byte) error {
					if number != 4 {
						return nil
					}
					if len(point) < 9 || point[0] != 1<<3|1 {
						return fmt.Errorf("point %x", point)
					}
					sum += math.Float64frombits(binary.LittleEndian.Uint64(point[1:]))
					return nil
				})
			})
			return n, sum, err
		},
		"otlp-json": func(m []byte) (n int, sum float64, err error) {
			r := pmetricotlp.NewExportRequest()
			if err = r.UnmarshalJSON(m); err != nil {
				return n, sum, err
			}
			for _, resource := range r.Metrics().ResourceMetrics().All() {
				for _, scope := range resource.ScopeMetrics().All() {
					for _, metric := range scope.Metrics().All() {
						for _, p := range metric.Gauge().DataPoints().All() {
							if p.Timestamp()/1e18 != 1 {
								return n, sum, fmt.Errorf("time %d", p.Timestamp())
							}
							n++
							sum += p.DoubleValue()
						}
					}
				}
			}
			return n, sum, nil
		},
	} {
		all, want, sum := messages(t, form, smallFleet, 4)
		got, total := 0, 0.0
		for _, m := range all {
			n, s, err := read(m)
			if err != nil {
				t.Fatalf("%s: %v", form, err)
			}
			got += n
			total += s
		}
		if got != want || math.Abs(total-sum) > 1e-9*math.Abs(sum) {
			t.Errorf("%s: %d samples with the sum %v, want %d and %v", form, got, total, want, sum)
		}
	}
}

// A row of a host is a line.
func TestRowsAreLines(t *testing.T) {
	all, _, _ := messages(t, "lines", smallHosts, 2)
	first, _, _ := strings.Cut(string(all[0]), "\n")
	if !strings.HasPrefix(first, "cpu,arch=") || strings.Count(first, ",") != 10+9 || !strings.HasSuffix(first, " 1760000010000") {
		t.Errorf("line %q", first)
	}
	all, _, _ = messages(t, "csv", smallHosts, 2)
	first, _, _ = strings.Cut(string(all[0]), "\n")
	if columns := strings.Count(csvFormat(), ","); columns != 20 || strings.Count(first, ",") != columns || !strings.HasSuffix(first, ",1760000010000") {
		t.Errorf("line %q of the format %q", first, csvFormat())
	}
}
