package sets

import (
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// What Prometheus' own storage is charged for in this comparison.
const (
	xorSamples = 120 // a chunk
	xorEntry   = 12  // bytes of a chunk's entry in the index
)

// XORBytes returns what Prometheus' XOR chunks of 120 samples take for the
// series, times and values, with 12 bytes a chunk for its entry in an index.
func XORBytes(s Series) (int, error) {
	total := 0
	for at := 0; at < len(s.Times); at += xorSamples {
		c := chunkenc.NewXORChunk()
		app, err := c.Appender()
		if err != nil {
			return 0, fmt.Errorf("%s: %w", s.Labels, err)
		}
		for i := at; i < min(at+xorSamples, len(s.Times)); i++ {
			app.Append(0, s.Times[i], s.Values[i])
		}
		total += len(c.Bytes()) + xorEntry
	}
	return total, nil
}
