package sets

import (
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Costs counted for Prometheus' own storage in this comparison.
const (
	xorSamples = 120 // a chunk
	xorEntry   = 12  // bytes of a chunk's entry in the index
)

// XORBytes returns the bytes of Prometheus' XOR chunks of 120 samples for the
// times and values of a series, with 12 bytes for each chunk's index entry.
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
