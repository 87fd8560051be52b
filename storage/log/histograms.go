package log

import (
	"fmt"
	"slices"

	"tsdb/encoding"
	"tsdb/internal/model"
)

// HistogramColumns holds the rows of a FrameHistograms. Decoding reuses its
// memory, except that of the histograms, which callers may keep.
type HistogramColumns struct {
	keys
	H []model.Histogram
}

// AppendHistograms appends the payload of histogram samples, as AppendSamples
// does for floats: the columns of keys, then the histograms one after another.
// It fails if a row has no histogram.
func AppendHistograms(dst []byte, slots []uint32, ts, sts []int64, hs []model.Histogram) ([]byte, error) {
	if len(hs) != len(slots) {
		panic(fmt.Sprintf("BUG: %d slots, %d histograms", len(slots), len(hs)))
	}
	for i, h := range hs {
		if h.IsZero() {
			return dst, fmt.Errorf("encode histograms: row %d holds none", i)
		}
	}
	dst = appendKeys(dst, slots, ts, sts, 0)
	for _, h := range hs {
		dst = encoding.AppendHistogram(dst, h)
	}
	return dst, nil
}

// DecodeHistograms reads what AppendHistograms wrote.
func DecodeHistograms(src []byte, c *HistogramColumns) error {
	n, rest, err := c.decode(src, 1)
	if err != nil {
		return fmt.Errorf("histograms: %w", err)
	}
	clear(c.H)
	c.H = slices.Grow(c.H[:0], n)[:n]
	for i := range c.H {
		if c.H[i], rest, err = encoding.DecodeHistogram(rest); err != nil {
			return fmt.Errorf("histograms: %w: row %d: %w", ErrCorrupt, i, err)
		}
		if c.H[i].IsZero() {
			return fmt.Errorf("histograms: %w", Corruptf("row %d holds none", i))
		}
	}
	return atEnd("histograms", rest)
}

func atEnd(what string, rest []byte) error {
	if len(rest) > 0 {
		return fmt.Errorf("%s: %w", what, Corruptf("%d bytes too many", len(rest)))
	}
	return nil
}
