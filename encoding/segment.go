package encoding

import (
	"encoding/binary"
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
	indices [2][][]int32 // of each side of a layout: its bucket indices; nil if not used here
	union   [2][]int32   // of each side: all bucket indices, rising
}

func newSegment(c *histogramRuns, from, k int) *segment {
	g := &segment{runs: c.runs[from : from+k], layouts: c.layouts, sizes: c.sizes}
	for side := range 2 {
		g.indices[side] = make([][]int32, len(c.layouts))
		for _, r := range g.runs {
			if g.indices[side][r.layout] == nil && c.sizes[r.layout][side] > 0 {
				ix := appendIndices(make([]int32, 0, c.sizes[r.layout][side]), c.layouts[r.layout].spans[side])
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

// eachBucket calls visit for every bucket of a side and every run, in the order
// of the columns: with the place of the bucket in the run's histograms, -1 if
// they lack it, and the run's first histogram; after the last run of a bucket
// with done.
func (g *segment) eachBucket(side int, begin func() error, visit func(place, from, to int), done func()) error {
	next := make([]int, len(g.layouts))
	for _, bucket := range g.union[side] {
		if err := begin(); err != nil {
			return err
		}
		from := 0
		for _, r := range g.runs {
			place, ix := -1, g.indices[side][r.layout]
			if p := next[r.layout]; p < len(ix) && ix[p] == bucket {
				place = p
			}
			visit(place, from, from+r.n)
			from += r.n
		}
		for l, ix := range g.indices[side] {
			if p := next[l]; p < len(ix) && ix[p] == bucket {
				next[l]++
			}
		}
		done()
	}
	return nil
}

func ok() error { return nil }

func intBuckets(h *histogram.Histogram, side int) *[]int64 {
	if side == 0 {
		return &h.PositiveBuckets
	}
	return &h.NegativeBuckets
}

func floatBuckets(h *histogram.FloatHistogram, side int) *[]float64 {
	if side == 0 {
		return &h.PositiveBuckets
	}
	return &h.NegativeBuckets
}

func (g *segment) appendInts(dst []byte, hs []model.Histogram) []byte {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	column := func(vs []int64) {
		s.bytes, _ = appendInts(s.bytes[:0], vs, tryAll, s)
		dst = AppendBytes(dst, s.bytes)
	}
	values := make([]int64, g.n)   // the column at hand
	absolute := make([]int64, g.n) // the count of the last bucket of the side
	counts := make([]int64, g.n)
	sums := make([]float64, g.n)
	for i, h := range hs {
		values[i] = int64(h.Int.ZeroCount)
		counts[i] = int64(h.Int.Count - h.Int.ZeroCount)
		sums[i] = h.Int.Sum
	}
	column(values)
	buckets := dst[len(dst):]
	_ = buckets
	for side := range 2 {
		clear(absolute)
		for i, h := range hs {
			abs := int64(0)
			for _, d := range *intBuckets(h.Int, side) {
				abs += d
				counts[i] -= abs
			}
		}
	}
	column(counts)
	dst = appendFloatColumn(dst, sums, s)
	for side := range 2 {
		clear(absolute)
		last := int64(0)
		g.eachBucket(side, ok, func(place, from, to int) {
			if place < 0 {
				for i := from; i < to; i++ {
					values[i] = last
				}
				return
			}
			for i := from; i < to; i++ {
				absolute[i] += (*intBuckets(hs[i].Int, side))[place]
				values[i] = absolute[i]
			}
			last = values[to-1]
		}, func() { column(values); last = 0 })
	}
	return dst
}

func appendFloatColumn(dst []byte, vs []float64, s *scratch) []byte {
	b, _ := AppendFloats(nil, vs, 0)
	return AppendBytes(dst, b)
}

func (g *segment) appendFloats(dst []byte, hs []model.Histogram) []byte {
	values := make([]float64, g.n)
	var hint FloatHint
	var b []byte
	column := func() {
		b, hint = AppendFloats(b[:0], values, hint)
		dst = AppendBytes(dst, b)
	}
	for _, of := range []func(*histogram.FloatHistogram) float64{
		func(h *histogram.FloatHistogram) float64 { return h.ZeroCount },
		func(h *histogram.FloatHistogram) float64 { return h.Count },
		func(h *histogram.FloatHistogram) float64 { return h.Sum },
	} {
		for i, h := range hs {
			values[i] = of(h.Float)
		}
		hint = 0
		column()
	}
	for side := range 2 {
		last := 0.0
		g.eachBucket(side, ok, func(place, from, to int) {
			if place < 0 {
				for i := from; i < to; i++ {
					values[i] = last
				}
				return
			}
			for i := from; i < to; i++ {
				values[i] = (*floatBuckets(hs[i].Float, side))[place]
			}
			last = values[to-1]
		}, func() { column(); last = 0 })
	}
	return dst
}

func (g *segment) decodeInts(dst []model.Histogram, src []byte) ([]model.Histogram, []byte, error) {
	var values, counts []int64
	column := func(to *[]int64) func() error {
		return func() (err error) {
			var b []byte
			if b, src, err = Bytes(src, maxIntsColumn); err != nil {
				return err
			}
			*to, err = DecodeTimestamps((*to)[:0], b, g.n)
			return err
		}
	}
	nextColumn := column(&values)
	if err := nextColumn(); err != nil {
		return nil, nil, err
	}
	if err := column(&counts)(); err != nil {
		return nil, nil, err
	}
	b, src, err := Bytes(src, maxIntsColumn)
	if err != nil {
		return nil, nil, err
	}
	sums, err := DecodeFloats(nil, b, g.n)
	if err != nil {
		return nil, nil, err
	}
	hs := make([]histogram.Histogram, g.n)
	at, total := 0, 0
	for _, r := range g.runs {
		l := g.layouts[r.layout]
		for i := at; i < at+r.n; i++ {
			hs[i] = *newIntHistogram(l)
			hs[i].ZeroCount, hs[i].Count, hs[i].Sum = uint64(values[i]), uint64(counts[i]+values[i]), sums[i]
		}
		at += r.n
		total += r.n * (g.sizes[r.layout][0] + g.sizes[r.layout][1])
	}
	slab := make([]int64, total)
	absolute := make([]int64, g.n)
	for side := range 2 {
		at = 0
		for _, r := range g.runs {
			k := g.sizes[r.layout][side]
			for i := at; i < at+r.n && k > 0; i++ {
				*intBuckets(&hs[i], side), slab = slab[:k:k], slab[k:]
			}
			at += r.n
		}
		clear(absolute)
		err := g.eachBucket(side, nextColumn, func(place, from, to int) {
			for i := from; i < to && place >= 0; i++ {
				(*intBuckets(&hs[i], side))[place] = values[i] - absolute[i]
				absolute[i] = values[i]
				hs[i].Count += uint64(values[i])
			}
		}, func() {})
		if err != nil {
			return nil, nil, err
		}
	}
	for i := range hs {
		dst = append(dst, model.Histogram{Int: &hs[i]})
	}
	return dst, src, nil
}

func (g *segment) decodeFloats(dst []model.Histogram, src []byte) ([]model.Histogram, []byte, error) {
	var values []float64
	column := func() (err error) {
		var b []byte
		if b, src, err = Bytes(src, maxIntsColumn); err != nil {
			return err
		}
		values, err = DecodeFloats(values[:0], b, g.n)
		return err
	}
	hs := make([]histogram.FloatHistogram, g.n)
	at, total := 0, 0
	for _, r := range g.runs {
		l := g.layouts[r.layout]
		for i := at; i < at+r.n; i++ {
			hs[i] = *newFloatHistogram(l)
		}
		at += r.n
		total += r.n * (g.sizes[r.layout][0] + g.sizes[r.layout][1])
	}
	for _, set := range []func(*histogram.FloatHistogram, float64){
		func(h *histogram.FloatHistogram, v float64) { h.ZeroCount = v },
		func(h *histogram.FloatHistogram, v float64) { h.Count = v },
		func(h *histogram.FloatHistogram, v float64) { h.Sum = v },
	} {
		if err := column(); err != nil {
			return nil, nil, err
		}
		for i, v := range values {
			set(&hs[i], v)
		}
	}
	slab := make([]float64, total)
	for side := range 2 {
		at = 0
		for _, r := range g.runs {
			k := g.sizes[r.layout][side]
			for i := at; i < at+r.n && k > 0; i++ {
				*floatBuckets(&hs[i], side), slab = slab[:k:k], slab[k:]
			}
			at += r.n
		}
		err := g.eachBucket(side, column, func(place, from, to int) {
			for i := from; i < to && place >= 0; i++ {
				(*floatBuckets(&hs[i], side))[place] = values[i]
			}
		}, func() {})
		if err != nil {
			return nil, nil, err
		}
	}
	for i := range hs {
		dst = append(dst, model.Histogram{Float: &hs[i]})
	}
	return dst, src, nil
}

var _ = binary.AppendUvarint
