package encoding

import (
	"encoding/binary"
	"math"
	"math/bits"

	"tsdb/encoding/internal/bitpack"
)

// A column of integers, the core of timestamp, float and histogram columns:
//
//	┌────────┬──────────────┬─────────┬─────────────────────────────────┐
//	│ id (1) │ base (zz)    │ gcd (u) │ payload of order and coder      │
//	└────────┴──────────────┴─────────┴─────────────────────────────────┘
//	raw    CONST  —                                v[i] = base
//	raw    PACK   bits                             v[i] = base + gcd·u[i]
//	delta  CONST  low (zz)                         v[0] = base, v[i] = v[i-1] + gcd·low
//	delta  PACK   low (zz), bits                   v[i] = v[i-1] + gcd·(low + u[i])
//	delta2 both   first (zz), then as delta        d[1] = first, d[i] = d[i-1] + low + u[i],
//	                                               v[i] = v[i-1] + gcd·d[i]
//
// (u) is an unsigned varint, (zz) a signed one. gcd is there if its bit in id
// is set. Everything is computed modulo 2^64.

// intHeader is what is known of a column of integers before its residuals.
type intHeader struct {
	order Order
	coder Coder
	base  int64  // the value of residual zero, or the first value
	gcd   uint64 // ≥ 1
	first int64  // the first difference, in units of gcd; delta2 only
	low   int64  // added to every residual, in units of gcd; 0 if raw
	pack  packHeader
}

// orders is a set of orders to choose from.
type orders uint8

const (
	tryRaw    orders = 1 << OrderRaw
	tryDelta  orders = 1 << OrderDelta
	tryDelta2 orders = 1 << OrderDelta2
	tryAll           = tryRaw | tryDelta | tryDelta2
)

// plan is the choice made for a column: the order, its window and what the
// residuals and the numbers before them take.
type plan struct {
	order Order
	window
}

// planInts chooses the order that takes the fewest bits; the first of equals,
// which is also the faster one to decode.
func planInts(ks []int64, try orders, s *scratch) plan {
	best := plan{window: window{cost: math.MaxInt}}
	for o := OrderRaw; o <= OrderDelta2; o++ {
		if try&(1<<o) == 0 || int(o) >= len(ks) {
			continue
		}
		sp := &s.spreads[o]
		sp.measure(ks, o)
		w := sp.best()
		switch o {
		case OrderDelta:
			w.cost += 8 * varintLen(w.low)
		case OrderDelta2:
			w.cost += 8 * (varintLen(w.low) + varintLen(ks[1]-ks[0]))
		}
		if w.cost < best.cost {
			best = plan{o, w}
		}
	}
	if best.cost == math.MaxInt { // a column shorter than all orders of the set
		return planInts(ks, tryRaw, s)
	}
	return best
}

func varintLen(v int64) int { return (bits.Len64(zigzag(v)|1) + 6) / 7 }

// appendInts appends a column of at least one integer and returns the plan it
// followed. It leaves vs alone; vs may be s.ints.
func appendInts(dst []byte, vs []int64, try orders, s *scratch) ([]byte, plan) {
	g := commonDivisor(vs)
	origin, ks := int64(0), vs
	if g > 1 {
		origin = vs[0]
		s.units = sized(s.units, len(vs))
		ks = s.units
		divideAll(ks, vs, g)
	}
	p := planInts(ks, try, s)
	s.words = sized(s.words, len(ks))
	us := residuals(s.words, ks, p)

	low, first, unit := p.low, int64(0), int64(max(g, 1))
	if p.order == OrderDelta2 {
		first = ks[1] - ks[0]
	}
	coder := CoderPack
	if p.width == 0 && !p.patched {
		// Two numbers are all there is: the divisor would cost more than it saves.
		coder, low, first, g = CoderConst, low*unit, first*unit, 1
	}
	dst = append(dst, intByte(p.order, coder, g > 1))
	if p.order == OrderRaw {
		dst = binary.AppendVarint(dst, origin+unit*p.low)
	} else {
		dst = binary.AppendVarint(dst, vs[0])
	}
	if g > 1 {
		dst = binary.AppendUvarint(dst, g)
	}
	if p.order == OrderDelta2 {
		dst = binary.AppendVarint(dst, first)
	}
	if p.order != OrderRaw {
		dst = binary.AppendVarint(dst, low)
	}
	if coder == CoderPack {
		dst = appendPack(dst, us, p.width, s)
	}
	return dst, p
}

