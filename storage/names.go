package storage

import (
	"context"
	"errors"
	"slices"
	"sort"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition"
)

// LabelNames returns the label names of the series that match all matchers and
// may have samples in the range, sorted, at most limit of them if limit > 0.
// Warnings say what could not be read.
func (v *View) LabelNames(ctx context.Context, tenant uint32, tr model.TimeRange, limit int, matchers ...*labels.Matcher) (names []string, warnings []error, err error) {
	ms := match.New(matchers)
	return v.strings(ctx, tenant, tr, limit, ms,
		func(b *partition.Block, bm *roaring.Bitmap) ([]string, error) { return b.LabelNames(ctx, bm) },
		func() ([]string, error) { return v.db.head.LabelNames(ctx, tenant, ms, v.st.buffersIn(tr)...) })
}

// LabelValues returns the values of a label, as LabelNames does names.
func (v *View) LabelValues(ctx context.Context, tenant uint32, name string, tr model.TimeRange, limit int, matchers ...*labels.Matcher) (values []string, warnings []error, err error) {
	ms := match.New(matchers)
	return v.strings(ctx, tenant, tr, limit, ms,
		func(b *partition.Block, bm *roaring.Bitmap) ([]string, error) { return b.LabelValues(ctx, name, bm) },
		func() ([]string, error) { return v.db.head.LabelValues(ctx, tenant, name, ms, v.st.buffersIn(tr)...) })
}

// strings unites what the blocks and the head have.
func (v *View) strings(ctx context.Context, tenant uint32, tr model.TimeRange, limit int, ms []*match.Matcher,
	inBlock func(*partition.Block, *roaring.Bitmap) ([]string, error), inHead func() ([]string, error)) (all []string, warnings []error, err error) {
	tr = v.st.visible(tr)
	if tr.Empty() {
		return []string{}, nil, nil
	}
	for _, e := range v.st.overlapping(tr) {
		if err := e.Err(); err != nil {
			warnings = append(warnings, err)
		}
		if e.Block() == nil {
			continue
		}
		// All series of a tenant match no matchers at all; the bitmap is
		// needed because a block holds all tenants.
		bm, err := e.Block().Postings(ctx, tenant, ms)
		var got []string
		if err == nil {
			got, err = inBlock(e.Block(), bm)
		}
		switch {
		case errors.Is(err, partition.ErrCorrupt):
			warnings = append(warnings, err)
		case err != nil:
			return nil, warnings, err
		}
		all = append(all, got...)
	}
	if len(v.st.buffersIn(tr)) > 0 {
		got, err := inHead()
		if err != nil {
			return nil, warnings, err
		}
		all = append(all, got...)
	}
	sort.Strings(all)
	all = slices.Compact(all)
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	if all == nil {
		all = []string{}
	}
	return all, warnings, nil
}
