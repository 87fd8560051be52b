package storage

// joinedTimes caches concatenated times of several chunks. Series that share the
// times of their chunks then share the result too.
// The zero value is empty.
type joinedTimes struct {
	cached map[joinedKey][]int64
	n      int     // times in cached
	own    []int64 // the result of join if it is not cached
}

// joinedKey identifies times by their addresses, and keeps them alive.
type joinedKey [joinedPartsMax]struct {
	first *int64
	n     int
}

// Bounds of the cache of a joinedTimes.
const (
	joinedTimesMax = 1 << 20
	joinedPartsMax = 8
)

// join returns the concatenation of times. If shared is false it is valid until
// the next call.
func (j *joinedTimes) join(parts [][]int64) (ts []int64, shared bool) {
	if len(parts) == 1 {
		return parts[0], true
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if len(parts) <= joinedPartsMax {
		var key joinedKey
		for i, p := range parts {
			key[i].first, key[i].n = &p[0], len(p)
		}
		if ts, ok := j.cached[key]; ok {
			return ts, true
		}
		if j.n+n <= joinedTimesMax {
			ts = appendAll(make([]int64, 0, n), parts)
			if j.cached == nil {
				j.cached = make(map[joinedKey][]int64)
			}
			j.cached[key] = ts
			j.n += n
			return ts, true
		}
	}
	j.own = appendAll(j.own[:0], parts)
	return j.own, false
}

func appendAll(dst []int64, parts [][]int64) []int64 {
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// reset empties the cache.
func (j *joinedTimes) reset() { j.cached, j.n = nil, 0 }
