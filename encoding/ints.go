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
// (u) is an unsigned varint, (zz) a signed one. gcd is present if its bit in id
// is set. Everything is computed modulo 2^64. In a long column, restart points
// precede the payload: see points.go.

// maxIntsColumn bounds the bytes of a column of MaxValues integers.
const maxIntsColumn = 24 * MaxValues

// orders is a set of orders to choose from, and of flags that control the choice.
type orders uint8

const (
	tryRaw    orders = 1 << OrderRaw
	tryDelta  orders = 1 << OrderDelta
	tryDelta2 orders = 1 << OrderDelta2
	tryGrid   orders = 1 << OrderGrid // in the full tier, of long columns
	tryAll           = tryRaw | tryDelta | tryDelta2
	powersOf2 orders = 1 << 4 // only powers of two are considered as divisor
	hinted    orders = 1 << 5 // the one order is a hint: try all if another seems better
	inner     orders = 1 << 6 // a column inside a SPARSE one
	restarts  orders = 1 << 7 // parts of the column will be read: add restart points if it is long
)

// plan is the choice made for a column: the order, the coder, and the estimated
// size.
type plan struct {
	order     Order
	coder     Coder
	centre    int64 // of TOK and SPARSE
	cost      int   // in bits
	packRange       // for PACK, used if the coder turns out not to be shorter
}

// planInts chooses the order with the lowest cost, in a tie the first, which is also
// the fastest to decode.
func planInts(ks []int64, try orders, s *scratch) plan {
	if try&hinted != 0 && (len(ks) >= pruneFrom || !hintStillBest(ks, try)) {
		try |= tryAll
	}
	if bits.OnesCount8(uint8(try&tryAll)) > 1 {
		switch {
		case len(ks) >= pruneFrom:
			try = pruneOrders(ks, try, s)
		case s.short(len(ks)) && len(ks) >= sampledOrderMinValues:
			try = likeliestOrder(ks, try)
		}
	}
	best := plan{cost: math.MaxInt}
	for o := OrderRaw; o <= OrderDelta2; o++ {
		if try&(1<<o) == 0 || int(o) >= len(ks) {
			continue
		}
		sp := &s.stats[o]
		sp.measure(ks, o)
		p := sp.plan(s.tier, try)
		p.order = o
		if p.cost += headCost(ks, p); p.cost < best.cost {
			best = p
		}
	}
	if best.cost == math.MaxInt { // the column is too short for any order of the set
		return planInts(ks, tryRaw, s)
	}
	return best
}

// plan chooses the coder: in the full tier the one with the lowest cost, or PACK if
// it costs hardly more, because PACK is the fastest to decode.
func (s *residualStats) plan(tier Tier, try orders) plan {
	w := s.best()
	p := plan{coder: CoderPack, packRange: w, cost: w.cost, centre: s.centre}
	if tier != Full || s.n < tokensFrom || w.width == 0 && !w.patched {
		return p
	}
	lowest := w.cost
	if cost, ok := s.tokenBits(); ok && cost+cost/packBias < lowest {
		p.coder, p.cost, lowest = s.shape(), cost, cost
	}
	if cost, _ := s.sparseBits(); try&inner == 0 && cost < lowest-lowest/packBias {
		p.coder, p.cost = CoderSparse, cost
	}
	return p
}

const (
	// tokensFrom is the minimum number of residuals for coders other than PACK to be
	// tried. Shorter columns are compressed together in zstd frames.
	tokensFrom = 256
	// packBias is the fraction, 1/packBias, by which PACK may be longer than other
	// coders.
	packBias = 32
)

// hintStillBest reports whether, on sampled residuals, no other order is narrower
// than the one in try by more than a bit in sixteen.
func hintStillBest(ks []int64, try orders) bool {
	narrowest, own := 64, 64
	for o := OrderRaw; o <= OrderDelta2 && int(o) < len(ks); o++ {
		width := sampledWidth(ks, o)
		if narrowest = min(narrowest, width); try&(1<<o) != 0 {
			own = width
		}
	}
	return own <= narrowest+1+narrowest/16
}

// likeliestOrder returns the order of the set whose sampled residuals are the
// narrowest. delta2 must win by two bits, because on noise it only appears
// narrower.
func likeliestOrder(ks []int64, try orders) orders {
	likeliest, narrowest := try, 66
	for o := OrderRaw; o <= OrderDelta2 && int(o) < len(ks); o++ {
		if try&(1<<o) == 0 {
			continue
		}
		width := sampledWidth(ks, o)
		if o == OrderDelta2 {
			width++
		}
		if width < narrowest {
			likeliest, narrowest = try&^tryAll|1<<o, width
		}
	}
	return likeliest
}

// headCost returns the size in bits of the fields before the residuals that differ
// between orders.
func headCost(ks []int64, p plan) int {
	low := p.low
	if p.coder != CoderPack {
		low = p.centre
	}
	switch p.order {
	case OrderDelta:
		return 8 * varintLen(low)
	case OrderDelta2:
		return 8 * (varintLen(low) + varintLen(ks[1]-ks[0]))
	}
	return 0
}

const (
	pruneFrom    = 1024 // values from which on orders are first compared on a part of them
	pruneParts   = 8
	pruneStretch = 48
)

