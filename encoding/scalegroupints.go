package encoding

import (
	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
)

// The columns of a scale group of histograms with integer counts: zero counts,
// counts minus zero counts and buckets, sums, buckets. Joined buckets are two
// columns: the first counts of all buckets, and then all differences over time,
// bucket by bucket.

// bucketOrders leaves out differences of differences, which do not suit counts.
const bucketOrders = tryRaw | tryDelta

func (g *scaleGroup) appendInts(dst []byte, hs []model.Histogram, tier Tier) []byte {
	s := takeScratch(tier)
	defer scratches.Put(s)
	column := func(vs []int64, try orders) {
		s.bytes, _ = appendInts(s.bytes[:0], vs, try, s)
		dst = AppendBytes(dst, s.bytes)
	}
	zeros, counts, sums := make([]int64, g.n), make([]int64, g.n), make([]float64, g.n)
	var bs [2][][]int64
	for i, m := range hs {
		h := m.Int
		zeros[i], counts[i], sums[i] = int64(h.ZeroCount), int64(h.Count-h.ZeroCount), h.Sum
		for side, b := range [2][]int64{h.PositiveBuckets, h.NegativeBuckets} {
			bs[side] = append(bs[side], b)
			count := int64(0)
			for _, d := range b {
				count += d
				counts[i] -= count
			}
		}
	}
	column(zeros, tryAll)
	column(counts, tryAll)
	dst = appendFloatColumn(dst, sums, s)
	if g.columns() == headColumns {
		return dst
	}
	if !g.joined() {
		for side := range 2 {
			eachBucket(g, side, bs[side], true, func(vs []int64) { column(vs, bucketOrders) })
		}
		return dst
	}
	buckets := g.columns() - headColumns
	first, steps := make([]int64, 0, buckets), make([]int64, 0, buckets*(g.n-1))
	for side := range 2 {
		eachBucket(g, side, bs[side], true, func(vs []int64) {
			first = append(first, vs[0])
			for i, v := range vs[1:] {
				steps = append(steps, v-vs[i])
			}
		})
	}
	column(first, tryAll)
	if g.n > 1 {
		column(steps, tryRaw)
	}
	return dst
}

func (g *scaleGroup) decodeInts(dst []model.Histogram, src []byte) ([]model.Histogram, []byte, error) {
	zeros, src, err := nextColumn(nil, src, g.n, DecodeTimestamps)
	if err != nil {
		return nil, nil, err
	}
	counts, src, err := nextColumn(nil, src, g.n, DecodeTimestamps)
	if err != nil {
		return nil, nil, err
	}
	sums, src, err := nextColumn(nil, src, g.n, DecodeFloats)
	if err != nil {
		return nil, nil, err
	}
	next, rest, err := g.intBuckets(src)
	if err != nil {
		return nil, nil, err
	}
	bs := slabs[int64](g)
	for side := range 2 {
		err := fillBuckets(g, side, bs[side], true, next, func(i int, count int64) { counts[i] += count })
		if err != nil {
			return nil, nil, err
		}
	}
	hs, i := make([]histogram.Histogram, g.n), 0
	for _, r := range g.runs {
		for range r.n {
			h := &hs[i]
			*h = *newIntHistogram(g.layouts[r.layout])
			h.ZeroCount, h.Count, h.Sum = uint64(zeros[i]), uint64(zeros[i]+counts[i]), sums[i]
			h.PositiveBuckets, h.NegativeBuckets = bs[0][i], bs[1][i]
			dst = append(dst, model.Histogram{Int: h})
			i++
		}
	}
	return dst, *rest, nil
}

// intBuckets returns a function that returns the counts of the next bucket, valid
// until its next call, and a pointer to the rest of src after the buckets.
func (g *scaleGroup) intBuckets(src []byte) (next func() ([]int64, error), rest *[]byte, err error) {
	var values []int64
	if g.columns() == headColumns || !g.joined() {
		return func() ([]int64, error) {
			var err error
			values, src, err = nextColumn(values[:0], src, g.n, DecodeTimestamps)
			return values, err
		}, &src, nil
	}
	first, src, err := nextColumn(nil, src, g.columns()-headColumns, DecodeTimestamps)
	if err != nil {
		return nil, nil, err
	}
	var steps []int64
	if g.n > 1 {
		if steps, src, err = nextColumn(nil, src, len(first)*(g.n-1), DecodeTimestamps); err != nil {
			return nil, nil, err
		}
	}
	values = make([]int64, g.n)
	return func() ([]int64, error) {
		v := first[0]
		values[0], first = v, first[1:]
		for i, step := range steps[:g.n-1] {
			v += step
			values[i+1] = v
		}
		steps = steps[g.n-1:]
		return values, nil
	}, &src, nil
}
