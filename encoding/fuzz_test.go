package encoding

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tsdb/internal/model"
)

// The fuzz targets pass arbitrary bytes to decoders and check two invariants: there is
// no panic and no unbounded memory (the inputs are short, so a decoder that trusts a
// count would run out of memory), and accepted values round-trip: encoding and
// decoding them again gives the same bits. The round trip targets make values from
// arbitrary bytes and check that encoding and decoding reproduces them.

// seeds adds the columns of a codec, and a few bytes that are not a column.
func seeds(f *testing.F, codec string) {
	for _, c := range suiteColumns(rand.New(rand.NewPCG(21, 22)), 17) {
		if len(c.name) > len(codec) && c.name[:len(codec)+1] == codec+"/" {
			f.Add(c.append(nil), uint16(c.n))
		}
	}
	for _, c := range goldenColumns(f) {
		if c.n > 17 && strings.HasPrefix(c.name, codec+"/") {
			f.Add(c.append(nil), uint16(c.n))
		}
	}
	f.Add([]byte{}, uint16(0))
	f.Add([]byte{0xff}, uint16(1))
	f.Add(bytes.Repeat([]byte{0xff}, 30), uint16(0xffff))
	f.Add(bytes.Repeat([]byte{0x80}, 30), uint16(9))
	f.Add(make([]byte, 30), uint16(0xffff))
}

func FuzzDecodeFloats(f *testing.F) {
	seeds(f, "floats")
	f.Fuzz(func(t *testing.T, src []byte, n uint16) {
		ColumnFields(KindFloats, src, int(n))
		vs, err := DecodeFloats(nil, src, int(n))
		if err != nil {
			return
		}
		if _, err := ColumnInfo(KindFloats, src, int(n)); err != nil {
			t.Fatalf("decodes, but cannot be described: %v", err)
		}
		if bits := IntegralBits(src, int(n)); bits > 0 && !areIntegral(vs, bits) {
			t.Fatalf("not all are whole numbers of %d bits", bits)
		}
		for _, tier := range []Tier{Fast, Full} {
			again, _ := AppendFloats(nil, vs, tier, 0)
			back, err := DecodeFloats(nil, again, len(vs))
			if err != nil || !slices.EqualFunc(vs, back, sameBits) {
				t.Fatalf("%s: %v: %x", tier, err, again)
			}
		}
	})
}

func FuzzFloatsRoundTrip(f *testing.F) {
	f.Add(appendRaw(nil, specials), uint16(0))
	f.Add(appendRaw(nil, []float64{0.1, 0.2, 0.3}), uint16(0x41))
	f.Fuzz(func(t *testing.T, raw []byte, hint uint16) {
		vs := make([]float64, len(raw)/8)
		parseRaw(vs, raw)
		// A few values, repeated, make a column of the full tier.
		long := make([]float64, 0, tokensFrom+len(vs))
		for i := 0; len(vs) > 0 && len(long) < cap(long); i++ {
			long = append(long, vs[(i*i+int(hint)*i/5)%len(vs)])
		}
		stays, _ := AppendFloats(nil, long, Full, 0)
		if back, err := DecodeFloats(nil, stays, len(long)); err != nil || !slices.EqualFunc(long, back, sameBits) {
			t.Fatalf("full: %v: %x", err, stays)
		}
		b, next := AppendFloats(nil, vs, Fast, FloatHint(hint))
		for _, h := range []FloatHint{FloatHint(hint), next, 0} {
			b, _ = AppendFloats(b[:0], vs, Fast, h)
			back, err := DecodeFloats(nil, b, len(vs))
			if err != nil || !slices.EqualFunc(vs, back, sameBits) {
				t.Fatalf("hint %#x: %v: %x", h, err, b)
			}
		}
	})
}

func FuzzDecodeTimestamps(f *testing.F) {
	seeds(f, "timestamps")
	f.Fuzz(func(t *testing.T, src []byte, n uint16) {
		ColumnFields(KindTimestamps, src, int(n))
		ts, err := DecodeTimestamps(nil, src, int(n))
		if err != nil {
			return
		}
		for _, tier := range []Tier{Fast, Full} {
			again := AppendTimestamps(nil, ts, tier)
			back, err := DecodeTimestamps(nil, again, len(ts))
			if err != nil || !slices.Equal(ts, back) {
				t.Fatalf("%s: %v: %x", tier, err, again)
			}
		}
	})
}

