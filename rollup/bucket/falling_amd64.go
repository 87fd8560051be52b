package bucket

// floatSums are sums of floats in two lanes, and their extremes.
type floatSums struct {
	sum, lost, least, most [2]float64
	falls, changes         [2]int64  // negative
	fractions              [2]uint64 // not 0: a float is no integer
}

// addPairs adds pairs of floats, at least one, to the lanes of s. It reads the float
// before the first, too.
//
//go:noescape
func addPairs(s *floatSums, first *float64, pairs int)

// add is addPortable with two floats at a time: 0.7 ns a sample instead of 1.7
// (BenchmarkBuildAll/pattern=gauge). The sums are exact if the caller keeps them, because
// they are below exactSum then.
func (f *falling) add(vs []float64, i int) bool {
	n := len(vs) - i
	least, most := float64(f.least), float64(f.most)
	s := floatSums{least: [2]float64{least, least}, most: [2]float64{most, most}}
	if n > 1 {
		addPairs(&s, &vs[i], n/2)
	}
	if s.fractions[0]|s.fractions[1] != 0 {
		return false
	}
	if least, most = min(s.least[0], s.least[1]), max(s.most[0], s.most[1]); !(max(-least, most) < maxInteger) {
		return false
	}
	f.sum, f.lost = f.sum+int64(s.sum[0]+s.sum[1]), f.lost+int64(s.lost[0]+s.lost[1])
	f.least, f.most = int64(least), int64(most)
	falls := s.falls[0] + s.falls[1]
	f.falls, f.rises = f.falls-falls, f.rises+falls-s.changes[0]-s.changes[1]
	return n%2 == 0 || f.addPortable(vs, len(vs)-1)
}
