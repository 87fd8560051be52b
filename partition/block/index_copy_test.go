package block

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// copyOf writes a block with the series of b for which keep returns true, and of more, and
// returns its file. more has a series before, between and behind those of b.
func copyOf(t *testing.T, b *Block, index *Block, meta Meta, keep func(ord uint32) bool, more []modelSeries) ([]byte, Info) {
	t.Helper()
	fs := vfs.NewMem()
	w, err := Create(objstore.NewDir(fs, "data"), meta, WriterOptions{Index: index})
	must(t, err)
	others := func(before *SeriesEntry) {
		for len(more) > 0 && (before == nil || Compare(more[0].tenant, more[0].labels, before.Tenant, before.Labels) < 0) {
			must(t, w.Series(more[0].tenant, more[0].id(), more[0].labels))
			must(t, w.Samples(&more[0].samples))
			more = more[1:]
		}
	}
	it := b.Iterate()
	var samples model.Samples
	for it.Next() {
		if len(more) > 0 {
			e, err := it.Series()
			must(t, err)
			others(&e)
		}
		must(t, w.SeriesOf(it))
		if !keep(it.Ordinal()) {
			continue // a series without samples is left out
		}
		chunks, err := it.Chunks()
		must(t, err)
		samples.Reset()
		for _, c := range chunks {
			if c.Kind == KindFloats {
				must(t, it.Samples(c, model.AllTime, &samples))
			}
		}
		if samples.Len() == 0 {
			samples.Append(firstDay, 0, 1, model.Histogram{})
		}
		must(t, w.Samples(&samples))
	}
	must(t, it.Err())
	others(nil)
	info, err := w.Finish()
	must(t, err)
	first, last, err := w.Ends()
	must(t, err)
	made := openTest(t, fs, info, nil)
	for ord, got := range map[uint32]SeriesEntry{0: first, uint32(info.Series - 1): last} {
		want, err := made.Series(ord)
		must(t, err)
		if got.Tenant != want.Tenant || got.ID != want.ID || !labels.Equal(got.Labels, want.Labels) {
			t.Errorf("the first and the last series are %v and %v; series %d is %v", first, last, ord, want)
		}
	}
	mustBeClean(t, made)
	return readBlockFile(t, fs, info.Name), info
}

// A block whose index is copied has the bytes of one whose index is built, whichever
// series of the other block it has.
func TestACopiedIndexIsTheOneThatIsBuilt(t *testing.T) {
	rnd := newRand(t)
	for round := range 12 {
		fs := vfs.NewMem()
		m := randomBlock(rnd, L2, 1+rnd.IntN(700))
		source := openTest(t, fs, m.write(t, fs, "data", 1000), nil)
		meta := m.meta
		meta.MaxGen += 100
		n := uint32(source.Info().Series)
		one := uint32(rnd.IntN(int(n)))
		more := randomBlock(rnd, L2, 1+rnd.IntN(3)).series
		more = slices.DeleteFunc(more, func(s modelSeries) bool {
			return slices.ContainsFunc(m.series, func(o modelSeries) bool { return Compare(s.tenant, s.labels, o.tenant, o.labels) == 0 })
		})
		all := func(uint32) bool { return true }
		for name, c := range map[string]struct {
			keep func(uint32) bool
			more []modelSeries
		}{
			"all":          {all, nil},
			"one less":     {func(ord uint32) bool { return ord != one || n == 1 }, nil},
			"not the last": {func(ord uint32) bool { return ord != n-1 || n == 1 }, nil},
			"only one":     {func(ord uint32) bool { return ord == one }, nil},
			"others, too":  {all, more},
		} {
			built, _ := copyOf(t, source, nil, meta, c.keep, c.more)
			copied, _ := copyOf(t, source, source, meta, c.keep, c.more)
			if !bytes.Equal(built, copied) {
				t.Errorf("round %d, %s of %d series: the copied index differs from the built one", round, name, n)
			}
		}
	}
}

// Damage is noticed before an index is copied, and once more while it is.
func TestADamagedIndexIsNotCopied(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	info := fullBlock(L2).write(t, fs, "data", 1000)
	good := openTest(t, fs, info, nil)
	if intact, err := good.IntactIndex(ctx); !intact || err != nil {
		t.Fatalf("a good index: %v, %v", intact, err)
	}
	data := readBlockFile(t, fs, info.Name)
	for _, id := range indexSections {
		bad := slices.Clone(data)
		bad[good.table[id].off+good.table[id].length/2] ^= 1
		fs := vfs.NewMem()
		writeBlockFile(t, fs, info.Name, bad)
		b := openTest(t, fs, info, nil)
		if intact, err := b.IntactIndex(ctx); intact || err != nil {
			t.Errorf("%v is damaged: %v, %v", id, intact, err)
		}
		out := &output{object: discardObject{}}
		x := &indexWriter{out: out, source: &indexSource{block: b}, series: b.foot.series}
		if x.write(); out.err == nil || errors.Is(out.err, format.ErrCorrupt) {
			t.Errorf("%v is damaged, and its copy ends with %v", id, out.err)
		}
	}
}

// discardObject takes what is written.
type discardObject struct{ objstore.Writer }

func (discardObject) Write(b []byte) (int, error) { return len(b), nil }
