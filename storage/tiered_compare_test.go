package storage

import (
	"fmt"
	"maps"
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/rollup/bucket"
)

// tieredRead is what a tiered selection gives of its series, by their label i.
type tieredRead struct {
	rows     map[string]*model.Buckets // of the tier and of the samples in gaps
	fromTier map[string]int            // rows of the tier
	gaps     map[string][]model.TimeRange
	warnings []error
}

// read reads everything in a range of whole buckets.
func (w *tieredWorld) read(v *View, tier block.Tier, tr model.TimeRange) tieredRead {
	w.t.Helper()
	set, err := v.SelectTiered(w.ctx, model.DefaultTenant, tr, OneTier(tier), labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(w.t, err)
	var r TieredReader
	defer r.Release()
	got := tieredRead{rows: map[string]*model.Buckets{}, fromTier: map[string]int{}, gaps: map[string][]model.TimeRange{}}
	for i := range set.Len() {
		s := set.At(i)
		if i > 0 && labels.Compare(set.At(i-1).Labels, s.Labels) >= 0 {
			w.t.Fatalf("%s is listed after %s", s.Labels, set.At(i-1).Labels)
		}
		var rows, all model.Buckets
		gaps, err := r.Buckets(w.ctx, s, tr, model.AllBucketColumns, &rows, nil)
		must(w.t, err)
		next := 0
		for k, gap := range gaps {
			if gap.Empty() || gap.Min < tr.Min || gap.Max > tr.Max || k > 0 && gap.Min <= gaps[k-1].Max || wholeBuckets(gap, tier.Ms()) != gap {
				w.t.Fatalf("gaps %v of %s in %v", gaps, s.Labels, tr)
			}
			j := rows.Search(gap.Min)
			all.AppendRange(&rows, next, j)
			if next = rows.Search(gap.Max); next != j {
				w.t.Fatalf("%d rows of %s lie in the gap %v", next-j, s.Labels, gap)
			}
			var samples model.Samples
			must(w.t, r.Samples(w.ctx, s, gap, &samples))
			part := bucket.FromSamples(tier.Ms(), &samples)
			all.AppendRange(part, 0, part.Len())
		}
		all.AppendRange(&rows, next, rows.Len())
		name := s.Labels.Get("i")
		got.rows[name], got.fromTier[name], got.gaps[name] = &all, rows.Len(), gaps
	}
	got.warnings = set.Warnings()
	return got
}

// check compares a tiered selection with the samples, without warnings. Of series that
// fall often there are no resets.
func (w *tieredWorld) check(tier block.Tier, tr model.TimeRange) tieredRead {
	w.t.Helper()
	v := w.view()
	defer v.Release()
	got := w.read(v, tier, tr)
	set, err := v.Select(w.ctx, model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(w.t, err)
	left := maps.Clone(got.rows)
	for i := range set.Len() {
		var samples model.Samples
		must(w.t, set.At(i).Samples(w.ctx, tr, &samples))
		want, name := bucket.FromSamples(tier.Ms(), &samples), set.At(i).Labels.Get("i")
		rows := left[name]
		delete(left, name)
		if rows == nil {
			rows = &model.Buckets{}
		}
		for k := range min(rows.Len(), want.Len()) {
			if tier < block.Hour && rows.Flags[k]&model.BucketNoResets != 0 {
				want.Flags[k] |= model.BucketNoResets
				want.Lost[k], want.Resets[k], want.Changes[k] = 0, 0, 0
			}
		}
		if diff := diffBuckets(rows, want); diff != "" {
			w.t.Fatalf("%v of series %s in %v: %s", tier, name, tr, diff)
		}
	}
	for name, rows := range left {
		if rows.Len() > 0 {
			w.t.Fatalf("%d rows of series %s, which has no samples", rows.Len(), name)
		}
	}
	if len(got.warnings) > 0 {
		w.t.Fatal(got.warnings)
	}
	return got
}

// diffBuckets describes the first difference of two sets of rows.
func diffBuckets(got, want *model.Buckets) string {
	for i := range max(got.Len(), want.Len()) {
		if i >= got.Len() || i >= want.Len() || got.End[i] != want.End[i] {
			at := func(b *model.Buckets) string {
				if i >= b.Len() {
					return "none"
				}
				return model.FormatTime(b.End[i])
			}
			return fmt.Sprintf("row %d is at %s, want %s", i, at(got), at(want))
		}
		g, w := rowText(got, i), rowText(want, i)
		if g != w {
			return fmt.Sprintf("row at %s is\n%s\nwant\n%s", model.FormatTime(got.End[i]), g, w)
		}
	}
	return ""
}

// rowText writes all columns of a row, floats by their bits.
func rowText(b *model.Buckets, i int) string {
	bits := math.Float64bits
	return fmt.Sprint(b.Flags[i], b.Count[i], b.First[i], b.T1[i], b.T2[i], b.T3[i], " ",
		bits(b.FirstV[i]), " ", bits(b.V1[i]), " ", bits(b.V2[i]), " ", bits(b.Min[i]), " ", bits(b.Max[i]), " ",
		bits(b.Sum[i]), " ", bits(b.Lost[i]), " ", b.Resets[i], " ", b.Changes[i])
}

// wholeDays returns the range of n days that ends with today.
func wholeDays(n int) model.TimeRange {
	return model.TimeRange{Min: dayAt(n - 1), Max: dayAt(0) + model.DayMs}
}
