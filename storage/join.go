package storage

import (
	"context"
	"errors"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
)

// joiner joins the series of a selection over blocks and head by identity. Labels
// are made for the first source of a series only.
type joiner struct {
	set        *SeriesSet
	tenant     uint32
	numSources int // sources of a series for which memory is allocated at once
	known      identities
	before     int // series before the current block or head, which has each series once
	first      int // series of the first block or head that had any
	sorted     bool
	guess      int          // number of the series that is probably next
	shared     *knownLabels // of a selection made before; nil = none
}

// maxSources bounds the sources for which memory is allocated with a series.
const maxSources = 4

// seriesCheck is the number of series joined between checkpoints.
const seriesCheck = 4096

// blockPart is what a selection takes from a block: the series with a chunk in one
// of the ranges.
type blockPart struct {
	*blockset.Entry
	ranges []model.TimeRange
	// keep reports whether a series is taken; nil = all are.
	keep func(ord uint32) bool
	only *roaring.Bitmap // of these series; nil = of all
	// rows tells that the rows of a rollup block are listed: tombstones that are not yet
	// applied to them count.
	rows bool
	// lost is called with damage, which may have cost series or labels.
	lost func(error)
}

// deletions returns what is deleted of the part.
func (p *blockPart) deletions(ctx context.Context, st *state) (*block.Deletions, error) {
	if p.rows {
		return st.blocks.RowDeletions(ctx, p.Entry, st.tombstones)
	}
	return st.blocks.Deletions(ctx, p.Entry, st.tombstones)
}

// addBlock adds the series of a block that match and have a chunk in the part, and
// returns the block as a source of theirs. Deletions apply to blocks of samples
// only.
func (j *joiner) addBlock(ctx context.Context, p blockPart, ms []*match.Matcher) (*sourceBlock, error) {
	s := j.set
	if err := s.view.checkpoint(ctx); err != nil {
		return nil, err
	}
	found, err := p.Block().Select(ctx, j.tenant, ms, s.view.options.Yield)
	if err != nil {
		return nil, err
	}
	for _, err := range found.Lost {
		p.lost(err)
	}
	b := &sourceBlock{Block: p.Block(), number: s.blocks}
	if b.deletions, err = p.deletions(ctx, s.view.st); err != nil {
		return nil, err
	}
	kept, all, err := j.present(ctx, p, found.Ordinals, b.deletions)
	if err != nil {
		return nil, err
	}
	s.blocks++
	var fresh []int // those not seen before
	j.begin()
	for i, id := range found.IDs {
		if !all && !kept[i] || p.keep != nil && !p.keep(found.Ordinals[i]) || p.only != nil && !p.only.Contains(found.Ordinals[i]) {
			continue
		}
		if n, ok := j.find(id); ok {
			s.series[n].sources = append(s.series[n].sources, source{block: b, ord: found.Ordinals[i]})
		} else {
			fresh = append(fresh, i)
		}
	}
	slab, err := j.newSlab(len(fresh))
	if err != nil {
		return nil, err
	}
	lsOf, err := j.labelsOf(ctx, found, fresh)
	if err != nil {
		return nil, err
	}
	if j.before == 0 {
		j.sorted = found.Sorted
	}
	for k, i := range fresh {
		if k%seriesCheck == 0 {
			if err := s.view.checkpoint(ctx); err != nil {
				return nil, err
			}
		}
		ls, err := lsOf(i)
		if err != nil {
			if !errors.Is(err, format.ErrCorrupt) {
				return nil, err
			}
			p.lost(err)
			continue
		}
		slab.add(j, found.IDs[i], ls, source{block: b, ord: found.Ordinals[i]})
	}
	return b, nil
}

// present finds the series of ords with a chunk in a range of the part, as
// block.Present does.
func (j *joiner) present(ctx context.Context, p blockPart, ords []uint32, d *block.Deletions) (kept []bool, all bool, err error) {
	for _, tr := range p.ranges {
		in, all, lost, err := p.Block().Present(ctx, ords, tr, d, j.set.view.options.Yield)
		if err != nil {
			return nil, false, err
		}
		for _, err := range lost {
			p.lost(err)
		}
		if all {
			return nil, true, nil
		}
		for i, ok := range kept {
			in[i] = in[i] || ok
		}
		kept = in
	}
	return kept, len(ords) == 0, nil
}

