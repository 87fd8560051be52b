package wire

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestUvarint compares with encoding/binary at each position of random bytes. Numbers of ten
// bytes, of which that refuses some, are left out.
func TestUvarint(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	lengths := map[int]int{}
	for range 2000 {
		b := make([]byte, r.IntN(12))
		most := 1 + r.IntN(4)
		for i := range b {
			b[i] = byte(r.Uint32())
			if r.IntN(most) > 0 {
				b[i] |= 0x80
			}
		}
		for i := range len(b) + 1 {
			want, n := binary.Uvarint(b[i:])
			if n < 0 || n > 9 || len(b)-i > 9 && n == 0 {
				continue
			}
			lengths[n]++
			next := i + n
			if n == 0 {
				next, want = -1, 0
			}
			if v, got := Uvarint(b, i); v != want || got != next {
				t.Fatalf("% x at %d: %d, next %d, want %d and %d", b, i, v, got, want, next)
			}
			if v, got := UvarintLong(b, i); v != want || got != next {
				t.Fatalf("% x at %d: long: %d, next %d, want %d and %d", b, i, v, got, want, next)
			}
		}
	}
	for n := range 6 {
		if lengths[n] < 50 {
			t.Errorf("%d numbers of %d bytes", lengths[n], n)
		}
	}
	if _, next := Uvarint([]byte{0x80, 1}, -1); next != -1 {
		t.Errorf("a negative position: next %d", next)
	}
}
