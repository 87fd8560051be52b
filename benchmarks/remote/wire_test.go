package remote

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"
)

// What is appended is a message, however long names and values are.
func TestAppendedSeriesIsAMessage(t *testing.T) {
	f := func(name, value string, n int) {
		t.Helper()
		labels := AppendLabel(AppendLabel(nil, "__name__", "up"), name, value)
		raw := AppendSeries(nil, len(labels), n)
		raw = append(raw, labels...)
		start := time.Date(2025, 10, 9, 0, 0, 0, 0, time.UTC).UnixMilli()
		for i := range n {
			raw = AppendSample(raw, start+int64(i), math.Float64frombits(0x7ff0000000000002+uint64(i)))
		}
		var m prompb.WriteRequest
		if err := m.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		if len(m.Timeseries) != 1 || len(m.Timeseries[0].Labels) != 2 || len(m.Timeseries[0].Samples) != n {
			t.Fatalf("%d series: %v", len(m.Timeseries), m.Timeseries)
		}
		if l := m.Timeseries[0].Labels[1]; l.Name != name || l.Value != value {
			t.Errorf("label %q = %q", l.Name, l.Value)
		}
		for i, s := range m.Timeseries[0].Samples {
			if s.Timestamp != start+int64(i) || math.Float64bits(s.Value) != 0x7ff0000000000002+uint64(i) {
				t.Errorf("sample %d is %d, %x", i, s.Timestamp, math.Float64bits(s.Value))
			}
		}
	}
	f("job", "node", 1)
	f("job", "", 0)
	f("job", strings.Repeat("v", 127), 2)
	f("job", strings.Repeat("v", 128), 2)
	f(strings.Repeat("n", 200), strings.Repeat("v", 20000), 300)
}