// labelsOf returns a function that returns the labels of the i-th series found,
// which will be asked for those of fresh.
func (j *joiner) labelsOf(ctx context.Context, found *block.Selection, fresh []int) (func(i int) (labels.Labels, error), error) {
	if j.shared == nil {
		return j.labelsIn(ctx, found, len(fresh))
	}
	unknown := 0
	for _, i := range fresh {
		if _, ok := j.shared.find(found.IDs[i]); !ok {
			unknown++
		}
	}
	read, err := j.labelsIn(ctx, found, unknown)
	if err != nil {
		return nil, err
	}
	return func(i int) (labels.Labels, error) {
		if ls, ok := j.shared.find(found.IDs[i]); ok {
			return ls, nil
		}
		return read(i)
	}, nil
}

// labelsIn returns a function that returns the labels of the i-th series found, n
// of which will be asked for.
func (j *joiner) labelsIn(ctx context.Context, found *block.Selection, n int) (func(i int) (labels.Labels, error), error) {
	if 2*n <= len(found.IDs) {
		return found.LabelsAt, nil
	}
	all, err := found.Labels(ctx, j.set.view.options.Yield)
	if err != nil && !errors.Is(err, format.ErrCorrupt) {
		return nil, err
	}
	if err != nil {
		return found.LabelsAt, nil // one by one, to tell which are lost
	}
	j.set.labels = append(j.set.labels, all)
	return func(i int) (labels.Labels, error) { return all.All[i], nil }, nil
}

// knownLabels are the labels of the series of a selection, for other selections
// that have the same series.
type knownLabels struct {
	series []*Series
	ids    identities
}

// find returns the labels of a series. A nil knownLabels has none.
func (k *knownLabels) find(id model.Identity) (labels.Labels, bool) {
	if k == nil {
		return labels.Labels{}, false
	}
	n, ok := k.ids.find(k.series, id)
	if !ok {
		return labels.Labels{}, false
	}
	return k.series[n].Labels, true
}

// addHead adds the series of the head that match and have samples in the range.
func (j *joiner) addHead(ctx context.Context, tr model.TimeRange, ms []*match.Matcher) error {
	s := j.set
	st, head := s.view.st, s.view.views.head
	buffers := st.buffersIn(tr)
	if len(buffers) == 0 {
		return nil
	}
	refs, err := head.Select(ctx, j.tenant, ms, tr, buffers...)
	if err != nil {
		return err
	}
	var (
		builder model.LabelBuilder
		slab    seriesSlab
	)
	j.begin()
	if j.before == 0 {
		j.sorted = false // blocks before had series that match, but none in the range
	}
	ids := make([]model.Identity, len(refs))
	if j.before > 0 || j.shared != nil {
		head.IDs(refs, ids)
	}
	fresh := len(refs) // series that no block has, so that memory is reserved for no others
	if j.before > 0 {
		for _, id := range ids {
			if _, ok := j.find(id); ok {
				fresh--
			}
		}
		j.guess = 0
	}
	for i, ref := range refs {
		if i%seriesCheck == 0 {
			if err := s.view.checkpoint(ctx); err != nil {
				return err
			}
		}
		if n, ok := j.find(ids[i]); ok {
			if s.isDeleted(ref, tr, s.series[n].Labels) {
				continue
			}
			s.series[n].sources = append(s.series[n].sources, source{ref: ref})
			continue
		}
		left := fresh
		fresh--
		id := ids[i]
		ls, ok := j.shared.find(id)
		if !ok {
			_, id, ls, ok = head.LabelsTo(ref, &builder)
		}
		if !ok || s.isDeleted(ref, tr, ls) {
			continue
		}
		if len(slab.series) == cap(slab.series) {
			if slab, err = j.newSlab(min(left, headSlab)); err != nil {
				return err
			}
		}
		slab.add(j, id, ls, source{ref: ref})
	}
	return nil
}

