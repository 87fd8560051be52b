package encoding

import (
	"slices"

	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
)

// segment is a stretch of a histogram column in which a bucket index means one
// bucket: see histograms.go.
type segment struct {
	runs    []layoutRun
	layouts []layout
	sizes   [][2]int
	n       int          // histograms
	indices [2][][]int32 // of each side, of each layout used: its bucket indices
	union   [2][]int32   // of each side: all bucket indices, rising
}

// newSegment takes k runs of c from the given one on.
func newSegment(c *histogramRuns, from, k int) *segment {
	g := &segment{runs: c.runs[from : from+k], layouts: c.layouts, sizes: c.sizes}
	for side := range 2 {
		g.indices[side] = make([][]int32, len(c.layouts))
		for _, r := range g.runs {
			if size := c.sizes[r.layout][side]; size > 0 && g.indices[side][r.layout] == nil {
				ix := appendIndices(make([]int32, 0, size), c.layouts[r.layout].spans[side])
				g.indices[side][r.layout] = ix
				g.union[side] = append(g.union[side], ix...)
			}
		}
		slices.Sort(g.union[side])
		g.union[side] = slices.Compact(g.union[side])
	}
	for _, r := range g.runs {
		g.n += r.n
	}
	return g
}

// columns returns the number of columns of the segment.
func (g *segment) columns() int { return 3 + len(g.union[0]) + len(g.union[1]) }

// buckets returns the number of buckets of all histograms.
func (g *segment) buckets() (n int) {
	for _, r := range g.runs {
		n += r.n * (g.sizes[r.layout][0] + g.sizes[r.layout][1])
	}
	return n
}

// cursor walks the buckets of a side in the order of their columns.
type cursor struct {
	g    *segment
	side int
	next []int // of each layout: its buckets that lie behind
}

// visit moves to the next bucket and calls f for every run: with the run's
// histograms, from ≤ i < to, and the bucket's place in them, -1 if they lack it.
func (c *cursor) visit(bucket int32, f func(place, from, to int)) {
	from := 0
	for _, r := range c.g.runs {
		place, ix := -1, c.g.indices[c.side][r.layout]
		if p := c.next[r.layout]; p < len(ix) && ix[p] == bucket {
			place = p
		}
		f(place, from, from+r.n)
		from += r.n
	}
	for l, ix := range c.g.indices[c.side] {
		if p := c.next[l]; p < len(ix) && ix[p] == bucket {
			c.next[l]++
		}
	}
}

// appendBuckets appends a column for every bucket of a side. bs holds the
// buckets of each histogram, differences along the histogram if told so.
func appendBuckets[N int64 | float64](dst []byte, g *segment, side int, bs [][]N, differences bool,
	column func(dst []byte, vs []N) []byte) []byte {
	c := cursor{g: g, side: side, next: make([]int, len(g.layouts))}
	values := make([]N, g.n)
	counts := make([]N, g.n) // of the last bucket of each histogram
	for _, bucket := range g.union[side] {
		var last N
		c.visit(bucket, func(place, from, to int) {
			for i := from; i < to; i++ {
				if place >= 0 {
					last = bs[i][place]
					if differences {
						counts[i] += last
						last = counts[i]
					}
				}
				values[i] = last
			}
		})
		dst = column(dst, values)
	}
	return dst
}

// decodeBuckets is the inverse of appendBuckets: it fills bs and returns what
// follows the columns. add is told the counts of every bucket.
func decodeBuckets[N int64 | float64](src []byte, g *segment, side int, bs [][]N, differences bool,
	column func(dst []N, src []byte, n int) ([]N, error), add func(i int, count N)) ([]byte, error) {
	c := cursor{g: g, side: side, next: make([]int, len(g.layouts))}
	var values []N
	counts := make([]N, g.n)
	for _, bucket := range g.union[side] {
		b, rest, err := Bytes(src, maxIntsColumn)
		if err != nil {
			return nil, err
		}
		src = rest
		if values, err = column(values[:0], b, g.n); err != nil {
			return nil, err
		}
		c.visit(bucket, func(place, from, to int) {
			for i := from; i < to && place >= 0; i++ {
				bs[i][place] = values[i]
				if differences {
					bs[i][place] -= counts[i]
					counts[i] = values[i]
				}
				add(i, values[i])
			}
		})
	}
	return src, nil
}

