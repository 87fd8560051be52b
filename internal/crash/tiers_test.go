package crash

import (
	"context"
	"fmt"
	"reflect"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/rollup/bucket"
	"tsdb/storage"
)

// tiersAnswer returns an error unless the rows of both tiers are what the samples give,
// wherever the tiers answer. It returns how many rows they have.
func tiersAnswer(db *storage.DB) (rows int, err error) {
	v, err := db.View()
	if err != nil {
		return 0, err
	}
	defer v.Release()
	ctx := context.Background()
	day := block.Raw.PartitionStart(begin.UnixMilli())
	tr := model.TimeRange{Min: max(day-4*model.DayMs, v.RawFloor()), Max: day + 20*model.DayMs}
	all := labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")
	for tier := range options(nil).TierRetentionMs {
		set, err := v.SelectTiered(ctx, model.DefaultTenant, tr, storage.OneTier(tier), all)
		if err != nil {
			return 0, err
		}
		var r storage.TieredReader
		for i := range set.Len() {
			s := set.At(i)
			var got, want model.Buckets
			gaps, err := r.Buckets(ctx, s, tr, model.AllBucketColumns, &got, nil)
			if err != nil {
				return 0, err
			}
			rows += got.Len()
			for from, k := tr.Min, 0; k <= len(gaps); k++ {
				part := model.TimeRange{Min: from, Max: tr.Max}
				if k < len(gaps) {
					part.Max, from = gaps[k].Min, gaps[k].Max
				}
				var samples model.Samples
				if err := r.Samples(ctx, s, part, &samples); err != nil {
					return 0, err
				}
				b := bucket.FromSamples(tier.Ms(), &samples)
				want.AppendRange(b, 0, b.Len())
			}
			if !reflect.DeepEqual(bits(&got), bits(&want)) {
				return 0, fmt.Errorf("%v of %s: %d rows differ from %d of the samples", tier, s.Labels, got.Len(), want.Len())
			}
		}
		r.Release()
		if ws := set.Warnings(); len(ws) > 0 {
			return 0, ws[0]
		}
	}
	return rows, nil
}

// bits returns the rows in a form that tells NaNs apart.
func bits(b *model.Buckets) []string {
	var all []string
	for i := range b.End {
		all = append(all, fmt.Sprintf("%d %d %d %d %d %d %d %x %x %x %x %x %x %x %d %d", b.End[i], b.Flags[i], b.Count[i], b.First[i], b.T1[i], b.T2[i], b.T3[i],
			b.FirstV[i], b.V1[i], b.V2[i], b.Min[i], b.Max[i], b.Sum[i], b.Lost[i], b.Resets[i], b.Changes[i]))
	}
	return all
}
