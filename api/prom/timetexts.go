package prom

import (
	"slices"

	"tsdb/query"
)

// timeTexts caches the texts of times: all series of a range query share a grid of
// times, and formatting a time takes as long as formatting a value
// (BenchmarkMatrix).
type timeTexts struct {
	t    []int64 // ascending
	ends []int32 // end of each text
	text []byte
	next int // index of the most likely next time

	misses int // times that were not cached and could not be added
}

// maxMisses is the number of misses after which lookups stop: the times are not on
// a grid but those of raw samples.
const maxMisses = 100

// maxTimes is the maximum number of cached times.
const maxTimes = query.DefaultMaxPoints

// append appends a time as appendTime does.
func (c *timeTexts) append(dst []byte, ms int64) []byte {
	i := c.next
	if i >= len(c.t) || c.t[i] != ms {
		if c.misses == maxMisses {
			return appendTime(dst, ms)
		}
		var found bool
		if i, found = slices.BinarySearch(c.t, ms); !found {
			if i < len(c.t) || i == maxTimes {
				c.misses++
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
