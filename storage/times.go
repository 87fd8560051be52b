package storage

// joinedTimes remembers times that were put together from the times of several
// chunks, which many series share: they then share what was put together too.
// The zero value is empty.
type joinedTimes struct {
	known map[joinedKey][]int64
	n     int     // times in known
	own   []int64 // what of returns if it is not remembered
}

// joinedKey names times by where they are, which holds on to them.
type joinedKey [joinedPartsMax]struct {
	first *int64
	n     int
}

// Bounds of what a joinedTimes remembers; what comes then is not remembered.
const (
	joinedTimesMax = 1 << 20
	joinedPartsMax = 8
)

// of returns times that are one after the other as one. If shared is false they
// are valid until the next call.
func (j *joinedTimes) of(parts [][]int64) (ts []int64, shared bool) {
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
		if ts, ok := j.known[key]; ok {
			return ts, true
		}
		if j.n+n <= joinedTimesMax {
			ts = appendAll(make([]int64, 0, n), parts)
			if j.known == nil {
				j.known = make(map[joinedKey][]int64)
			}
			j.known[key] = ts
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

// reset forgets what is remembered.
func (j *joinedTimes) reset() { j.known, j.n = nil, 0 }
