package head

// chunkBytes is the size of a full chunk of every slab, pool and arena: large
// enough that millions of records are few Go objects, small enough that memory
// is freed in small steps.
const chunkBytes = 1 << 20

// firstRecords is the initial number of records of a slab's first chunk, which
// doubles until it is a full chunk, so that a small head stays small.
const firstRecords = 64

// A slab is a growing array of records without pointers, kept in chunks. Records
// never move once their chunk is full. Not safe for concurrent use.
type slab[T any] struct {
	chunks [][]T
	shift  uint8 // log2 of the records of a full chunk
	size   uintptr
	spare  [][]T // full chunks of zeros for the next records: see freshChunks
}

// newSlab returns an empty slab for records of recordBytes bytes.
func newSlab[T any](recordBytes uintptr) slab[T] {
	shift := uint8(0)
	for recordBytes<<(shift+1) <= chunkBytes {
		shift++
	}
	return slab[T]{shift: shift, size: recordBytes}
}

// at returns record i, which an earlier ensure must have covered. The pointer
// is valid until the next ensure.
func (s *slab[T]) at(i uint32) *T {
	shift := s.shift & 31 // so that the compiler omits the check for wide shifts
	return &s.chunks[i>>shift][i&(1<<shift-1)]
}

// missing returns how many full chunks are missing for n records, not counting a first
// chunk that has room to grow.
func (s *slab[T]) missing(n uint32) int {
	full := uint32(1) << s.shift
	have := max(uint32(len(s.chunks)), 1) * full
	if n <= have {
		return 0
	}
	return int((n - have + full - 1) / full)
}

// freshChunks returns n chunks of elements that are zero and whose memory is there: the
// system provides it when it is first written, which takes longer than to fill it.
func freshChunks[T any](n, elements int) [][]T {
	chunks := make([][]T, n)
	for i := range chunks {
		chunks[i] = make([]T, elements)
		clear(chunks[i])
	}
	return chunks
}

// len returns the number of records.
func (s *slab[T]) len() uint32 {
	if len(s.chunks) == 0 {
		return 0
	}
	last := len(s.chunks) - 1
	return uint32(last)<<s.shift + uint32(len(s.chunks[last]))
}

// ensure grows the slab to at least n records; new ones are zero. It returns the
// number of bytes added.
func (s *slab[T]) ensure(n uint32) (added int64) {
	if n <= s.len() {
		return 0
	}
	before := s.len()
	full := 1 << s.shift
	for s.len() < n {
		last := len(s.chunks) - 1
		if last >= 0 && len(s.chunks[last]) == full {
			if n := len(s.spare); n > 0 {
				s.chunks, s.spare = append(s.chunks, s.spare[n-1]), s.spare[:n-1]
			} else {
				s.chunks = append(s.chunks, make([]T, full))
			}
			continue
		}
		// Only the first chunk is ever less than full.
		want := min(full, max(firstRecords, int(n)))
		if last < 0 {
			s.chunks = append(s.chunks, make([]T, want))
			continue
		}
		want = min(full, max(want, 2*len(s.chunks[last])))
		grown := make([]T, want)
		copy(grown, s.chunks[last])
		s.chunks[last] = grown
	}
	return int64(s.len()-before) * int64(s.size)
}

// bytes returns the memory the slab holds.
func (s *slab[T]) bytes() int64 { return int64(s.len()) * int64(s.size) }