func FuzzTimestampsRoundTrip(f *testing.F) {
	f.Add(bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 9))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ts := make([]int64, len(raw)/8)
		for i := range ts {
			ts[i] = int64(le64(raw[8*i:])) >> (raw[8*i] % 64)
		}
		b := AppendTimestamps(nil, ts, Fast)
		if back, err := DecodeTimestamps(nil, b, len(ts)); err != nil || !slices.Equal(ts, back) {
			t.Fatalf("%v: %x", err, b)
		}
		sts := slices.Clone(ts)
		slices.Reverse(sts)
		b = AppendStartTimestamps(nil, sts, ts, Fast)
		if back, err := DecodeStartTimestamps(nil, b, ts); err != nil || !slices.Equal(sts, back) {
			t.Fatalf("starts: %v: %x", err, b)
		}
	})
}

func FuzzDecodeStartTimestamps(f *testing.F) {
	seeds(f, "starts")
	f.Fuzz(func(t *testing.T, src []byte, n uint16) {
		ColumnFields(KindStartTimestamps, src, int(n))
		ts := scrapeTimes(rand.New(rand.NewPCG(1, 2)), int(n))
		sts, err := DecodeStartTimestamps(nil, src, ts)
		if err != nil {
			return
		}
		again := AppendStartTimestamps(nil, sts, ts, Fast)
		back, err := DecodeStartTimestamps(nil, again, ts)
		if err != nil || !slices.Equal(sts, back) {
			t.Fatalf("%v: %x", err, again)
		}
	})
}

func FuzzDecodeHistogram(f *testing.F) {
	seeds(f, "histogram")
	f.Fuzz(func(t *testing.T, src []byte, _ uint16) {
		h, rest, err := DecodeHistogram(src)
		if err != nil {
			return
		}
		if len(rest) >= len(src) {
			t.Fatal("nothing was read")
		}
		again := AppendHistogram(nil, h)
		back, rest, err := DecodeHistogram(again)
		if err != nil || len(rest) > 0 || !sameHistogram(h, back) {
			t.Fatalf("%v: %x", err, again)
		}
		b := AppendHistograms(nil, []model.Histogram{h, h, h, h}, Fast)
		hs, err := DecodeHistograms(nil, b, 4)
		if err != nil || !sameHistogram(hs[3], h) {
			t.Fatalf("column: %v: %x", err, b)
		}
	})
}

func FuzzDecodeHistograms(f *testing.F) {
	seeds(f, "histograms")
	f.Fuzz(func(t *testing.T, src []byte, n uint16) {
		ColumnFields(KindHistograms, src, int(n))
		hs, err := DecodeHistograms(nil, src, int(n))
		if err != nil {
			return
		}
		again := AppendHistograms(nil, hs, Fast)
		back, err := DecodeHistograms(nil, again, len(hs))
		if err != nil || !slices.EqualFunc(hs, back, sameHistogram) {
			t.Fatalf("%v: %x", err, again)
		}
	})
}

func FuzzDecodeZstd(f *testing.F) {
	seeds(f, "zstd")
	f.Fuzz(func(t *testing.T, src []byte, n uint16) {
		b, err := DecodeZstd([]byte("x"), src, int(n))
		if err != nil {
			return
		}
		if len(b) > int(n)+1 {
			t.Fatalf("%d bytes, at most %d", len(b)-1, n)
		}
	})
}

func FuzzVarints(f *testing.F) {
	f.Add([]byte{0x80}, uint16(3))
	f.Add(bytes.Repeat([]byte{0xff}, 12), uint16(3))
	f.Add([]byte{3, 1, 2, 3}, uint16(3))
	f.Fuzz(func(t *testing.T, src []byte, maxLen uint16) {
		if v, rest, err := Uvarint(src); err == nil {
			if len(rest) >= len(src) {
				t.Fatal("nothing was read")
			}
			if w, _, err := Varint(src); err != nil || zigzag(w) != v {
				t.Fatal("signed and unsigned differ")
			}
		}
		if b, rest, err := Bytes(src, int(maxLen)); err == nil && (len(b) > int(maxLen) || len(b)+len(rest) >= len(src)) {
			t.Fatalf("%d bytes and %d left of %d", len(b), len(rest), len(src))
		}
	})
}
