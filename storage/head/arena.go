package head

// An arena keeps byte strings that are written once: the dictionary's values
// and the packed label ids of series. It only grows; unreferenced bytes are
// garbage until the shard is repacked. Bytes once written never change, so
// views of them stay valid as long as they are held. Not safe for
// concurrent use.
type arena struct {
	chunks [][]byte // full length; the bytes at and after next of the last one are free
	next   uint32
	held   int64
}

const (
	arenaBits  = 20 // log2 of chunkBytes: an address is chunk number and offset
	arenaFirst = 1 << 12
	// maxArenaChunks is the number of chunks that addresses of 32 bits reach.
	maxArenaChunks = 1 << (32 - arenaBits)
)

// alloc returns room for n bytes, 0 ≤ n ≤ chunkBytes, and its address. It
// reports false if the arena is full.
func (a *arena) alloc(n int) (addr uint32, dst []byte, ok bool) {
	last := len(a.chunks) - 1
	if last < 0 || int(a.next)+n > len(a.chunks[last]) {
		if n > chunkBytes || !a.grow(n) {
			return 0, nil, false
		}
		last = len(a.chunks) - 1
	}
	addr = uint32(last)<<arenaBits | a.next
	dst = a.chunks[last][a.next : a.next+uint32(n) : a.next+uint32(n)]
	a.next += uint32(n)
	return addr, dst, true
}

func (a *arena) grow(n int) bool {
	last := len(a.chunks) - 1
	switch {
	case last < 0:
		size := arenaFirst
		for size < n {
			size *= 2
		}
		a.chunks = append(a.chunks, make([]byte, size))
		a.held += int64(size)
	case last == 0 && int(a.next)+n <= chunkBytes:
		size := 2 * len(a.chunks[0])
		for size < int(a.next)+n {
			size *= 2
		}
		grown := make([]byte, size)
		copy(grown, a.chunks[0][:a.next])
		a.held += int64(size - len(a.chunks[0]))
		a.chunks[0] = grown
	case len(a.chunks) == maxArenaChunks:
		return false
	default:
		a.chunks = append(a.chunks, make([]byte, chunkBytes))
		a.next = 0
		a.held += chunkBytes
	}
	return true
}

// from returns the bytes that begin at an address, up to the end of its chunk.
func (a *arena) from(addr uint32) []byte {
	return a.chunks[addr>>arenaBits][addr&(chunkBytes-1):]
}
