package bitpack

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

func values(n int, width uint, r *rand.Rand) []uint64 {
	vs := make([]uint64, n)
	for i := range vs {
		vs[i] = r.Uint64()
		if width < 64 {
			vs[i] &= 1<<width - 1
		}
	}
	return vs
}

// reference packs bit by bit, as the package comment defines the format.
func reference(vs []uint64, width uint) []byte {
	out := make([]byte, Len(len(vs), width))
	for i, v := range vs {
		for k := range int(width) {
			if v>>k&1 == 1 {
				bit := i*int(width) + k
				out[bit/8] |= 1 << (bit % 8)
			}
		}
	}
	return out
}

func TestEveryWidthPacksAsDefined(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for width := uint(0); width <= MaxWidth; width++ {
		for _, n := range []int{0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 200} {
			vs := values(n, width, r)
			prefix := []byte("prefix")
			got := Append(bytes.Clone(prefix), vs, width)
			if !bytes.HasPrefix(got, prefix) {
				t.Fatalf("width %d, n %d: prefix changed", width, n)
			}
			got = got[len(prefix):]
			if want := reference(vs, width); !bytes.Equal(got, want) {
				t.Fatalf("width %d, n %d: packed\n%x\nwant\n%x", width, n, got, want)
			}
			back := make([]uint64, n)
			for i := range back {
				back[i] = ^uint64(0)
			}
			Unpack(back, got, width)
			for i := range vs {
				if back[i] != vs[i] {
					t.Fatalf("width %d, n %d: value %d is %#x, want %#x", width, n, i, back[i], vs[i])
				}
			}
		}
	}
}

func TestAppendLeavesSpareCapacityAlone(t *testing.T) {
	for width := uint(1); width <= MaxWidth; width++ {
		for n := 1; n < 20; n++ {
			buf := bytes.Repeat([]byte{0xa5}, Len(n, width)+80)
			Append(buf[:3], make([]uint64, n), width)
			for i, c := range buf[3+Len(n, width):] {
				if c != 0xa5 {
					t.Fatalf("width %d, n %d: byte %d after the end was written", width, n, i)
				}
			}
		}
	}
}

func TestPackingDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 8*101)
	vs := make([]uint64, 101)
	for width := uint(0); width <= MaxWidth; width++ {
		if a := testing.AllocsPerRun(10, func() { Unpack(vs, Append(dst, vs, width), width) }); a != 0 {
			t.Fatalf("width %d: %v allocations", width, a)
		}
	}
}

// SetBytes counts values: the MB/s column reads as millions of values a second.
func BenchmarkUnpack(b *testing.B) {
	for _, width := range []uint{1, 3, 5, 8, 11, 13, 21, 32, 47, 57, 61, 64} {
		b.Run(fmt.Sprintf("width=%d/values=4096", width), func(b *testing.B) {
			vs := values(4096, width, rand.New(rand.NewPCG(1, 2)))
			src := Append(nil, vs, width)
			b.SetBytes(4096)
			for b.Loop() {
				Unpack(vs, src, width)
			}
		})
	}
}

func BenchmarkPack(b *testing.B) {
	for _, width := range []uint{1, 3, 5, 8, 11, 13, 21, 32, 47, 57, 61, 64} {
		b.Run(fmt.Sprintf("width=%d/values=4096", width), func(b *testing.B) {
			vs := values(4096, width, rand.New(rand.NewPCG(1, 2)))
			dst := Append(nil, vs, width)
			b.SetBytes(4096)
			for b.Loop() {
				dst = Append(dst[:0], vs, width)
			}
		})
	}
}
