package encoding

import (
	"encoding/binary"
	"math"
	"math/bits"
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

// orders is a set of orders to choose from, and how to choose.
type orders uint8

const (
	tryRaw    orders = 1 << OrderRaw
	tryDelta  orders = 1 << OrderDelta
	tryDelta2 orders = 1 << OrderDelta2
	tryAll           = tryRaw | tryDelta | tryDelta2
	binary2   orders = 1 << 3 // look for powers of two as divisor only
	hinted    orders = 1 << 4 // the one order is a hint: try all if another looks better
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
	if try&hinted != 0 && (len(ks) >= pruneFrom || !looksBest(ks, try)) {
		try = tryAll
	}
	if len(ks) >= pruneFrom && bits.OnesCount8(uint8(try&tryAll)) > 1 {
		try = pruneOrders(ks, try, s)
	}
	best := plan{window: window{cost: math.MaxInt}}
	for o := OrderRaw; o <= OrderDelta2; o++ {
		if try&(1<<o) == 0 || int(o) >= len(ks) {
			continue
		}
		sp := &s.spreads[o]
		sp.measure(ks, o)
		w := sp.best()
		w.cost += headCost(ks, o, w)
		if w.cost < best.cost {
			best = plan{o, w}
		}
	}
	if best.cost == math.MaxInt { // a column shorter than all orders of the set
		return planInts(ks, tryRaw, s)
	}
	return best
}

// looksBest reports whether of a few residuals no other order leaves fewer bits
// than the one of try. A bit in sixteen is no difference.
func looksBest(ks []int64, try orders) bool {
	least, own := 64, 64
	for o := OrderRaw; o <= OrderDelta2 && int(o) < len(ks); o++ {
		few, n := fewResiduals(ks, o)
		// Without the outermost, which may be a reset.
		width := bits.Len64(uint64(few[max(n-2, 0)] - few[min(1, n-1)]))
		if least = min(least, width); try&(1<<o) != 0 {
			own = width
		}
	}
	return own <= least+1+least/16
}

// headCost returns the bits before the residuals, as far as orders differ.
func headCost(ks []int64, o Order, w window) int {
	switch o {
	case OrderDelta:
		return 8 * varintLen(w.low)
	case OrderDelta2:
		return 8 * (varintLen(w.low) + varintLen(ks[1]-ks[0]))
	}
	return 0
}

const (
	pruneFrom    = 1024 // values from which on orders are first compared on a part of them
	pruneParts   = 8
	pruneStretch = 48
)

// pruneOrders returns the orders worth measuring in full: those that a few
// stretches of the column do not show to be an eighth worse than the best.
func pruneOrders(ks []int64, try orders, s *scratch) orders {
	var cost [3]int
	best := math.MaxInt
	for o := OrderRaw; o <= OrderDelta2; o++ {
		if try&(1<<o) == 0 {
			continue
		}
		sp := &s.spreads[o]
		sp.begin(ks, o)
		for i := range pruneParts {
			at := i * (len(ks) - pruneStretch) / (pruneParts - 1)
			sp.add(ks[at:at+pruneStretch], o)
		}
		cost[o] = sp.best().cost
		best = min(best, cost[o])
	}
	for o, c := range cost {
		if c > best+best/8 {
			try &^= 1 << o
		}
	}
	return try
}

func varintLen(v int64) int { return (bits.Len64(zigzag(v)|1) + 6) / 7 }

// appendInts appends a column of at least one integer and returns the plan it
// followed. It leaves vs alone; vs may be s.ints.
func appendInts(dst []byte, vs []int64, try orders, s *scratch) ([]byte, plan) {
	if step, ok := arithmetic(vs); ok && try != tryRaw {
		return appendArithmetic(dst, vs[0], step)
	}
	g := uint64(0)
	if try&binary2 != 0 {
		g = commonPowerOfTwo(vs)
	} else {
		g = commonDivisor(vs)
	}
	origin, ks := int64(0), vs
	if g > 1 {
		origin = vs[0]
		s.units = sized(s.units, len(vs))
		ks = s.units
		newDivisor(g).units(ks, vs)
	}
	p := planInts(ks, try, s)
	s.words = sized(s.words, len(ks))
	us := residuals(s.words, ks, p)

	low, first, unit := p.low, int64(0), int64(g)
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
		dst = appendPack(dst, us, p.width, p.patched, s)
	}
	return dst, p
}

// arithmetic reports whether all values are equally far apart, and how far.
func arithmetic(vs []int64) (step int64, ok bool) {
	if len(vs) == 1 {
		return 0, true
	}
	step = vs[1] - vs[0]
	prev := vs[0]
	for _, v := range vs[1:] {
		if v-prev != step {
			return 0, false
		}
		prev = v
	}
	return step, true
}

// appendArithmetic appends the column of values that are equally far apart.
func appendArithmetic(dst []byte, first, step int64) ([]byte, plan) {
	if step == 0 {
		dst = append(dst, intByte(OrderRaw, CoderConst, false))
		return binary.AppendVarint(dst, first), plan{order: OrderRaw}
	}
	dst = append(dst, intByte(OrderDelta, CoderConst, false))
	dst = binary.AppendVarint(dst, first)
	return binary.AppendVarint(dst, step), plan{order: OrderDelta}
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
