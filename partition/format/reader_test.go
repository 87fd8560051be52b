package format

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
		one, many := Reader{B: b}, Reader{B: b}
		want := make([]uint64, n)
		for i := range want {
			want[i] = one.Uvarint(most)
		}
		got := many.Uvarints(slices.Repeat([]uint64{7}, n), most)
		if (one.Err == nil) != (many.Err == nil) || len(one.B) != len(many.B) {
			t.Fatalf("%x: error %v with %d bytes left, one by one %v with %d", b, many.Err, len(many.B), one.Err, len(one.B))
		}
		if one.Err == nil && !slices.Equal(got, want) || many.Err != nil && slices.Max(append(got, 0)) != 0 {
			t.Fatalf("%x: %v, want %v", b, got, want)
		}
	}
}
