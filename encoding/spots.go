package encoding

// spots are n places spread over m values, which stand for all of them. To find
// them takes one division: of a short column's choices most are made by a few
// values, and divisions would take a good part of their time.
type spots struct{ m, part uint64 }

// spotUnit is so large that part is exact enough for all integers below 2n·m, and
// so small that these times part fit 64 bits: for n ≤ 128 and m < 2^24.
const spotUnit = 1 << 40

func spotsOf(n, m int) spots { return spots{uint64(m), spotUnit/uint64(2*n) + 1} }

// at returns place i, (2i+1)·m / 2n.
func (s spots) at(i int) int { return int(uint64(2*i+1) * s.m * s.part / spotUnit) }
