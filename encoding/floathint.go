package encoding

// FloatHint is the choice of codec that AppendFloats made, to be passed with the
// next column of the same series. Zero is no hint. Hints are not stored on disk.
//
//	bits  0-2   transform + 1
//	bits  3-4   order, 3 for the XOR coder
//	bits  5-9   exponent of a decimal, else 0
//	bits 10-15  bits per value of the encoded column, at most 63
type FloatHint uint16

const (
	hintXOR     = 3
	hintMaxCost = 63
	// hintMinValues is the minimum number of values for a choice to become the hint
	// for the next column. With fewer values the old hint is kept.
	hintMinValues = 16
)

func makeHint(f formula, o Order, xor bool, bytes, n int) FloatHint {
	order := FloatHint(o)
	if xor {
		order = hintXOR
	}
	return FloatHint(f.transform+1) | order<<3 | FloatHint(f.e)<<5 | FloatHint(min(8*bytes/n, hintMaxCost))<<10
}

func (h FloatHint) isZero() bool     { return h == 0 }
func (h FloatHint) formula() formula { return formula{Transform(h&7) - 1, uint8(h >> 5 & 31)} }
func (h FloatHint) order() Order     { return Order(h >> 3 & 3) }
func (h FloatHint) xor() bool        { return h>>3&3 == hintXOR }
func (h FloatHint) cost() int        { return int(h >> 10) }

// holds reports whether a column of n values and the given size in bytes is at most
// a quarter and a header larger, per value, than the column of the hint. Otherwise
// the series has changed its character and the codec is chosen anew.
func (h FloatHint) holds(bytes, n int) bool {
	c := h.cost() + 1
	return bytes <= (c+c/4)*n/8+12
}
