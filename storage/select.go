package storage

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
)

// Series is one series of a SeriesSet: where its samples lie. Its methods may
// be called concurrently.
type Series struct {
	ID     model.Identity
	Labels labels.Labels

	set     *SeriesSet
	tenant  uint32
	sources []source // oldest first: the order in which their samples are merged
}

// source is a block, or the head, that has samples of a series.
type source struct {
	block *sourceBlock // nil: the buffers of the head
	ord   uint32       // in the block
	ref   model.Ref    // in the head
}

// sourceBlock is a block of a selection, with the deletions that cover it.
type sourceBlock struct {
	*block.Block
	number    int              // in the selection, from 0
	deletions *block.Deletions // nil if there are none
}

// SeriesSet is the answer of Select. It is valid until the view is released.
type SeriesSet struct {
	view   *View
	series []*Series
	blocks int                // that were asked
	labels []*block.LabelSets // of some of the series; held on to for others that ask the same
	// deleted holds the tombstones that cover the frozen head.
	deleted []frozenDeletion
	rules   *ruleFloors // that may hide samples in the head; nil = none

	mu       sync.Mutex
	warnings []error
}

// Len returns the number of series.
func (s *SeriesSet) Len() int { return len(s.series) }

// At returns the i-th series, in the order of labels.Compare.
func (s *SeriesSet) At(i int) *Series { return s.series[i] }

// Warnings returns the damage found so far: damaged chunks, missing blocks. The
// list grows while samples are read.
func (s *SeriesSet) Warnings() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.warnings)
}

// maxWarnings bounds the warnings of one selection.
const maxWarnings = 100

func (s *SeriesSet) warn(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.warnings) < maxWarnings {
		s.warnings = append(s.warnings, err)
	}
}

// Select returns the series of a tenant that match all matchers and may have
// samples in the range: a chunk of a block or the samples in memory, from the
// first to the last, overlap it, and deletions leave something of that. A series
// with a gap of its own as long as the range can be among them.
func (v *View) Select(ctx context.Context, tenant uint32, tr model.TimeRange, matchers ...*labels.Matcher) (*SeriesSet, error) {
	return v.selectSharing(ctx, tenant, tr, match.New(matchers), nil)
}

// ListSeries is Select for listing series: those are listed too of which only the
// buckets of rollups are left, because their samples have expired. Reading them gives
// no samples.
func (v *View) ListSeries(ctx context.Context, tenant uint32, tr model.TimeRange, matchers ...*labels.Matcher) (*SeriesSet, error) {
	ms := match.New(matchers)
	set, err := v.selectSharing(ctx, tenant, tr, ms, nil)
	if err != nil {
		return nil, err
	}
	parts, err := v.st.expiredParts(ctx, tr)
	if err = set.warnOf(err); err != nil || len(parts) == 0 {
		return set, err
	}
	join := joiner{set: set, tenant: tenant, numSources: 1}
	rollups := make(map[*sourceBlock]bool)
	for _, p := range parts {
		if err := p.Err(); err != nil {
			set.warn(err)
		}
		if p.Block() == nil {
			continue
		}
		p.lost = set.warn
		b, err := join.addBlock(ctx, p, ms)
		if err = set.warnOf(err); err != nil {
			return nil, err
		}
		rollups[b] = true
	}
	for _, s := range set.series {
		s.sources = slices.DeleteFunc(s.sources, func(src source) bool { return src.block != nil && rollups[src.block] })
	}
	slices.SortFunc(set.series, compareLabels)
	return set, nil
}

// selectSharing is Select with labels that are known already.
func (v *View) selectSharing(ctx context.Context, tenant uint32, tr model.TimeRange, ms []*match.Matcher, known *knownLabels) (*SeriesSet, error) {
	set := &SeriesSet{view: v}
	tr = v.st.visible(tr)
	if tr.Empty() {
		return set, nil
	}
	var err error
	if set.deleted, err = v.views.frozenDeletions(v.st, tenant); err != nil {
		return nil, err
	}
	set.rules = v.st.rulesInHead()
	entries := v.st.overlapping(tr)
	join := joiner{set: set, tenant: tenant, numSources: min(len(entries)+1, maxSources), shared: known}
	ranges := []model.TimeRange{tr}
	for _, e := range entries {
		if err := e.Err(); err != nil {
			set.warn(err)
		}
		if e.Block() == nil {
			continue
		}
		if _, err := join.addBlock(ctx, blockPart{Entry: e, ranges: ranges, lost: set.warn}, ms); err != nil {
			if !errors.Is(err, format.ErrCorrupt) {
				return nil, err
			}
			set.warn(err)
		}
	}
	if err := join.addHead(ctx, tr, ms); err != nil {
		return nil, err
	}
	join.sort()
	return set, nil
}

// inHead reports whether a buffer of the state holds samples of the series in
// the range.
func (s *state) inHead(ref model.Ref, tr model.TimeRange) bool {
	return s.active.Has(ref, tr) || s.frozen != nil && s.frozen.Has(ref, tr)
}

// isDeleted reports whether deletions and retention rules leave nothing in the range of
// a series of the head.
func (s *SeriesSet) isDeleted(ref model.Ref, tr model.TimeRange, ls labels.Labels) bool {
	st := s.view.st
	if s.rules != nil {
		if tr = s.kept(ls, tr); tr.Empty() || !st.inHead(ref, tr) {
			return true
		}
	}
	if len(s.deleted) == 0 || st.active.Has(ref, tr) {
		return false
	}
	span, ok := st.frozen.Span(ref)
	return !ok || deletedOf(s.deleted, ls).Covers(span.Intersect(tr))
}

// overlapping returns the raw blocks that may have samples in a range, oldest
// first.
func (s *state) overlapping(tr model.TimeRange) []*blockset.Entry {
	var list []*blockset.Entry
	for _, e := range s.blocks.Raw() {
		if e.MinTime < tr.Max && e.MaxTime >= tr.Min {
			list = append(list, e)
		}
	}
	return list
}
