package objstore

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Costs say when it pays to read ranges together.
type Costs struct {
	Gap      int64 // bytes between two ranges that are read rather than skipped
	MaxSpan  int64 // bytes read at once for several ranges; a single range may be longer
	Parallel int   // reads of one call under way at a time, ≥ 1
}

// ReadFunc fills p from offset off of an object on.
type ReadFunc func(ctx context.Context, p []byte, off int64) error

// span is a run of ranges, in the order of their offsets, that are read at once.
type span struct {
	from, to int // half-open, in the order
	off, end int64
}

// planSpans returns the indexes of ranges in the order of their offsets, and the
// spans that these are read in.
func (c Costs) planSpans(ranges []Range) (order []int, spans []span) {
	order = make([]int, len(ranges))
	for i := range order {
		order[i] = i
	}
	byOffset := func(a, b int) int { return cmp.Compare(ranges[a].Offset, ranges[b].Offset) }
	if !slices.IsSortedFunc(order, byOffset) {
		slices.SortStableFunc(order, byOffset)
	}
	spans = make([]span, 0, len(ranges))
	for k, i := range order {
		off, end := ranges[i].Offset, ranges[i].Offset+int64(len(ranges[i].Data))
		if n := len(spans); n > 0 {
			s := &spans[n-1]
			if joined := max(s.end, end); off-s.end <= c.Gap && joined-s.off <= c.MaxSpan {
				s.to, s.end = k+1, joined
				continue
			}
		}
		spans = append(spans, span{from: k, to: k + 1, off: off, end: end})
	}
	return order, spans
}

// spanBuffers are reused for spans of several ranges: MaxSpan bytes are many to
// allocate for ranges that have a few hundred (BenchmarkReadRanges).
var spanBuffers sync.Pool // *[]byte

// ReadRanges implements Object.ReadRanges with calls of read.
func (c Costs) ReadRanges(ctx context.Context, read ReadFunc, ranges []Range) error {
	if len(ranges) == 1 {
		ranges[0].Err = read(ctx, ranges[0].Data, ranges[0].Offset)
		return ranges[0].Err
	}
	order, spans := c.planSpans(ranges)
	var next atomic.Int64
	work := func() {
		for {
			n := int(next.Add(1)) - 1
			if n >= len(spans) {
				return
			}
			readSpan(ctx, read, ranges, order, spans[n])
		}
	}
	var others sync.WaitGroup
	for range min(c.Parallel, len(spans)) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	for i := range ranges {
		if ranges[i].Err != nil {
			return ranges[i].Err
		}
	}
	return nil
}

// readSpan reads the ranges of a span, at once if that works and otherwise one by
// one, so that each gets an error of its own.
func readSpan(ctx context.Context, read ReadFunc, ranges []Range, order []int, s span) {
	if s.to-s.from > 1 {
		buf, _ := spanBuffers.Get().(*[]byte)
		if buf == nil {
			buf = new([]byte)
		}
		defer spanBuffers.Put(buf)
		*buf = slices.Grow((*buf)[:0], int(s.end-s.off))[:s.end-s.off]
		if read(ctx, *buf, s.off) == nil {
			for _, i := range order[s.from:s.to] {
				r := &ranges[i]
				r.Err = nil
				copy(r.Data, (*buf)[r.Offset-s.off:])
			}
			return
		}
	}
	for _, i := range order[s.from:s.to] {
		r := &ranges[i]
		r.Err = read(ctx, r.Data, r.Offset)
	}
}