// headSlab is for how many series of the head memory is set aside at once.
const headSlab = 1024

// begin is called before the series of a block, or of the head, are added.
func (j *joiner) begin() {
	j.before, j.guess = len(j.set.series), 0
	if j.first == 0 {
		j.first = j.before
	}
}

// find returns the number of a series that an earlier source has too. Blocks have
// series in the same order.
func (j *joiner) find(id model.Identity) (int, bool) {
	all := j.set.series[:j.before]
	if len(all) == 0 {
		return 0, false
	}
	if j.guess >= len(all) || all[j.guess].ID != id {
		n, ok := j.known.find(all, id)
		if !ok {
			return 0, false
		}
		j.guess = n
	}
	j.guess++
	return j.guess - 1, true
}

// sort sorts the series by labels.Compare. Most come from the first block, in that
// order.
func (j *joiner) sort() {
	if j.first == 0 {
		j.first = len(j.set.series)
	}
	first, more := j.set.series[:j.first], j.set.series[j.first:]
	if !j.sorted {
		slices.SortFunc(first, compareLabels)
	}
	slices.SortFunc(more, compareLabels)
	if len(more) == 0 || compareLabels(first[len(first)-1], more[0]) < 0 {
		return
	}
	all := make([]*Series, 0, len(j.set.series))
	for len(first) > 0 && len(more) > 0 {
		if compareLabels(first[0], more[0]) < 0 {
			all, first = append(all, first[0]), first[1:]
		} else {
			all, more = append(all, more[0]), more[1:]
		}
	}
	j.set.series = append(append(all, first...), more...)
}

func compareLabels(a, b *Series) int { return labels.Compare(a.Labels, b.Labels) }

// identities is a hash table from the identities of series to their numbers.
type identities struct {
	slots []uint32 // open addressing: number of a series + 1, 0 = free; a power of two
	n     int      // series in it
}

// find returns the number of the series with an identity. all may have grown since
// the last call.
func (t *identities) find(all []*Series, id model.Identity) (int, bool) {
	if t.n < len(all) {
		t.insert(all)
	}
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(t.slots) - 1)
	for at := id.Lo & mask; t.slots[at] != 0; at = (at + 1) & mask { // identities are hashes
		if n := int(t.slots[at] - 1); all[n].ID == id {
			return n, true
		}
	}
	return 0, false
}

// insert adds the series that are not in the table yet.
func (t *identities) insert(all []*Series) {
	if 2*len(all) > len(t.slots) {
		size := max(64, len(t.slots))
		for size < 3*len(all) {
			size *= 2
		}
		t.slots, t.n = make([]uint32, size), 0
	}
	mask := uint64(len(t.slots) - 1)
	for ; t.n < len(all); t.n++ {
		at := all[t.n].ID.Lo & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = uint32(t.n + 1)
	}
}

// seriesSlab is memory for series and their sources.
type seriesSlab struct {
	series  []Series
	sources []source
}

// newSlab reserves and allocates memory for n series.
func (j *joiner) newSlab(n int) (seriesSlab, error) {
	if reserve := j.set.view.options.Reserve; reserve != nil {
		if err := reserve(n); err != nil {
			return seriesSlab{}, err
		}
	}
	j.set.series = slices.Grow(j.set.series, n)
	return seriesSlab{make([]Series, 0, n), make([]source, n*j.numSources)}, nil
}

// add adds a series, for which there is room, with its first source.
func (s *seriesSlab) add(j *joiner, id model.Identity, ls labels.Labels, src source) {
	sources := append(s.sources[:0:j.numSources], src)
	s.sources = s.sources[j.numSources:]
	s.series = append(s.series, Series{ID: id, Labels: ls, tenant: j.tenant, set: j.set, sources: sources})
	j.set.series = append(j.set.series, &s.series[len(s.series)-1])
}
