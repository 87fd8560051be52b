package blockset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// Retention rules give series floors of their own. What lies below is hidden as if by a
// tombstone. The series of each rule are found once for a block and the selectors of a
// list; which rows are hidden follows from the floors, once for a version.

// maxRuleLists bounds the lists of which an entry caches the series.
const maxRuleLists = 8

// hiddenRows caches what a version hides of each block.
type hiddenRows struct {
	sync.Mutex
	of map[*Entry][]block.Deletion
}

// hidden returns what retention hides of a block that is open: the samples below the
// floor and the rows of series below the floors of their rules, except for samples that
// stand in for buckets. The result is shared and must not be changed.
func (v *Version) hidden(ctx context.Context, e *Entry) ([]block.Deletion, error) {
	if e.MinTime >= v.state.HighestFloor(e.Tier) || e.Tier != block.Raw && len(v.state.RuleLists) == 0 {
		return nil, nil
	}
	v.hiding.Lock()
	parts, known := v.hiding.of[e]
	v.hiding.Unlock()
	if known {
		return parts, nil
	}
	if e.Tier == block.Raw {
		expired, err := v.expired(ctx, e)
		if err != nil {
			return nil, err
		}
		if expired != nil {
			parts = append(parts, *expired)
		}
	}
	for i := range v.state.RuleLists {
		l := &v.state.RuleLists[i]
		for j := range l.Rules {
			part, err := v.hiddenBy(ctx, e, l, j)
			if err != nil {
				return nil, err
			}
			if part != nil {
				parts = append(parts, *part)
			}
		}
	}
	v.hiding.Lock()
	defer v.hiding.Unlock()
	if v.hiding.of == nil {
		v.hiding.of = map[*Entry][]block.Deletion{}
	}
	v.hiding.of[e] = parts
	return parts, nil
}

// hiddenBy returns what a rule of a list hides of a block, nil for nothing.
func (v *Version) hiddenBy(ctx context.Context, e *Entry, l *manifest.RuleList, rule int) (*block.Deletion, error) {
	r := &l.Rules[rule]
	floor := max(r.Floor(e.Tier), v.state.TierFloor(e.Tier))
	if len(r.Floors) == 0 || e.MinTime >= floor {
		return nil, nil
	}
	all, err := e.ruleSeries(ctx, l)
	if err != nil || all[rule].IsEmpty() {
		return nil, err
	}
	series := all[rule]
	if e.Tier == block.Raw && e.Level != block.L0 {
		standing, every, err := v.standing(ctx, e, func(tier block.Tier) bool { return e.Partition >= r.Floor(tier) })
		if err != nil || every {
			return nil, err
		}
		if series = roaring.AndNot(series, standing); series.IsEmpty() {
			return nil, nil
		}
	}
	return &block.Deletion{Series: series, Range: model.TimeRange{Min: math.MinInt64, Max: floor}}, nil
}

// ruleSeries returns the series of the block, which must be open, by the rule of a list
// that they are of. The caller must not change the bitmaps.
func (e *Entry) ruleSeries(ctx context.Context, l *manifest.RuleList) ([]*roaring.Bitmap, error) {
	key := l.Key()
	e.resolved.Lock()
	all := e.resolved.rules[key]
	e.resolved.Unlock()
	if all != nil {
		return all, nil
	}
	rest := roaring.New()
	rest.AddRange(0, e.Series)
	tenants, err := e.block.Tenants()
	if err != nil {
		return nil, fmt.Errorf("find series of retention rules in %s: %w", e.Name, err)
	}
	for i := range l.Rules {
		of := rest
		if i < len(l.Rules)-1 {
			of = roaring.New()
			for _, ms := range l.Rules[i].Selectors {
				for _, tenant := range tenants {
					found, err := e.block.Postings(ctx, tenant, match.New(ms))
					if err != nil {
						return nil, fmt.Errorf("find series of retention rule %s in %s: %w", &l.Rules[i], e.Name, err)
					}
					of.Or(found)
				}
			}
			of.And(rest)
			rest.AndNot(of)
		}
		of.RunOptimize()
		all = append(all, of)
	}
	e.resolved.Lock()
	defer e.resolved.Unlock()
	if e.resolved.rules == nil || len(e.resolved.rules) >= maxRuleLists {
		e.resolved.rules = map[string][]*roaring.Bitmap{}
	}
	e.resolved.rules[key] = all
	return all, nil
}

// RuleSeries returns the number of series of a block that are of a rule.
func (v *Version) RuleSeries(ctx context.Context, e *Entry, l *manifest.RuleList, rule int) (uint64, error) {
	all, err := e.ruleSeries(ctx, l)
	if err != nil {
		return 0, err
	}
	return all[rule].GetCardinality(), nil
}

// ExpiredSeries returns the series of a rollup block of which samples may have expired by
// retention rules while those of others are kept.
func (v *Version) ExpiredSeries(ctx context.Context, e *Entry) (*roaring.Bitmap, error) {
	return v.BelowRules(ctx, e, block.Raw, e.MinTime)
}

// BelowRules returns the series of a block whose rules have a floor of a tier above the
// start of a day.
func (v *Version) BelowRules(ctx context.Context, e *Entry, tier block.Tier, day int64) (*roaring.Bitmap, error) {
	series := roaring.New()
	for i := range v.state.RuleLists {
		l := &v.state.RuleLists[i]
		if l.Highest(tier) <= day {
			continue
		}
		all, err := e.ruleSeries(ctx, l)
		if err != nil {
			return nil, err
		}
		for j := range l.Rules {
			if l.Rules[j].Floor(tier) > day {
				series.Or(all[j])
			}
		}
	}
	return series, nil
}

