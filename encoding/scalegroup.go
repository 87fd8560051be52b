package encoding

import (
	"slices"
)

// scaleGroup is a part of a histogram column in which a bucket index means the same
// bucket in all histograms: see histograms.go.
type scaleGroup struct {
	runs    []layoutRun
	layouts []layout
	sizes   [][2]int
	n       int          // histograms
	indices [2][][]int32 // of each side, of each layout used: its bucket indices
	union   [2][]int32   // of each side: all bucket indices, rising
}

// newScaleGroup returns the group of k runs of c, beginning with run from.
func newScaleGroup(c *histogramRuns, from, k int) *scaleGroup {
	g := &scaleGroup{runs: c.runs[from : from+k], layouts: c.layouts, sizes: c.sizes}
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

// columns returns the number of columns of the group if none are joined.
func (g *scaleGroup) columns() int { return headColumns + len(g.union[0]) + len(g.union[1]) }

// headColumns is the number of columns other than those of buckets.
const headColumns = 3

// buckets returns the number of buckets of all histograms.
func (g *scaleGroup) buckets() (n int) {
	for _, r := range g.runs {
		n += r.n * (g.sizes[r.layout][0] + g.sizes[r.layout][1])
	}
	return n
}

// cursor walks the buckets of a side in the order of their columns.
type cursor struct {
	g    *scaleGroup
	side int
	next []int // of each layout: number of its buckets already visited
}

// visit moves to the next bucket and calls f for every run: with the run's
// histograms, from ≤ i < to, and the bucket's position among their buckets, -1 if
// they lack it.
func (c *cursor) visit(bucket int32, f func(pos, from, to int)) {
	from := 0
	for _, r := range c.g.runs {
		pos, ix := -1, c.g.indices[c.side][r.layout]
		if p := c.next[r.layout]; p < len(ix) && ix[p] == bucket {
			pos = p
		}
		f(pos, from, from+r.n)
		from += r.n
	}
	for l, ix := range c.g.indices[c.side] {
		if p := c.next[l]; p < len(ix) && ix[p] == bucket {
			c.next[l]++
		}
	}
}

// joined reports whether the buckets of the group share their columns: with few
// histograms, headers would make up most of a column for each bucket.
func (g *scaleGroup) joined() bool {
	return g.n <= joinedHistograms && g.n*(len(g.union[0])+len(g.union[1])) <= MaxValues
}

const joinedHistograms = 48

// eachBucket calls emit with the counts over time of every bucket of a side; they
// are valid until emit returns. bs holds the buckets of each histogram: if
// differences is set, as differences from the previous bucket of the histogram.
func eachBucket[N int64 | float64](g *scaleGroup, side int, bs [][]N, differences bool, emit func(vs []N)) {
	c := cursor{g: g, side: side, next: make([]int, len(g.layouts))}
	values := make([]N, g.n)
	counts := make([]N, g.n) // of the last bucket of each histogram
	for _, bucket := range g.union[side] {
		var last N
		c.visit(bucket, func(pos, from, to int) {
			for i := from; i < to; i++ {
				if pos >= 0 {
					last = bs[i][pos]
					if differences {
						counts[i] += last
						last = counts[i]
					}
				}
				values[i] = last
			}
		})
		emit(values)
	}
}

// fillBuckets is the inverse of eachBucket: it fills bs with the counts that next
// returns. It calls add with every count.
func fillBuckets[N int64 | float64](g *scaleGroup, side int, bs [][]N, differences bool, next func() ([]N, error), add func(i int, count N)) error {
	c := cursor{g: g, side: side, next: make([]int, len(g.layouts))}
	counts := make([]N, g.n)
	for _, bucket := range g.union[side] {
		values, err := next()
		if err != nil {
			return err
		}
		c.visit(bucket, func(pos, from, to int) {
			for i := from; i < to && pos >= 0; i++ {
				bs[i][pos] = values[i]
				if differences {
					bs[i][pos] -= counts[i]
					counts[i] = values[i]
				}
				add(i, values[i])
			}
		})
	}
	return nil
}

// slabs cuts one allocation into the buckets of all histograms of each side;
// those of a histogram without buckets are nil.
func slabs[N int64 | float64](g *scaleGroup) (bs [2][][]N) {
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

// nextColumn decodes a column of n values preceded by its length and returns the
// rest of src.
func nextColumn[N any](dst []N, src []byte, n int, decode func([]N, []byte, int) ([]N, error)) ([]N, []byte, error) {
	b, rest, err := Bytes(src, maxIntsColumn)
	if err != nil {
		return nil, nil, err
	}
	vs, err := decode(dst, b, n)
	return vs, rest, err
}
