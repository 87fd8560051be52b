package csv

import (
	"fmt"
	"strings"
	"testing"

	"tsdb/api/ingest/doortest"
)

func BenchmarkDecode(b *testing.B) {
	b.Run("door=csv/series=100k/samples=2000", func(b *testing.B) { doortest.BenchmarkDecode(b, doortest.FleetCSV(100_000), step(b)) })
}

// BenchmarkNewSeries measures lines of two metrics, and of as many as a line may have.
func BenchmarkNewSeries(b *testing.B) {
	b.Run("door=csv/metrics=2", func(b *testing.B) { doortest.BenchmarkNewSeries(b, doortest.FleetCSV(20_000), step(b)) })
	b.Run("door=csv/metrics=500", func(b *testing.B) {
		format, bodies := wide(500, 20_000)
		doortest.BenchmarkNewSeries(b, bodies, stepOf(b, format))
	})
}

// wide returns a format of n metrics and bodies of lines in it with samples of series that
// differ.
func wide(n, samples int) (format string, bodies [][]byte) {
	var columns []string
	for i := range n {
		columns = append(columns, fmt.Sprintf("%d:metric:metric_%d", i+2, i))
	}
	for from := 0; from < samples; from += doortest.FleetSamples {
		var body []byte
		for line := from; line < from+doortest.FleetSamples; line += n {
			body = fmt.Appendf(body, "host-%d%s\n", line, strings.Repeat(",1.5", n))
		}
		bodies = append(bodies, body)
	}
	return "1:label:host," + strings.Join(columns, ","), bodies
}
