package appender

import (
	"iter"
	"math"
)

// rowIndex finds rows by their ref: an open hash table of row numbers, at most half full.
type rowIndex struct {
	slots []int32 // row + 1, 0 = free
}

// of returns the numbers of the rows that may have a ref.
func (x *rowIndex) of(ref uint64) iter.Seq[int] {
	return func(yield func(int) bool) {
		if len(x.slots) == 0 {
			return
		}
		for i := spread(ref); ; i++ {
			row := x.slots[i&uint64(len(x.slots)-1)]
			if row == 0 || !yield(int(row-1)) {
				return
			}
		}
	}
}

// add adds the last of the rows.
func (x *rowIndex) add(rows []row) {
	if 2*len(rows) > len(x.slots) {
		x.slots = make([]int32, max(256, 2*len(x.slots)))
		for i := range rows {
			x.put(rows[i].ref, i)
		}
		return
	}
	x.put(rows[len(rows)-1].ref, len(rows)-1)
}

func (x *rowIndex) put(ref uint64, row int) {
	i := spread(ref)
	for x.slots[i&uint64(len(x.slots)-1)] != 0 {
		i++
	}
	x.slots[i&uint64(len(x.slots)-1)] = int32(row + 1)
}

func (x *rowIndex) reset() { clear(x.slots) }

// spread makes slots of refs, all of which are odd.
func spread(ref uint64) uint64 { return ref >> 1 }

// equalBits reports whether two values are the same, NaNs included.
func equalBits(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }
