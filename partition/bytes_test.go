package partition

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// uvarints reads what as many calls of uvarint read, and what is wrong for one
// is wrong for the other.
func TestNumbersManyAtATimeAreThoseOneByOne(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var b []byte
		wide := rnd.UintN(64)
		n := rnd.IntN(40)
		for range n {
			shift := uint(57) // one byte
			if rnd.UintN(8) == 0 {
				shift = 63 - wide
			}
			b = binary.AppendUvarint(b, rnd.Uint64()>>shift)
		}
		if rnd.UintN(4) == 0 && len(b) > 0 {
			b[rnd.IntN(len(b))] |= 0x80
		}
		most := rnd.Uint64() >> rnd.UintN(64)
		one, many := bytesReader{b: b}, bytesReader{b: b}
		want := make([]uint64, n)
		for i := range want {
			want[i] = one.uvarint(most)
		}
		got := many.uvarints(slices.Repeat([]uint64{7}, n), most)
		if (one.err == nil) != (many.err == nil) || len(one.b) != len(many.b) {
			t.Fatalf("%x: error %v with %d bytes left, one by one %v with %d", b, many.err, len(many.b), one.err, len(one.b))
		}
		if one.err == nil && !slices.Equal(got, want) || many.err != nil && slices.Max(append(got, 0)) != 0 {
			t.Fatalf("%x: %v, want %v", b, got, want)
		}
	}
}