// pruneOrders returns the orders worth measuring in full: those not more than an
// eighth worse than the best on a few stretches of the column.
func pruneOrders(ks []int64, try orders, s *scratch) orders {
	var cost [3]int
	best := math.MaxInt
	for o := OrderRaw; o <= OrderDelta2; o++ {
		if try&(1<<o) == 0 {
			continue
		}
		sp := &s.stats[o]
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
// followed. vs is not modified; it may be s.ints.
func appendInts(dst []byte, vs []int64, try orders, s *scratch) ([]byte, plan) {
	if step, ok := arithmetic(vs); ok && try&^(inner|restarts) != tryRaw {
		return appendArithmetic(dst, vs[0], step)
	}
	h := intHead{base: vs[0], gcd: 1}
	if try&powersOf2 != 0 {
		h.gcd = commonPowerOfTwo(vs)
	} else {
		h.gcd = commonDivisor(vs)
	}
	origin, ks := int64(0), vs
	if h.gcd > 1 {
		origin = vs[0]
		s.units = sized(s.units, len(vs))
		ks = s.units
		newDivisor(h.gcd).units(ks, vs)
	}
	p := planInts(ks, try, s)
	if try&tryGrid != 0 && s.tier == Full && len(ks) >= tokensFrom {
		step := s.toGrid(ks)
		if q := planInts(s.grid, tryRaw, s); q.cost+8*varintLen(step) < p.cost {
			p, ks, h.first = q, s.grid, step
			p.order = OrderGrid
		}
	}
	if p.order == OrderDelta2 {
		h.first = ks[1] - ks[0]
	}
	h.order = p.order
	if h.order == OrderRaw || h.order == OrderGrid {
		h.base = origin
	}
	pointed := try&restarts != 0 && s.tier == Full && len(ks) >= pointsFrom
	s.words = sized(s.words, len(ks))
	if p.coder != CoderPack {
		at := len(dst)
		var ok bool
		if dst, ok = appendEntropy(dst, h, ks, p, pointed, s); ok {
			return dst, p
		}
		dst = dst[:at]
	}
	us := residuals(s.words, ks, p.order, p.low)
	h.coder, h.low = CoderPack, p.low
	if p.width == 0 && !p.patched {
		// The column consists of two numbers: the divisor would cost more than it saves.
		h.coder, h.low, h.first, h.gcd = CoderConst, h.low*int64(h.gcd), h.first*int64(h.gcd), 1
	}
	at := len(dst)
	dst = h.append(dst)
	if h.coder == CoderPack {
		if pointed && h.order.heads() > 0 && p.width > 0 { // at width 0 only patches could be skipped
			dst[at] |= intPoints
			dst = h.appendPoints(dst, ks, [pointParts]int{}, false)
		}
		dst = appendPack(dst, us, p.width, p.patched, s)
	}
	return dst, p
}

// appendEntropy appends the column as the plan's TOK or SPARSE. It returns false
// if that turns out not to be worth it.
func appendEntropy(dst []byte, h intHead, ks []int64, p plan, pointed bool, s *scratch) ([]byte, bool) {
	at := len(dst)
	h.coder, h.low = p.coder, p.centre
	xs := residuals(s.words, ks, p.order, p.centre)
	dst = h.append(dst)
	if p.coder == CoderSparse {
		return s.appendSparse(dst, xs), true
	}
	parts := s.tokenizeAll(xs, p.coder)
	extra := parts[0] + parts[1] + parts[2] + parts[3]
	if extra > 0 {
		dst[at] |= intExtra
	}
	if pointed && (h.order.heads() > 0 || extra > 0) {
		dst[at] |= intPoints
		dst = h.appendPoints(dst, ks, parts, extra > 0)
	}
	dst, ok := s.appendTokens(dst, xs, p.coder, extra)
	size := 8 * (len(dst) - at)
	return dst, ok && size+size/packBias < p.packRange.cost+8*(len(h.append(nil))+2)
}

// intHead holds the fields before the residuals of a column of integers.
type intHead struct {
	order Order
	coder Coder
	base  int64  // without low, if residuals are added to it
	gcd   uint64 // ≥ 1
	first int64  // delta2: the first difference; grid: the step
	low   int64
}

func (h intHead) append(dst []byte) []byte {
	id := byte(h.order) | byte(h.coder)<<coderShift
	if h.gcd > 1 {
		id |= intGCD
	}
	dst = append(dst, id)
	summed := h.order == OrderRaw || h.order == OrderGrid
	if summed {
		h.base += int64(h.gcd) * h.low
	}
	dst = binary.AppendVarint(dst, h.base)
	if h.gcd > 1 {
		dst = binary.AppendUvarint(dst, h.gcd)
	}
	if h.order >= OrderDelta2 {
		dst = binary.AppendVarint(dst, h.first)
	}
	if !summed {
		dst = binary.AppendVarint(dst, h.low)
	}
	return dst
}

// toGrid sets s.grid to the distances of ks from a grid that begins with its
// first value, and returns the step of the grid.
func (s *scratch) toGrid(ks []int64) int64 {
	n := int64(len(ks) - 1)
	step := int64(math.Round(float64(ks[n]-ks[0]) / float64(n)))
	s.grid = sized(s.grid, len(ks))
	at := int64(0)
	for i, k := range ks {
		s.grid[i] = k - at
		at += step
	}
	return step
}

// arithmetic reports whether vs is an arithmetic progression, and its step.
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

// appendArithmetic appends the column of an arithmetic progression.
func appendArithmetic(dst []byte, first, step int64) ([]byte, plan) {
	if step == 0 {
		return intHead{base: first, gcd: 1}.append(dst), plan{order: OrderRaw}
	}
	return intHead{order: OrderDelta, base: first, gcd: 1, low: step}.append(dst), plan{order: OrderDelta}
}

// residuals writes the residuals of ks in the order o, minus centre, to us and
// returns them. us is as long as ks. For OrderGrid ks already holds distances from
// the grid.
func residuals(us []uint64, ks []int64, o Order, centre int64) []uint64 {
	us = us[:len(ks)]
	low := uint64(centre)
	switch o {
	case OrderRaw, OrderGrid:
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