// slabs cuts one allocation into the buckets of all histograms of each side;
// those of a histogram without buckets are nil.
func slabs[N int64 | float64](g *segment) (bs [2][][]N) {
	slab := make([]N, g.buckets())
	for side := range 2 {
		bs[side] = make([][]N, 0, g.n)
		for _, r := range g.runs {
			k := g.sizes[r.layout][side]
			for range r.n {
				if k == 0 {
					bs[side] = append(bs[side], nil)
					continue
				}
				bs[side] = append(bs[side], slab[:k:k])
				slab = slab[k:]
			}
		}
	}
	return bs
}

func (g *segment) appendInts(dst []byte, hs []model.Histogram) []byte {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	column := func(dst []byte, vs []int64) []byte {
		s.bytes, _ = appendInts(s.bytes[:0], vs, tryAll, s)
		return AppendBytes(dst, s.bytes)
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
	dst = column(dst, zeros)
	dst = column(dst, counts)
	dst = appendFloatColumn(dst, sums, s)
	for side := range 2 {
		dst = appendBuckets(dst, g, side, bs[side], true, column)
	}
	return dst
}

func (g *segment) decodeInts(dst []model.Histogram, src []byte) ([]model.Histogram, []byte, error) {
	zeros, src, err := nextColumn(src, g.n, DecodeTimestamps)
	if err != nil {
		return nil, nil, err
	}
	counts, src, err := nextColumn(src, g.n, DecodeTimestamps)
	if err != nil {
		return nil, nil, err
	}
	sums, src, err := nextColumn(src, g.n, DecodeFloats)
	if err != nil {
		return nil, nil, err
	}
	bs := slabs[int64](g)
	for side := range 2 {
		src, err = decodeBuckets(src, g, side, bs[side], true, DecodeTimestamps, func(i int, count int64) { counts[i] += count })
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
	return dst, src, nil
}

func (g *segment) appendFloats(dst []byte, hs []model.Histogram) []byte {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	column := func(dst []byte, vs []float64) []byte { return appendFloatColumn(dst, vs, s) }
	zeros, counts, sums := make([]float64, g.n), make([]float64, g.n), make([]float64, g.n)
	var bs [2][][]float64
	for i, m := range hs {
		h := m.Float
		zeros[i], counts[i], sums[i] = h.ZeroCount, h.Count, h.Sum
		bs[0], bs[1] = append(bs[0], h.PositiveBuckets), append(bs[1], h.NegativeBuckets)
	}
	for _, vs := range [][]float64{zeros, counts, sums} {
		dst = column(dst, vs)
	}
	for side := range 2 {
		dst = appendBuckets(dst, g, side, bs[side], false, column)
	}
	return dst
}

func (g *segment) decodeFloats(dst []model.Histogram, src []byte) ([]model.Histogram, []byte, error) {
	var head [3][]float64 // zero counts, counts, sums
	var err error
	for k := range head {
		if head[k], src, err = nextColumn(src, g.n, DecodeFloats); err != nil {
			return nil, nil, err
		}
	}
	bs := slabs[float64](g)
	for side := range 2 {
		src, err = decodeBuckets(src, g, side, bs[side], false, DecodeFloats, func(int, float64) {})
		if err != nil {
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

// appendFloatColumn appends a column of floats with its length before it.
func appendFloatColumn(dst []byte, vs []float64, s *scratch) []byte {
	s.column, _ = AppendFloats(s.column[:0], vs, 0)
	return AppendBytes(dst, s.column)
}

// nextColumn decodes a column of n values with its length before it, and
// returns what follows it.
func nextColumn[N any](src []byte, n int, decode func([]N, []byte, int) ([]N, error)) ([]N, []byte, error) {
	b, rest, err := Bytes(src, maxIntsColumn)
	if err != nil {
		return nil, nil, err
	}
	vs, err := decode(nil, b, n)
	return vs, rest, err
}
