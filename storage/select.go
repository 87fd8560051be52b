package storage

import (
	"context"
	"errors"
	"slices"
	"sort"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition"
)

// Series is one series of a SeriesSet: where its samples lie. Its methods may
// be called concurrently.
type Series struct {
	ID     model.Identity
	Labels labels.Labels

	set     *SeriesSet
	tenant  uint32
	sources []source  // oldest first: the order in which their samples are merged
	one     [1]source // the memory of sources while there is one
}

// source is one place that holds samples of a series: a block, or a buffer of
// the head.
type source struct {
	block *sourceBlock // nil: the buffers of the head
	ord   uint32       // in the block
	ref   model.Ref    // in the head
}

// sourceBlock is a block of a selection, with what deletions take from it.
type sourceBlock struct {
	*partition.Block
	number    int                  // in the selection, from 0
	deletions *partition.Deletions // nil if there are none
}

// SeriesSet is the answer of Select. It is valid until the view is released.
type SeriesSet struct {
	view   *View
	series []*Series
	blocks int // that were asked

	mu       sync.Mutex
	warnings []error
}

// Len returns the number of series.
func (s *SeriesSet) Len() int { return len(s.series) }

// At returns the i-th series, in the order of labels.Compare.
func (s *SeriesSet) At(i int) *Series { return s.series[i] }

// Warnings returns what could not be read so far: damaged chunks, blocks that
// are missing. It grows while samples are read.
func (s *SeriesSet) Warnings() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.warnings)
}

// mostWarnings bounds the warnings of one selection.
const mostWarnings = 100

func (s *SeriesSet) warn(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.warnings) < mostWarnings {
		s.warnings = append(s.warnings, err)
	}
}

// Select returns the series of a tenant that match all matchers and may have
// samples in the range. A series without samples there can be among them: what
// blocks know of time is coarser than a range.
func (v *View) Select(ctx context.Context, tenant uint32, tr model.TimeRange, ms ...*labels.Matcher) (*SeriesSet, error) {
	set := &SeriesSet{view: v}
	tr = v.st.visible(tr)
	if tr.Empty() {
		return set, nil
	}
	byID := make(map[model.Identity]*Series)
	for _, e := range v.st.overlapping(tr) {
		if err := e.Err(); err != nil {
			set.warn(err)
		}
		if e.Block() == nil {
			continue
		}
		if err := set.addBlock(ctx, tenant, e, ms, byID); err != nil {
			if !errors.Is(err, partition.ErrCorrupt) {
				return nil, err
			}
			set.warn(err)
		}
	}
	refs, err := v.db.head.Select(ctx, tenant, ms, v.st.buffers()...)
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		if !v.st.inHead(ref, tr) {
			continue
		}
		_, id, ls, ok := v.db.head.Labels(ref)
		if !ok {
			continue
		}
		s := byID[id]
		if s == nil {
			s = &Series{ID: id, Labels: ls, tenant: tenant, set: set}
			s.sources = s.one[:0]
			byID[id] = s
			set.series = append(set.series, s)
		}
		s.sources = append(s.sources, source{ref: ref})
	}
	sort.Slice(set.series, func(i, j int) bool {
		return labels.Compare(set.series[i].Labels, set.series[j].Labels) < 0
	})
	return set, nil
}

// inHead reports whether a buffer of the state holds samples of the series in
// the range.
func (s *state) inHead(ref model.Ref, tr model.TimeRange) bool {
	return s.active.Has(ref, tr) || s.frozen != nil && s.frozen.Has(ref, tr)
}

// overlapping returns the blocks that may have samples in a range, oldest
// first.
func (s *state) overlapping(tr model.TimeRange) []*partition.Entry {
	var list []*partition.Entry
	for _, e := range s.blocks.Entries() {
		if e.MinTime < tr.Max && e.MaxTime >= tr.Min {
			list = append(list, e)
		}
	}
	return list
}

// addBlock adds the series of a block that match.
func (s *SeriesSet) addBlock(ctx context.Context, tenant uint32, e *partition.Entry, ms []*labels.Matcher, byID map[model.Identity]*Series) error {
	bm, err := e.Block().Postings(ctx, tenant, ms)
	if err != nil {
		return err
	}
	b := &sourceBlock{Block: e.Block(), number: s.blocks}
	s.blocks++
	if b.deletions, err = e.Deletions(ctx, s.view.st.tombstones); err != nil {
		return err
	}
	it := bm.Iterator()
	for n := 0; it.HasNext(); n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		ord := it.Next()
		id, err := b.ID(ord)
		if err != nil {
			s.warn(err)
			continue
		}
		series := byID[id]
		if series == nil {
			e, err := b.Series(ord)
			if err != nil {
				s.warn(err)
				continue
			}
			series = &Series{ID: id, Labels: e.Labels, tenant: tenant, set: s}
			series.sources = series.one[:0]
			byID[id] = series
			s.series = append(s.series, series)
		}
		series.sources = append(series.sources, source{block: b, ord: ord})
	}
	return nil
}
