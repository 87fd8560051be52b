package storage

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
)

// Flaws are the times of a selection in which an answer differs from what was once
// written.
type Flaws struct {
	// Deleted are the times of recorded deletions that may concern the selection, Damaged
	// those of samples known to be unreadable. Both are sorted and disjoint, at most
	// MaxFlaws each.
	Deleted, Damaged []model.TimeRange
}

// MaxFlaws bounds the ranges of Flaws.
const MaxFlaws = 100

// flawedSeries bounds the series of which chunks are looked up for damage.
const flawedSeries = 10_000

// Flaws returns the flaws of the samples of a range of the series that match all matchers.
// It reads directories, no columns.
func (v *View) Flaws(ctx context.Context, tenant uint32, tr model.TimeRange, ms ...*labels.Matcher) (Flaws, error) {
	var f Flaws
	compiled, err := match.Compiled(ms)
	if err != nil {
		return Flaws{}, err
	}
	for i := range v.st.tombstones {
		t := &v.st.tombstones[i]
		both := t.Range.Intersect(tr)
		if t.Tenant != tenant || both.Empty() {
			continue
		}
		deleted, err := v.views.tombstones.matchers(t)
		if err != nil {
			return Flaws{}, err
		}
		if !contradict(deleted, compiled) && !contradict(compiled, deleted) {
			f.Deleted = append(f.Deleted, both)
		}
	}
	for _, e := range v.st.blocks.Entries() {
		if both := e.TimeRange().Intersect(tr); e.Err() != nil && !both.Empty() {
			f.Damaged = append(f.Damaged, both)
		}
	}
	for _, c := range v.st.blocks.State().Coverage {
		for _, lost := range c.Lost {
			if both := lost.Intersect(tr); !both.Empty() {
				f.Damaged = append(f.Damaged, both)
			}
		}
	}
	set, err := v.Select(ctx, tenant, tr, ms...)
	if err != nil {
		return Flaws{}, err
	}
	for _, s := range set.series[:min(len(set.series), flawedSeries)] {
		if err := v.checkpoint(ctx); err != nil {
			return Flaws{}, err
		}
		for _, src := range s.sources {
			if src.block == nil {
				continue
			}
			chunks, err := src.block.Chunks(src.ord, tr, nil)
			if err := set.warnOf(err); err != nil {
				return Flaws{}, err
			}
			for _, k := range chunks {
				if k.Bad {
					f.Damaged = append(f.Damaged, model.Inclusive(k.MinTime, k.MaxTime).Intersect(tr))
				}
			}
		}
	}
	f.Deleted, f.Damaged = firstRanges(f.Deleted), firstRanges(f.Damaged)
	return f, nil
}

// firstRanges merges ranges, and returns the first ones.
func firstRanges(rs []model.TimeRange) []model.TimeRange {
	rs = mergeRanges(rs)
	return rs[:min(len(rs), MaxFlaws)]
}
