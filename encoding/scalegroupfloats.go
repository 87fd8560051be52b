package encoding

import (
	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
)

// The columns of a scale group of histograms with float counts: zero counts, counts,
// sums, buckets. Joined buckets are one column, bucket by bucket.

func (g *scaleGroup) appendFloats(dst []byte, hs []model.Histogram, tier Tier) []byte {
	s := takeScratch(tier)
	defer scratches.Put(s)
	zeros, counts, sums := make([]float64, g.n), make([]float64, g.n), make([]float64, g.n)
	var bs [2][][]float64
	for i, m := range hs {
		h := m.Float
		zeros[i], counts[i], sums[i] = h.ZeroCount, h.Count, h.Sum
		bs[0], bs[1] = append(bs[0], h.PositiveBuckets), append(bs[1], h.NegativeBuckets)
	}
	for _, vs := range [][]float64{zeros, counts, sums} {
		dst = appendFloatColumn(dst, vs, s)
	}
	if g.columns() == headColumns {
		return dst
	}
	joined := g.joined()
	var all []float64
	if joined {
		all = make([]float64, 0, g.n*(g.columns()-headColumns))
	}
	for side := range 2 {
		eachBucket(g, side, bs[side], false, func(vs []float64) {
			if joined {
				all = append(all, vs...)
			} else {
				dst = appendFloatColumn(dst, vs, s)
			}
		})
	}
	if joined {
		dst = appendFloatColumn(dst, all, s)
	}
	return dst
}

func (g *scaleGroup) decodeFloats(dst []model.Histogram, src []byte) ([]model.Histogram, []byte, error) {
	var head [3][]float64 // zero counts, counts, sums
	var err error
	for k := range head {
		if head[k], src, err = nextColumn(nil, src, g.n, DecodeFloats); err != nil {
			return nil, nil, err
		}
	}
	var values []float64
	next := func() ([]float64, error) {
		var err error
		values, src, err = nextColumn(values[:0], src, g.n, DecodeFloats)
		return values, err
	}
	if g.columns() > headColumns && g.joined() {
		var all []float64
		if all, src, err = nextColumn(nil, src, g.n*(g.columns()-headColumns), DecodeFloats); err != nil {
			return nil, nil, err
		}
		next = func() ([]float64, error) {
			values, all = all[:g.n], all[g.n:]
			return values, nil
		}
	}
	bs := slabs[float64](g)
	for side := range 2 {
		if err := fillBuckets(g, side, bs[side], false, next, func(int, float64) {}); err != nil {
			return nil, nil, err
		}
	}
	hs, i := make([]histogram.FloatHistogram, g.n), 0
	for _, r := range g.runs {
		for range r.n {
			h := &hs[i]
			*h = *newFloatHistogram(g.layouts[r.layout])
			h.ZeroCount, h.Count, h.Sum = head[0][i], head[1][i], head[2][i]
			h.PositiveBuckets, h.NegativeBuckets = bs[0][i], bs[1][i]
			dst = append(dst, model.Histogram{Float: h})
			i++
		}
	}
	return dst, src, nil
}

// appendFloatColumn appends a column of floats preceded by its length.
func appendFloatColumn(dst []byte, vs []float64, s *scratch) []byte {
	s.column, _ = AppendFloats(s.column[:0], vs, s.tier, 0)
	return AppendBytes(dst, s.column)
}
