package prom

import (
	"slices"

	"tsdb/query"
)

// timeTexts remembers how the times of the series before were written: all
// series of a range query have times of one grid, and writing a time takes as
// long as writing a value (BenchmarkMatrix).
type timeTexts struct {
	t    []int64 // rising
	ends []int32 // of the texts
	text []byte
	next int // the likely one

	strays int // times that no series before had
}

// straysMax is how many times may be new before nothing is looked up any more:
// these are times of samples.
const straysMax = 100

// timesMax is how many times are remembered.
const timesMax = query.DefaultMaxPoints

// append appends a time as appendTime does.
func (c *timeTexts) append(dst []byte, ms int64) []byte {
	i := c.next
	if i >= len(c.t) || c.t[i] != ms {
		if c.strays == straysMax {
			return appendTime(dst, ms)
		}
		var found bool
		if i, found = slices.BinarySearch(c.t, ms); !found {
			if i < len(c.t) || i == timesMax {
				c.strays++
				return appendTime(dst, ms)
			}
			c.t = append(c.t, ms)
			c.text = appendTime(c.text, ms)
			c.ends = append(c.ends, int32(len(c.text)))
		}
	}
	c.next = i + 1
	from := int32(0)
	if i > 0 {
		from = c.ends[i-1]
	}
	return append(dst, c.text[from:c.ends[i]]...)
}
