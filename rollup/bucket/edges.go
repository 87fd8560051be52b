package bucket

import "tsdb/internal/model"

// Part reports which floats of a row are in a window.
type Part uint8

const (
	None    Part = iota // no float
	LastOne             // the last float
	LastTwo             // the last two floats
	All                 // all floats
	Fails               // the times of the row do not decide it, or it is another part
)

func (p Part) String() string {
	return [...]string{"none", "last one", "last two", "all", "fails"}[p]
}

// Inside returns the part of row k in the window (x, s].
func Inside(b *model.Buckets, k int, x, s int64) Part {
	n, last := b.Count[k], b.T1[k]
	if n == 0 || x >= last || s < b.First[k] {
		return None
	}
	if s < last {
		// The last float is outside, so that the part is none of the above, unless the
		// window lies between two neighbours that are known.
		switch t2, t3 := b.T2[k], b.T3[k]; {
		case x >= t2, n >= 3 && s < t2 && x >= t3, n == 4 && s < t3 && x >= b.First[k]:
			return None
		}
		return Fails
	}
	switch {
	case x < b.First[k]:
		return All
	case x >= b.T2[k]: // n ≥ 2, because First is the last otherwise
		return LastOne
	case x >= b.T3[k]: // n ≥ 3, because First is T2 otherwise
		return LastTwo
	}
	return Fails
}

// EndInside is Inside for functions that need no more than the last two floats of a
// window: it returns LastTwo instead of Fails if these are known.
func EndInside(b *model.Buckets, k int, x, s int64) Part {
	if p := Inside(b, k, x, s); p != Fails || s < b.T1[k] {
		return p
	}
	return LastTwo
}
