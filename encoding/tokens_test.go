package encoding

import (
	"math/bits"
	"math/rand/v2"
	"testing"
)

// Every residual has one token, and base and extra bits of the token give it
// back.
func TestTokensStandForRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, shape := range map[string]*tokenShape{"TOK-A": shapeA, "TOK-B": shapeB} {
		for range 20000 {
			x := uint64(int64(r.Uint64()) >> (6 + r.IntN(58)))
			var token [1]byte
			bits := shape.tokenize(token[:], []uint64{x})
			base, extra := shape.base(uint(token[0]))
			if uint(token[0]) >= shape.tokens || int(extra) != bits || base+x&(1<<extra-1) != x {
				t.Fatalf("%s: residual %d: token %d with %d extra bits, base %d with %d", name, int64(x), token[0], bits, int64(base), extra)
			}
		}
		// Ranges do not overlap: each sign's follow one another.
		for sign := range uint(2) {
			next := uint64(0)
			for token := sign; token < shape.tokens; token += 2 {
				base, extra := shape.base(token)
				low := base
				if sign == 1 {
					low = ^(base + 1<<extra - 1)
				}
				if low != next || extra > tokenMaxExtra {
					t.Fatalf("%s: token %d begins at %d with %d extra bits, want %d", name, token, low, extra, next)
				}
				next = low + 1<<extra
			}
			if bits.Len64(next) < 59 {
				t.Fatalf("%s: tokens end at %#x", name, next)
			}
		}
	}
}
