package block

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

func sameBits(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

// A range of a series is a part of the series, wherever it begins and ends, and
// whatever the reader holds already.
func TestAppendFloatsGivesPartsOfSeries(t *testing.T) {
	fs := vfs.NewMem()
	m := longBlock(L2)
	b := openTest(t, fs, m.write(t, fs, "data", 1000), nil)
	r := b.Reader()
	defer r.Release()
	rnd := rand.New(rand.NewPCG(1, 2))
	ctx := context.Background()
	plain, whole := 0, 0
	for ord := range m.series {
		ts, vs := m.series[ord].samples.T, m.series[ord].samples.V
		for range 60 {
			i := rnd.IntN(len(ts))
			j := i + rnd.IntN(len(ts)-i)
			k := j + rnd.IntN(len(ts)-j)
			var f Floats
			for half, tr := range []model.TimeRange{{Min: ts[i], Max: ts[j]}, {Min: ts[j], Max: ts[k] + 1}} {
				ok, err := r.AppendFloats(ctx, uint32(ord), tr, &f)
				must(t, err)
				if !ok {
					break
				}
				got, want := slices.Concat(f.Times...), ts[i:j]
				if half == 1 {
					want = ts[i : k+1]
					plain++
				}
				if !slices.Equal(got, want) || !slices.EqualFunc(f.Values, vs[i:i+len(want)], sameBits) {
					t.Fatalf("series %d, samples %d to %d to %d: %d times, %d values, want %d", ord, i, j, k, len(got), len(f.Values), len(want))
				}
				for _, v := range f.Values {
					if f.WholeBits > 0 && (v != math.Trunc(v) || math.Abs(v) >= math.Ldexp(1, f.WholeBits)) {
						t.Fatalf("series %d: %v is no whole number of %d bits", ord, v, f.WholeBits)
					}
				}
				if f.WholeBits > 0 {
					whole++
				}
			}
		}
	}
	if plain < 400 {
		t.Errorf("only %d ranges of plain series", plain)
	}
	if whole < 400 || whole == 2*plain {
		t.Errorf("%d ranges are known to be whole numbers", whole)
	}
}
