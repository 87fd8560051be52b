package block

import (
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
)

// writeGenerations writes a block with one series for each generation; 0 leaves it to
// the writer.
func writeGenerations(t testing.TB, fs vfs.FS, gens []uint64) Info {
	t.Helper()
	w, err := Create(objstore.NewDir(fs, "data"), Meta{Key: Key{Partition: firstDay, Level: L2}, MinGen: 3, MaxGen: 9, Inputs: []string{"x"}}, WriterOptions{})
	must(t, err)
	for i, gen := range gens {
		// A series without a chunk has no generation either.
		must(t, w.Series(0, model.Identity{}, labels.FromStrings(MetricName, fmt.Sprintf("m_%06d_empty", i))))
		must(t, w.Generation(1))
		must(t, w.Series(0, model.Identity{}, labels.FromStrings(MetricName, fmt.Sprintf("m_%06d_full", i))))
		must(t, w.Samples(&model.Samples{T: []int64{firstDay}, V: []float64{1}}))
		if gen > 0 {
			must(t, w.Generation(gen))
		}
	}
	info, err := w.Finish()
	must(t, err)
	return info
}

func TestEverySeriesHasAGeneration(t *testing.T) {
	rnd := newRand(t)
	random := make([]uint64, 1000)
	for i := range random {
		random[i] = []uint64{0, 3, 5, 9, 17, 1<<64 - 1}[rnd.IntN(6)]
	}
	for name, gens := range map[string][]uint64{
		"all the newest": {0, 9, 0}, "all an older one": {4, 4}, "one": {7, 9, 9, 7, 12}, "any": random,
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			b := openTest(t, fs, writeGenerations(t, fs, gens), nil)
			mustBeClean(t, b)
			for ord, want := range gens {
				if want == 0 {
					want = 9
				}
				if got, err := b.Generation(uint32(ord)); err != nil || got != want {
					t.Fatalf("series %d: generation %d, %v, want %d", ord, got, err, want)
				}
			}
			if _, err := b.Generation(uint32(len(gens))); err == nil {
				t.Error("a series that does not exist has a generation")
			}
			if has := b.table[sectionGenerations].id != 0; has != (name != "all the newest") {
				t.Errorf("section: %v", has)
			}
		})
	}
}

// Generations take a few bytes if few series differ, and never many.
func TestGenerationsTakeFewBytes(t *testing.T) {
	rnd := newRand(t)
	const series = 20_000
	for _, c := range []struct {
		name  string
		gen   func(i int) uint64
		bytes int64
	}{
		{"all equal", func(int) uint64 { return 1_000_000 }, 16},
		{"one in 1,000", func(i int) uint64 { return 1_000_000 + uint64(i%1000)/999 }, 64},
		{"one in two, at random", func(int) uint64 { return 1_000_000 + rnd.Uint64N(2) }, series / 4},
	} {
		gens := make([]uint64, series)
		for i := range gens {
			gens[i] = c.gen(i)
		}
		fs := vfs.NewMem()
		b := openTest(t, fs, writeGenerations(t, fs, gens), nil)
		if n := b.table[sectionGenerations].length; n > c.bytes {
			t.Errorf("%s: %d bytes of %d series, at most %d", c.name, n, series, c.bytes)
		}
	}
}

func FuzzGenerations(f *testing.F) {
	var w generationWriter
	for _, gen := range []uint64{9, 9, 3, 9, 1 << 63, 3, 3} {
		w.add(gen)
	}
	g := w.finish()
	f.Add(g.append(nil), uint32(7))
	f.Fuzz(func(t *testing.T, b []byte, series uint32) {
		g, err := decodeGenerations(b, uint64(series))
		if err != nil {
			return
		}
		again, err := decodeGenerations(g.append(nil), uint64(series))
		must(t, err)
		for i := range g.runs {
			if ord := g.runs[i].end - 1; g.of(ord) != again.of(ord) {
				t.Fatalf("series %d: %d, then %d", ord, g.of(ord), again.of(ord))
			}
		}
		if series > 0 {
			_ = g.of(0)
			_ = g.of(series - 1)
		}
	})
}
