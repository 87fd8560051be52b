package block

import "tsdb/internal/model"

// The window ladder. A partition of 24 h is divided into 2^k windows, 0 ≤ k ≤
// maxRung, anchored at its start; window i of rung k begins at the start plus
// ceil(i × 24 h / 2^k) milliseconds. A series takes the longest rung whose
// fullest window has at most MaxChunkSamples samples, so series of one target
// take the same rung and their timestamp columns are equal.
const (
	maxRung = 10
	// MaxChunkSamples is the maximum number of samples in a chunk.
	MaxChunkSamples = 6144
)

// windowOf returns the window of rung k that contains t, in the partition that
// starts at start and contains t.
func windowOf(start int64, k uint8, t int64) model.TimeRange {
	i := (t - start) << k / rawPartitionMs
	return model.TimeRange{Min: start + windowOffset(k, i), Max: model.AddTime(start, windowOffset(k, i+1))}
}

func windowOffset(k uint8, i int64) int64 {
	return (i*rawPartitionMs + 1<<k - 1) >> k
}

// rungOf returns the first rung from from on whose fullest window holds at most
// MaxChunkSamples of the times ts, or maxRung if there is none. The times are in
// ascending order and in the partition that starts at start.
func rungOf(start int64, from uint8, ts []int64) uint8 {
	k := from
	for ; k < maxRung; k++ {
		if len(ts) <= MaxChunkSamples || !overfull(start, k, ts) {
			break
		}
	}
	return k
}

// overfull reports whether a window of rung k holds more than MaxChunkSamples of
// ts. Then ts[i] and ts[i+MaxChunkSamples] are in the same window for some i.
func overfull(start int64, k uint8, ts []int64) bool {
	for i := 0; i+MaxChunkSamples < len(ts); {
		w := windowOf(start, k, ts[i])
		if ts[i+MaxChunkSamples] < w.Max {
			return true
		}
		// The next window starts inside (i, i+MaxChunkSamples].
		i += max(1, searchTime(ts[i:i+MaxChunkSamples+1], w.Max))
	}
	return false
}

// searchTime returns the first i with ts[i] >= t, or len(ts) if there is none.
func searchTime(ts []int64, t int64) int {
	lo, hi := 0, len(ts)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if ts[m] < t {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}
