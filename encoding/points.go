package encoding

import (
	"encoding/binary"
	"math"
)

// Restart points: the state needed to decode a long column from the middle on. The
// residuals are split into four parts, the same as those of four Huffman streams.
// Each part but the first has a restart point, which sums up the part before it:
//
//	┌────────────────────────┬───────────────┬─────────────────────────┐
//	│ [zv sum of residuals]  │ [zv distance] │ [uv bits]               │  three times
//	└────────────────────────┴───────────────┴─────────────────────────┘
//	  delta │ delta2           delta2          tokens have extra bits
//
// All three belong to the part before the point. The distance, in units of gcd, is
// the difference between the last value of that part and its extrapolation by the
// step before the part. A decoder that passes a point compares it with its own state.

const (
	pointParts = 4
	// pointsFrom is the minimum number of values of columns with points. Points
	// take 3 to 30 bytes, 0.5 % of the column, and cut the time to decode its last
	// twelfth to a third or half (BenchmarkFloatsDecodeEnd).
	pointsFrom = 2048
)

// partLen returns the number of residuals in each part; the last part may be
// shorter. Parts of packed residuals begin at a whole byte.
func (c Coder) partLen(residuals int) int {
	part := (residuals + pointParts - 1) / pointParts
	if c == CoderPack {
		part = (part + packUnit - 1) / packUnit * packUnit
	}
	return part
}

// appendPoints appends the points of ks. extra is the number of extra bits in each
// part, written only if wide.
func (h intHead) appendPoints(dst []byte, ks []int64, extra [pointParts]int, wide bool) []byte {
	heads := h.order.heads()
	part := h.coder.partLen(len(ks) - heads)
	for k := range pointParts - 1 {
		// The last values before the part and before the point.
		a, b := heads+k*part-1, heads+(k+1)*part-1
		switch h.order {
		case OrderDelta:
			dst = binary.AppendVarint(dst, ks[b]-ks[a]-int64(part)*h.low)
		case OrderDelta2:
			step := ks[a] - ks[a-1]
			dst = binary.AppendVarint(dst, ks[b]-ks[b-1]-step-int64(part)*h.low)
			dst = binary.AppendVarint(dst, ks[b]-ks[a]-int64(part)*step)
		}
		if wide {
			dst = binary.AppendUvarint(dst, uint64(extra[k]))
		}
	}
	return dst
}

// parsePoints reads the points of a column of m residuals. The fields before them
// in h are set already.
func (h *intHeader) parsePoints(src []byte, m int, extra bool) (rest []byte, err error) {
	numbers := 0 // of a point
	switch h.order {
	case OrderDelta:
		numbers = 1
	case OrderDelta2:
		numbers = 2
	}
	if extra {
		numbers++
	}
	if numbers == 0 || h.order == OrderGrid || (pointParts-1)*h.coder.partLen(m) >= m {
		return nil, corruptf("integers: restart points of %d residuals (order %s, coder %s)", m, h.order, h.coder)
	}
	rest = src
	for range numbers * (pointParts - 1) {
		if _, rest, err = Uvarint(rest); err != nil {
			return nil, err
		}
	}
	h.points = src[:len(src)-len(rest)]
	return rest, nil
}

// pointReader reads the points of a column in order.
type pointReader struct {
	order     Order
	wide      bool   // tokens have extra bits
	src       []byte // not read yet
	part      int
	gcd, low  uint64 // low is summed over a whole part, times gcd
	value     uint64 // last value before the next point
	step      uint64 // last difference before it, times gcd
	extraBits uint   // extra bits of tokens before it
}

// begin prepares to read the points of a column of m residuals. value and step
// belong to the values before the first residual.
func (r *pointReader) begin(h *intHeader, m int, value, step uint64) {
	part := h.coder.partLen(m)
	*r = pointReader{order: h.order, wide: h.tokens.extra != nil, src: h.points,
		part: part, gcd: h.gcd, low: uint64(h.low) * h.gcd * uint64(part), value: value, step: step}
}

// next reads the next point and returns the number of residuals between it and the
// previous point, math.MaxInt if there is no further point.
func (r *pointReader) next() (left int, err error) {
	if len(r.src) == 0 {
		return math.MaxInt, nil
	}
	// Reading cannot fail: parsePoints has read them all.
	number := func() (u uint64) {
		u, r.src, _ = Uvarint(r.src)
		return u
	}
	switch r.order {
	case OrderDelta:
		r.value += r.low + r.gcd*uint64(unzigzag(number()))
	case OrderDelta2:
		step := r.step
		r.step += r.low + r.gcd*uint64(unzigzag(number()))
		r.value += uint64(r.part)*step + r.gcd*uint64(unzigzag(number()))
	}
	if r.wide {
		bits := number()
		if bits > uint64(r.part)*tokenMaxExtra {
			return 0, corruptf("restart point: %d extra bits of %d residuals", bits, r.part)
		}
		r.extraBits += uint(bits)
	}
	return r.part, nil
}

// passed records that n more residuals have been decoded, none of them beyond the
// next point. At a point it verifies that the decoder's state equals the point's.
func (r *intReader) passed(n int) error {
	if r.left -= n; r.left > 0 {
		return nil
	}
	p := &r.memory.points
	if p.order != OrderRaw && p.value != r.value || p.order == OrderDelta2 && p.step != r.step ||
		p.wide && p.extraBits != r.memory.tokens.at {
		return corruptf("restart point: not what the values before it come to")
	}
	var err error
	r.left, err = p.next()
	return err
}

// enter moves to the last residual at or before p at which decoding can start, and
// returns its index and the number of extra bits before it. Decoding can start at
// restart points; in a column without them whose values do not depend on previous
// ones it can start at multiples of unit. unit is 0 if the coder can start only at
// the first residual.
func (r *intReader) enter(p, unit int) (at int, extraBits uint, err error) {
	for r.left <= p-at {
		at += r.left
		point := &r.memory.points
		if r.header.order != OrderRaw {
			r.value, r.step = point.value, point.step
		}
		extraBits = point.extraBits
		if r.left, err = point.next(); err != nil {
			return 0, 0, err
		}
	}
	if at > 0 || r.header.order == OrderDelta || r.header.order == OrderDelta2 || unit == 0 || r.header.points != nil {
		return at, extraBits, nil
	}
	at = p - p%unit
	if r.header.order == OrderGrid {
		r.value += uint64(at) * r.step
	}
	return at, 0, nil
}
