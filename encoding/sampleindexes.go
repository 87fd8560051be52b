package encoding

// sampleIndexes are n indexes spread evenly over m values. Computing them takes one
// division in all: most choices for a short column depend on a sample of its values
// only, and a division per index would be a good part of their cost.
type sampleIndexes struct{ m, part uint64 }

// sampleIndexUnit is large enough that part is exact for all integers below 2n·m,
// and small enough that their products with part fit 64 bits, for n ≤ 128 and
// m < 2^24.
const sampleIndexUnit = 1 << 40

func sampleIndexesOf(n, m int) sampleIndexes {
	return sampleIndexes{uint64(m), sampleIndexUnit/uint64(2*n) + 1}
}

// at returns index i, (2i+1)·m / 2n.
func (s sampleIndexes) at(i int) int { return int(uint64(2*i+1) * s.m * s.part / sampleIndexUnit) }