// Carried returns the series of a rollup block whose samples of a day have expired by
// retention rules while their rows are kept.
func (v *Version) Carried(ctx context.Context, e *Entry, day int64) (*roaring.Bitmap, error) {
	series, err := v.BelowRules(ctx, e, block.Raw, day)
	if err != nil {
		return nil, err
	}
	hidden, err := v.BelowRules(ctx, e, e.Tier, day)
	if err != nil {
		return nil, err
	}
	series.AndNot(hidden)
	return series, nil
}

// RuleHas reports whether a series of a rule has rows of a block in tr, of a generation
// above gen if the block knows those of its series, and true if that cannot be read.
func (v *Version) RuleHas(ctx context.Context, l *manifest.RuleList, rule int, name string, tr model.TimeRange, gen uint64) bool {
	e := v.Find(name)
	if e == nil || e.block == nil {
		return true
	}
	all, err := e.ruleSeries(ctx, l)
	if err != nil {
		return true
	}
	series := all[rule].Clone()
	if e.Level == block.L2 && gen > 0 {
		for it := all[rule].Iterator(); it.HasNext(); {
			ord := it.Next()
			if g, err := e.block.Generation(ord); err == nil && g <= gen {
				series.Remove(ord)
			}
		}
	}
	if series.IsEmpty() {
		return false
	}
	lost, err := e.block.PresentIn(ctx, series, tr, nil)
	return err != nil || len(lost) > 0 || !series.IsEmpty()
}

// Hides reports whether a list may still be needed: a block may hold rows that it hides,
// samples whose buckets it hides and which must be read in their place, or buckets that
// were made of samples it hides and which must be carried over when their day is rolled
// up again.
func (v *Version) Hides(ctx context.Context, l *manifest.RuleList) bool {
	for _, e := range v.entries {
		for i := range l.Rules {
			r := &l.Rules[i]
			tr := model.TimeRange{Min: math.MinInt64, Max: r.Floor(e.Tier)}
			if e.Tier == block.Raw {
				tr.Max = r.Highest()
			}
			made := model.TimeRange{Min: v.state.Floor, Max: r.Floor(block.Raw)}
			for _, tr := range []model.TimeRange{tr, made} {
				if tr.Overlaps(e.Info.TimeRange()) && v.RuleHas(ctx, l, i, e.Name, tr, 0) {
					return true
				}
			}
		}
	}
	return false
}

// Expired returns a function for compaction.PlanOptions and rollup.PlanOptions. It
// reports the share of the rows of a block, from 0 to 1, that a rewrite would drop
// because retention hides them, and the highest floor that does so.
func (v *Version) Expired(ctx context.Context) func(block string) (share float64, floor int64) {
	return func(name string) (float64, int64) {
		e := v.Find(name)
		if e == nil || e.block == nil || e.Level == block.L0 {
			return 0, manifest.NoFloor
		}
		parts, err := v.hidden(ctx, e)
		if err != nil || len(parts) == 0 {
			return 0, manifest.NoFloor
		}
		rows, floor, err := e.countHidden(ctx, parts)
		if err != nil || rows == 0 {
			return 0, manifest.NoFloor
		}
		return min(float64(rows)/float64(max(e.Samples, 1)), 1), floor
	}
}

// countHidden returns the number of rows of whole chunks that parts hide, by the
// directory, and the highest floor of the parts that hide some. The last result is
// kept: floors of a block change once a day.
func (e *Entry) countHidden(ctx context.Context, parts []block.Deletion) (rows uint64, floor int64, err error) {
	e.resolved.Lock()
	last := e.resolved.counted
	e.resolved.Unlock()
	if last != nil && sameParts(last.parts, parts) {
		return last.rows, last.floor, nil
	}
	floor = manifest.NoFloor
	series := roaring.New()
	for _, p := range parts {
		series.Or(p.Series)
	}
	deletions := block.NewDeletions(parts)
	var (
		chunks []block.Chunk
		ranges block.DeletedRanges
	)
	for it := series.Iterator(); it.HasNext(); {
		ord := it.Next()
		if ord%joinCheck == 0 && ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		if chunks, err = e.block.Chunks(ord, model.AllTime, chunks[:0]); errors.Is(err, format.ErrCorrupt) {
			continue
		} else if err != nil {
			return 0, 0, err
		}
		ranges = deletions.Ranges(ord, ranges)
		for _, c := range chunks {
			span := model.Inclusive(c.MinTime, c.MaxTime)
			if c.Kind == block.KindStandIn {
				c.Count = 1 // as in Info.Samples
			}
			switch {
			case ranges.Covers(span):
				rows += uint64(c.Count)
			case ranges.Overlaps(span): // a chunk of several days
				for _, r := range ranges {
					rows += uint64(float64(c.Count) * float64(max(r.Intersect(span).Max-r.Intersect(span).Min, 0)) / float64(span.Max-span.Min))
				}
			default:
				continue
			}
			floor = max(floor, ranges[len(ranges)-1].Max)
		}
	}
	e.resolved.Lock()
	defer e.resolved.Unlock()
	e.resolved.counted = &countedHidden{parts, rows, floor}
	return rows, floor, nil
}

// countedHidden is a result of countHidden.
type countedHidden struct {
	parts []block.Deletion
	rows  uint64
	floor int64
}

func sameParts(a, b []block.Deletion) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Range != b[i].Range || !a[i].Series.Equals(b[i].Series) {
			return false
		}
	}
	return true
}
