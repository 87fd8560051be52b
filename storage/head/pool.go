package head

import (
	"fmt"
	"math/bits"
)

// A pool allocates short arrays of T from large chunks. A handle identifies an
// array: chunk number and position, counted in units. Sizes are rounded up to a
// class, two classes per power of two, so that a released array can be reused for
// another of its class. A pool is not safe for concurrent use.
type pool[T any] struct {
	chunks   [][]T
	next     uint32            // first free unit of the last regular chunk
	tail     int               // number of the last regular chunk, -1 if there is none
	free     [classes][]uint32 // handles by class
	holes    []uint32          // numbers of dedicated chunks that were released
	unit     uint32            // elements per unit
	unitBits uint8             // log2 of the units of a full chunk
	size     int64             // bytes per element
	held     int64             // bytes of all chunks
	idle     int64             // bytes in free lists
	spare    [][]T             // full chunks of zeros to be used first: see freshChunks
}

// classes bounds the size classes: 2^31 units are more than there can be.
const classes = 64

// noHandle is the handle of no array: position 0 of chunk 0 is never allocated.
const noHandle = 0

// newPool returns an empty pool of elements of elementBytes, in units of unit
// elements. Both are powers of two.
func newPool[T any](elementBytes uintptr, unit uint32) pool[T] {
	units := uint32(chunkBytes) / uint32(elementBytes) / unit
	return pool[T]{unit: unit, unitBits: uint8(bits.TrailingZeros32(units)), size: int64(elementBytes), tail: -1}
}

// classOf returns the smallest class that holds n units, n ≥ 1: class 2k holds
// 2^k units, class 2k+1 holds 3·2^(k-1), k ≥ 1. Class 1 is not used.
func classOf(n uint32) int {
	if n <= 1 {
		return 0
	}
	k := bits.Len32(n - 1) // 2^(k-1) < n ≤ 2^k
	if k >= 2 && n <= 3<<(k-2) {
		return 2*k - 1
	}
	return 2 * k
}

// classUnits returns the units of a class.
func classUnits(c int) uint32 {
	if c&1 == 0 {
		return 1 << (c / 2)
	}
	return 3 << (c/2 - 1)
}

// room returns the number of elements of the array that alloc(n) returns.
func (p *pool[T]) room(n int) int {
	return int(classUnits(classOf(p.units(n))) * p.unit)
}

func (p *pool[T]) units(n int) uint32 {
	return (uint32(n) + p.unit - 1) / p.unit
}

// alloc returns an array of at least n elements, n ≥ 1. Its contents are
// undefined.
func (p *pool[T]) alloc(n int) uint32 {
	c := classOf(p.units(n))
	if l := len(p.free[c]); l > 0 {
		h := p.free[c][l-1]
		p.free[c] = p.free[c][:l-1]
		p.idle -= int64(classUnits(c)) * int64(p.unit) * p.size
		return h
	}
	units := classUnits(c)
	full := uint32(1) << p.unitBits
	if units > full/2 {
		return p.dedicated(units)
	}
	align := min(units&-units, 4)
	start := (p.next + align - 1) &^ (align - 1)
	if p.tail < 0 || start+units > uint32(len(p.chunks[p.tail]))/p.unit {
		p.grow(units + 1)
		start = (p.next + align - 1) &^ (align - 1)
	}
	p.next = start + units
	return uint32(p.tail)<<p.unitBits | start
}

// missing returns how many full chunks n arrays of one unit may need beside what is
// there.
func (p *pool[T]) missing(n int) int {
	n -= len(p.free[0])
	if p.tail >= 0 {
		n -= 1<<p.unitBits - int(p.next)
	}
	if n <= 0 {
		return 0
	}
	return n>>p.unitBits + 1
}

// grow makes room for units more: the first chunk is enlarged until it is full-sized,
// later ones are full-sized from the start.
func (p *pool[T]) grow(units uint32) {
	full := uint32(1) << p.unitBits
	if p.tail == 0 && p.next+units+4 <= full {
		old := p.chunks[0]
		n := min(full, max(2*uint32(len(old))/p.unit, p.next+units+4))
		grown := make([]T, n*p.unit)
		copy(grown, old)
		p.chunks[0] = grown
		p.held += int64(len(grown)-len(old)) * p.size
		return
	}
	n := full
	if p.tail < 0 && len(p.chunks) == 0 {
		n = min(full, max(full>>8, units+4))
	}
	if last := len(p.spare) - 1; last >= 0 && n == full {
		p.chunks, p.spare = append(p.chunks, p.spare[last]), p.spare[:last]
	} else {
		p.chunks = append(p.chunks, make([]T, n*p.unit))
	}
	p.tail = len(p.chunks) - 1
	p.next = 0
	if p.tail == 0 {
		p.next = 4 // keeps noHandle free, and the alignment
	}
	p.held += int64(n) * int64(p.unit) * p.size
	p.check(p.tail)
}

// dedicated allocates an array too large to share a chunk in a chunk of its own.
func (p *pool[T]) dedicated(units uint32) uint32 {
	chunk := make([]T, units*p.unit)
	p.held += int64(len(chunk)) * p.size
	if l := len(p.holes); l > 0 {
		i := p.holes[l-1]
		p.holes = p.holes[:l-1]
		p.chunks[i] = chunk
		return i << p.unitBits
	}
	if len(p.chunks) == 0 {
		p.grow(1)
	}
	p.chunks = append(p.chunks, chunk)
	p.check(len(p.chunks) - 1)
	return uint32(len(p.chunks)-1) << p.unitBits
}

func (p *pool[T]) check(chunk int) {
	if uint64(chunk) >= 1<<(32-p.unitBits) {
		panic(fmt.Sprintf("BUG: pool of %d chunks", chunk))
	}
}

// get returns the first n elements of the array of a handle. If n is 0, the handle
// is ignored.
func (p *pool[T]) get(h uint32, n int) []T {
	if n == 0 {
		return nil
	}
	at := (h & (1<<p.unitBits - 1)) * p.unit
	return p.chunks[h>>p.unitBits][at : at+uint32(n) : at+uint32(n)]
}

// release frees an array that alloc(n) returned.
func (p *pool[T]) release(h uint32, n int) {
	c := classOf(p.units(n))
	units := classUnits(c)
	bytes := int64(units) * int64(p.unit) * p.size
	if units > 1<<p.unitBits/2 {
		p.chunks[h>>p.unitBits] = nil
		p.holes = append(p.holes, h>>p.unitBits)
		p.held -= bytes
		return
	}
	p.free[c] = append(p.free[c], h)
	p.idle += bytes
}
