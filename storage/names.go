package storage

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/storage/head"
)

// LabelNames returns the label names of the series that match all matchers and
// may have samples in the range (see ListSeries), sorted, at most limit of them if limit > 0.
// Warnings name data that could not be read.
func (v *View) LabelNames(ctx context.Context, tenant uint32, tr model.TimeRange, limit int, matchers ...*labels.Matcher) (names []string, warnings []error, err error) {
	ms := match.New(matchers)
	return v.strings(ctx, tenant, tr, limit, ms,
		func(b *block.Block, bm *roaring.Bitmap) ([]string, error) { return b.LabelNames(ctx, bm) },
		func(tr model.TimeRange, in []*head.Buffer) ([]string, error) {
			return v.views.head.LabelNames(ctx, tenant, ms, tr, in...)
		},
		func(ls labels.Labels, add func(string)) { ls.Range(func(l labels.Label) { add(l.Name) }) })
}

// LabelValues returns the values of a label, as LabelNames does names.
func (v *View) LabelValues(ctx context.Context, tenant uint32, name string, tr model.TimeRange, limit int, matchers ...*labels.Matcher) (values []string, warnings []error, err error) {
	ms := match.New(matchers)
	return v.strings(ctx, tenant, tr, limit, ms,
		func(b *block.Block, bm *roaring.Bitmap) ([]string, error) { return b.LabelValues(ctx, name, bm, limit) },
		func(tr model.TimeRange, in []*head.Buffer) ([]string, error) {
			return v.views.head.LabelValues(ctx, tenant, name, ms, tr, limit, in...)
		},
		func(ls labels.Labels, add func(string)) {
			if value := ls.Get(name); value != "" {
				add(value)
			}
		})
}

// strings returns the union of the strings of blocks and head, which inBlock and inHead
// return sorted. inSeries, which adds those of one series, is used if deletions or
// retention rules hide samples in the head. No more is held than the union, or the first
// limit strings of it, and what one block has.
func (v *View) strings(ctx context.Context, tenant uint32, tr model.TimeRange, limit int, ms []*match.Matcher,
	inBlock func(*block.Block, *roaring.Bitmap) ([]string, error), inHead func(model.TimeRange, []*head.Buffer) ([]string, error),
	inSeries func(labels.Labels, func(string))) (all []string, warnings []error, err error) {
	parts, err := v.st.expiredParts(ctx, tr)
	if errors.Is(err, format.ErrCorrupt) {
		warnings = append(warnings, err)
	} else if err != nil {
		return nil, nil, err
	}
	if tr = v.st.visible(tr); !tr.Empty() {
		for _, e := range v.st.overlapping(tr) {
			parts = append(parts, blockPart{Entry: e, ranges: []model.TimeRange{tr}})
		}
	}
	for _, p := range parts {
		if err := p.Err(); err != nil {
			warnings = append(warnings, err)
		}
		if p.Block() == nil {
			continue
		}
		got, lost, err := v.stringsInBlock(ctx, p, tenant, ms, inBlock)
		warnings = append(warnings, lost...)
		switch {
		case errors.Is(err, format.ErrCorrupt):
			warnings = append(warnings, err)
		case err != nil:
			return nil, warnings, err
		}
		all = joinSorted(all, got, limit)
	}
	if !tr.Empty() {
		got, err := v.stringsInHead(ctx, tenant, tr, ms, inHead, inSeries)
		if err != nil {
			return nil, warnings, err
		}
		all = joinSorted(all, got, limit)
	}
	if all == nil {
		all = []string{}
	}
	return all, warnings[:min(len(warnings), maxWarnings)], nil
}

// stringsInBlock returns the result of inBlock for the series that match and have
// a chunk in the times of the part.
func (v *View) stringsInBlock(ctx context.Context, p blockPart, tenant uint32, ms []*match.Matcher,
	inBlock func(*block.Block, *roaring.Bitmap) ([]string, error)) (got []string, lost []error, err error) {
	// All series of a tenant match no matchers at all; the bitmap is needed
	// because a block holds all tenants.
	bm, err := p.Block().Postings(ctx, tenant, ms)
	if err != nil {
		return nil, nil, err
	}
	deletions, err := p.deletions(ctx, v.st)
	if err != nil {
		return nil, nil, err
	}
	if p.only != nil {
		bm.And(p.only)
	}
	if lost, err = p.Block().PresentIn(ctx, bm, hull(p.ranges), deletions); err != nil {
		return nil, nil, err
	}
	got, err = inBlock(p.Block(), bm)
	return got, lost, err
}

// stringsInHead returns the strings of the head's series with samples in the range.
func (v *View) stringsInHead(ctx context.Context, tenant uint32, tr model.TimeRange, ms []*match.Matcher,
	inHead func(model.TimeRange, []*head.Buffer) ([]string, error), inSeries func(labels.Labels, func(string))) ([]string, error) {
	buffers := v.st.buffersIn(tr)
	if len(buffers) == 0 {
		return nil, nil
	}
	deleted, err := v.views.frozenDeletions(v.st, tenant)
	if err != nil {
		return nil, err
	}
	rules := v.st.rulesInHead()
	if len(deleted) == 0 && rules == nil {
		return inHead(tr, buffers)
	}
	set := &SeriesSet{view: v, deleted: deleted, rules: rules}
	join := joiner{set: set, tenant: tenant, numSources: 1}
	if err := join.addHead(ctx, tr, ms); err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	for _, s := range set.series {
		inSeries(s.Labels, func(text string) { seen[text] = true })
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// joinSorted returns the union of two sorted lists without repetitions, the first limit
// of it if limit > 0. It may return one of them.
func joinSorted(a, b []string, limit int) []string {
	first := func(list []string) []string {
		if limit > 0 && len(list) > limit {
			return list[:limit:limit]
		}
		return list
	}
	if a, b = first(a), first(b); len(a) == 0 {
		return b
	} else if len(b) == 0 || slices.Equal(a, b) {
		return a
	}
	all := make([]string, 0, max(len(a), len(b)))
	for (len(a) > 0 || len(b) > 0) && (limit <= 0 || len(all) < limit) {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			all, a = append(all, a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			all, b = append(all, b[0]), b[1:]
		default:
			all, a, b = append(all, a[0]), a[1:], b[1:]
		}
	}
	return all
}
