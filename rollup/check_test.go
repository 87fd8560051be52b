package rollup

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/manifest"
	"tsdb/rollup/bucket"
)

// check returns an error unless every entry that is clean has the buckets of the
// samples. With all set every day with samples must have an entry that is clean.
func (s *store) check(all bool) error {
	v := s.set.Acquire()
	defer v.Release()
	st := v.State()
	if err := st.Check(); err != nil {
		return err
	}
	raw := map[int64][]block.Info{}
	for _, e := range v.Entries() {
		if err := e.Err(); err != nil {
			return err
		}
		var damage error
		err := e.Block().Check(context.Background(), func(off int64, what string) { damage = fmt.Errorf("%s@%d: %s", e.Name, off, what) })
		if err := errors.Join(err, damage); err != nil {
			return err
		}
		if e.Tier != block.Raw {
			continue
		}
		for d := block.Raw.PartitionStart(e.MinTime); d <= e.MaxTime; d += model.DayMs {
			raw[d] = append(raw[d], e.Info)
		}
	}
	for _, tier := range s.tiers {
		for day := range raw {
			c, ok := st.CoverageOf(tier, day)
			clean := ok && !slices.ContainsFunc(raw[day], func(b block.Info) bool { return !c.Clean(b) }) &&
				!slices.ContainsFunc(st.Tombstones, func(t manifest.Tombstone) bool {
					return t.ID > c.Tombstone && t.Range.Overlaps(c.Range()) && c.Block != ""
				})
			switch {
			case clean:
				if err := s.checkDay(v, &c); err != nil {
					return err
				}
			case all && day >= st.Floor && block.Raw.PartitionRange(day).Max <= s.nowMs:
				return fmt.Errorf("%v of day %d is not clean", tier, (day-day0)/model.DayMs)
			}
		}
	}
	return nil
}

// checkDay holds the rows of an entry against the samples.
func (s *store) checkDay(v *blockset.Version, c *manifest.Coverage) error {
	got := map[model.Identity]*model.Buckets{}
	stood := map[model.Identity]bool{}
	if c.Block != "" {
		e := v.Find(c.Block)
		for ord := range uint32(e.Series) {
			at, err := e.Block().Series(ord)
			if err != nil {
				return err
			}
			rows, standIn, err := rowsOf(e.Block(), ord, c.Range())
			if err != nil {
				return err
			}
			got[at.ID], stood[at.ID] = rows, len(standIn) > 0
		}
	}
	for k, smp := range s.want {
		at := series(k)
		part := smp.Slice(smp.Search(c.Day), smp.Search(c.Range().Max))
		want := bucket.FromSamples(c.Tier.Ms(), &part)
		rows := got[at.ID]
		if rows == nil {
			rows = &model.Buckets{}
		}
		what := fmt.Sprintf("%v, day %d, series %d in %q", c.Tier, (c.Day-day0)/model.DayMs, k, c.Block)
		switch {
		case part.Len() > 0 && (c.StandIn || stood[at.ID]):
			if c.Tier >= block.Hour || rows.Len() > 0 {
				return fmt.Errorf("%s: %d samples stand in beside %d buckets", what, part.Len(), rows.Len())
			}
		default:
			if s.o.OmitResets {
				bucket.OmitResets(c.Tier.Ms(), want)
			}
			if why := diffBuckets(rows, want); why != "" {
				return fmt.Errorf("%s: %s", what, why)
			}
		}
	}
	return nil
}

// rowsOf reads the rows of a series in a range.
func rowsOf(b *block.Block, ord uint32, tr model.TimeRange) (*model.Buckets, []model.TimeRange, error) {
	r := b.Reader()
	defer r.Release()
	rows := &model.Buckets{}
	standIn, err := r.Buckets(context.Background(), ord, tr, model.AllBucketColumns, rows, nil)
	return rows, standIn, err
}

// diffBuckets describes the first difference between rows, "" if there is none.
func diffBuckets(got, want *model.Buckets) string {
	if got.Len() != want.Len() {
		return fmt.Sprintf("%d rows, want %d", got.Len(), want.Len())
	}
	g, w := reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem()
	for i := range got.Len() {
		for f := range g.NumField() {
			if !g.Type().Field(f).IsExported() {
				continue
			}
			a, b := g.Field(f).Index(i).Interface(), w.Field(f).Index(i).Interface()
			if x, ok := a.(float64); ok {
				a, b = math.Float64bits(x), math.Float64bits(b.(float64))
			}
			if a != b {
				return fmt.Sprintf("row %d at %d: %s is %v, want %v", i, want.End[i], g.Type().Field(f).Name, a, b)
			}
		}
	}
	return ""
}