// residuals writes what the plan's order leaves of ks, minus low, and returns
// them. us is as long as ks.
func residuals(us []uint64, ks []int64, p plan) []uint64 {
	us = us[:len(ks)]
	low := uint64(p.low)
	switch p.order {
	case OrderRaw:
		for i, k := range ks {
			us[i] = uint64(k) - low
		}
		return us
	case OrderDelta:
		prev := uint64(ks[0])
		for i, k := range ks {
			us[i] = uint64(k) - prev - low
			prev = uint64(k)
		}
		return us[1:]
	}
	prev, step := uint64(ks[0]), uint64(0)
	for i, k := range ks {
		d := uint64(k) - prev
		us[i] = d - step - low
		prev, step = uint64(k), d
	}
	return us[2:]
}

// parseInts reads the numbers before the residuals of a column of n ≥ 1
// integers.
func parseInts(src []byte, n int) (h intHeader, rest []byte, err error) {
	if len(src) == 0 {
		return h, nil, corruptf("integers: no id byte")
	}
	id := src[0]
	h.order, h.coder, h.gcd = Order(id&intOrder), Coder(id&intCoder>>coderBits), 1
	if h.order > OrderDelta2 || h.coder != CoderConst && h.coder != CoderPack || id&intExtra != 0 {
		return h, nil, corruptf("integers: unknown id %#02x (order %s, coder %s)", id, h.order, h.coder)
	}
	if n < int(h.order)+1 {
		return h, nil, corruptf("integers: order %s of %d values", h.order, n)
	}
	if h.base, src, err = Varint(src[1:]); err != nil {
		return h, nil, err
	}
	if id&intGCD != 0 {
		if h.gcd, src, err = Uvarint(src); err != nil {
			return h, nil, err
		}
		if h.gcd < 2 {
			return h, nil, corruptf("integers: gcd %d", h.gcd)
		}
	}
	if h.order == OrderDelta2 {
		if h.first, src, err = Varint(src); err != nil {
			return h, nil, err
		}
	}
	if h.order != OrderRaw {
		if h.low, src, err = Varint(src); err != nil {
			return h, nil, err
		}
	}
	m := n - int(h.order)
	if h.coder == CoderPack {
		h.pack, src, err = parsePack(src, m)
	}
	return h, src, err
}

// unpackInts reads a column whose residuals it leaves in w, from w[h.order] on;
// src is all of it.
func unpackInts(w []uint64, src []byte) (h intHeader, err error) {
	h, rest, err := parseInts(src, len(w))
	if err != nil {
		return h, err
	}
	us := w[h.order:]
	if h.coder == CoderConst {
		clear(us)
	} else if rest, err = unpack(us, rest, h.pack); err != nil {
		return h, err
	}
	if len(rest) > 0 {
		return h, corruptf("integers: %d bytes left over", len(rest))
	}
	return h, nil
}

// decodeInts fills w, which is not empty, with the integers of a column; src is
// all of it.
func decodeInts(w []uint64, src []byte) error {
	h, err := unpackInts(w, src)
	if err != nil {
		return err
	}
	integrate(w, h)
	return nil
}

// integrate turns the residuals that unpackInts left into integers.
func integrate(w []uint64, h intHeader) {
	base, g, low := uint64(h.base), h.gcd, uint64(h.low)*h.gcd
	switch h.order {
	case OrderRaw:
		for i, u := range w {
			w[i] = base + g*u
		}
	case OrderDelta:
		w[0] = base
		rest := w[1:]
		for i, u := range rest {
			base += low + g*u
			rest[i] = base
		}
	case OrderDelta2:
		step := uint64(h.first) * g
		w[0], w[1] = base, base+step
		base += step
		rest := w[2:]
		for i, u := range rest {
			step += low + g*u
			base += step
			rest[i] = base
		}
	}
}

// pack layout: see pack.go.
type packHeader struct {
	width   uint
	patches int
}

func (h packHeader) bytes(n int) int { return bitpack.Len(n, h.width) }
