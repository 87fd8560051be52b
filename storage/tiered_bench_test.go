package storage

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// BenchmarkReadTiered reads a year of hours of 1,000 series, from blocks of one day
// and from folded ones.
//
//	go test ./storage -run '^$' -bench ReadTiered
func BenchmarkReadTiered(b *testing.B) {
	const series, days = 1000, 365
	w := newTieredWorld(b)
	for ago := days; ago > 0; ago-- {
		batch := w.db.NewBatch("test", model.DefaultTenant)
		for i := range series {
			ref, err := batch.Resolve(model.Hash{Lo: uint64(i)}, tieredLabels(i))
			must(b, err)
			for h := range int64(24) {
				batch.Float(ref, dayAt(ago)+h*model.HourMs+1000, 0, float64(i)+float64(h))
			}
		}
		_, err := batch.Commit(w.ctx)
		must(b, err)
		if ago%60 == 0 {
			w.flush()
		}
	}
	w.compact()
	for ago := days; ago > 0; ago-- {
		w.roll(dayAt(ago), rollForm{}, block.Hour)
	}
	read := func(b *testing.B) {
		v := w.view()
		defer v.Release()
		for b.Loop() {
			set, err := v.SelectTiered(w.ctx, model.DefaultTenant, wholeDays(days+1), OneTier(block.Hour), labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
			must(b, err)
			var r TieredReader
			var rows model.Buckets
			n := 0
			for i := range set.Len() {
				rows.Reset()
				gaps, err := r.Buckets(w.ctx, set.At(i), wholeDays(days+1), model.ColumnMax, &rows, nil)
				must(b, err)
				if len(gaps) > 0 {
					b.Fatal(gaps)
				}
				n += rows.Len()
			}
			r.Release()
			if n != series*days*24 {
				b.Fatalf("%d rows", n)
			}
			b.SetBytes(int64(n))
		}
	}
	b.Run("blocks=days", read)
	for from := dayAt(days); from < dayAt(0); from += 64 * model.DayMs {
		w.fold(block.Hour, model.TimeRange{Min: from, Max: from + 64*model.DayMs})
	}
	b.Run("blocks=folded", read)
}
