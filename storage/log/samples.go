package log

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// SampleColumns holds the rows of a FrameSamples. Decoding reuses its
// memory.
type SampleColumns struct {
	keys
	V []float64
}

// AppendSamples appends the payload of float samples: row i is a sample of
// series slots[i] at ts[i] with value vs[i] and start timestamp sts[i]. sts may
// be empty. The order of rows is kept. There are at most 65,536.
func AppendSamples(dst []byte, slots []uint32, ts []int64, vs []float64, sts []int64) []byte {
	if len(vs) != len(slots) {
		panic(fmt.Sprintf("BUG: %d slots, %d values", len(slots), len(vs)))
	}
	dst = appendKeys(dst, slots, ts, sts, 8)
	return appendValues(dst, vs)
}

// DecodeSamples reads what AppendSamples wrote.
func DecodeSamples(src []byte, c *SampleColumns) error {
	n, rest, err := c.decode(src, 8)
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	if len(rest) != 8*n {
		return fmt.Errorf("samples: %w", Corruptf("%d bytes for %d values", len(rest), n))
	}
	c.V = slices.Grow(c.V[:0], n)[:n]
	getValues(c.V, rest)
	return nil
}

func appendValues(dst []byte, vs []float64) []byte {
	at := len(dst)
	dst = slices.Grow(dst, 8*len(vs))[:at+8*len(vs)]
	b := dst[at:]
	for i, v := range vs {
		binary.LittleEndian.PutUint64(b[8*i:8*i+8], math.Float64bits(v))
	}
	return dst
}

// getValues fills vs from its 8 bytes each.
func getValues(vs []float64, src []byte) {
	for i := range vs {
		vs[i] = math.Float64frombits(binary.LittleEndian.Uint64(src[8*i : 8*i+8]))
	}
}
