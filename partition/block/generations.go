package block

import (
	"encoding/binary"
	"math"
	"slices"
	"sort"

	"tsdb/partition/format"
)

// generationRun is a range of ordinals whose series have one generation. It ends where
// the next run begins.
type generationRun struct {
	end   uint32 // exclusive
	index uint32 // of the generation in a list
}

// generations holds the generation of every series, in runs.
type generations struct {
	all  []uint64 // ascending
	runs []generationRun
}

// of returns the generation of a series, which must be in a run.
func (g *generations) of(ord uint32) uint64 {
	i := sort.Search(len(g.runs), func(i int) bool { return g.runs[i].end > ord })
	return g.all[g.runs[i].index]
}

// generationWriter collects the generations of series, in order.
type generationWriter struct {
	index map[uint64]uint32 // of a generation in all
	all   []uint64          // in order of appearance
	runs  []generationRun
}

// add appends the generation of the next series.
func (w *generationWriter) add(gen uint64) {
	if w.index == nil {
		w.index = map[uint64]uint32{}
	}
	i, ok := w.index[gen]
	if !ok {
		i = uint32(len(w.all))
		w.all, w.index[gen] = append(w.all, gen), i
	}
	n := len(w.runs)
	if n == 0 {
		w.runs = append(w.runs, generationRun{0, i})
		n++
	} else if w.runs[n-1].index != i {
		w.runs = append(w.runs, generationRun{w.runs[n-1].end, i})
		n++
	}
	w.runs[n-1].end++
}

// finish returns the generations of all series.
func (w *generationWriter) finish() generations {
	g := generations{all: slices.Sorted(slices.Values(w.all)), runs: w.runs}
	for i := range g.runs {
		at, _ := slices.BinarySearch(g.all, w.all[g.runs[i].index])
		g.runs[i].index = uint32(at)
	}
	return g
}

// append appends the content of the section: the generations that occur, the lengths
// of the runs, the generation of each.
func (g *generations) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(g.all)))
	last := uint64(0)
	for _, gen := range g.all {
		dst = binary.AppendUvarint(dst, gen-last)
		last = gen
	}
	dst = binary.AppendUvarint(dst, uint64(len(g.runs)))
	end := uint32(0)
	for _, run := range g.runs {
		dst = binary.AppendUvarint(dst, uint64(run.end-end))
		end = run.end
	}
	for _, run := range g.runs {
		dst = binary.AppendUvarint(dst, uint64(run.index))
	}
	return dst
}

// decodeGenerations reads the section of a block with a number of series.
func decodeGenerations(b []byte, series uint64) (*generations, error) {
	r := format.Reader{B: b}
	g := &generations{all: make([]uint64, r.Count())}
	last := uint64(0)
	for i := range g.all {
		step := r.Uvarint(math.MaxUint64)
		if i > 0 && step == 0 || step > math.MaxUint64-last {
			r.Fail("generations are not sorted")
		}
		last += step
		g.all[i] = last
	}
	g.runs = make([]generationRun, r.Count())
	end := uint64(0)
	for i := range g.runs {
		n := r.Uvarint(series)
		if end += n; n == 0 || end > series {
			r.Fail("length of a run")
			break
		}
		g.runs[i].end = uint32(end)
	}
	for i := range g.runs {
		index := r.Uvarint(math.MaxUint32)
		if index >= uint64(len(g.all)) || i > 0 && uint32(index) == g.runs[i-1].index {
			r.Fail("generation of a run")
			break
		}
		g.runs[i].index = uint32(index)
	}
	if end != series {
		r.Fail("generations of fewer series")
	}
	return g, r.End("generations")
}

// Generation sets the newest generation that contributed samples to the current
// series, or deleted some of them. The default is the newest generation of the block.
func (w *Writer) Generation(gen uint64) error {
	w.series.generation = gen
	return w.err
}

// Generation returns the newest generation that contributed samples to a series, or
// deleted some: what a merge knew of it, otherwise the newest of the block. It may be
// above that, because deletions have generations too.
func (b *Block) Generation(ord uint32) (uint64, error) {
	if err := b.checkOrdinal(ord); err != nil {
		return 0, err
	}
	if b.table[sectionGenerations].id == 0 {
		return b.info.MaxGen, nil
	}
	g, err := b.generationList()
	if err != nil {
		return 0, err
	}
	return g.of(ord), nil
}

// generationList returns the content of the section, which the block must have. It is
// kept while the block is open: 8 bytes for every run of series.
func (b *Block) generationList() (*generations, error) {
	return b.generations.get(func() (*generations, error) {
		data, err := b.readSection(sectionGenerations)
		if err != nil {
			return nil, err
		}
		g, err := decodeGenerations(data, b.foot.series)
		return g, b.damage(b.table[sectionGenerations].off, err)
	})
}
