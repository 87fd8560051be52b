package storage

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log/logtest"
)

// Series that come and go are in a selection once, in order, with the samples of
// all places, whichever blocks and buffers have them.
func TestSelectionsHaveEverySeriesOnce(t *testing.T) {
	for seed := range int64(6) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { selectAgainstModel(t, seed) })
	}
}

func selectAgainstModel(t *testing.T, seed int64) {
	rnd := rand.New(rand.NewSource(seed))
	ctx := t.Context()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 22, 0, 0, 0, time.UTC))
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, ReserveBytes: 4096})
	must(t, err)
	var all []labels.Labels
	for i := range 60 {
		ls := []string{"__name__", fmt.Sprint("m", i%7), "i", fmt.Sprint(i)}
		if seed%2 == 0 && i%3 == 0 {
			ls = append(ls, "Above", fmt.Sprint(i%5)) // sorts before the name: blocks have another order
		}
		all = append(all, labels.FromStrings(ls...))
	}
	slices.SortFunc(all, labels.Compare)
	written := make([]int, len(all)) // samples by series
	for range 40 {
		switch rnd.Intn(6) {
		case 0:
			_, err := db.Flush(ctx)
			must(t, err)
		case 1:
			if rnd.Intn(3) == 0 {
				_, err := db.Compact(ctx)
				must(t, err)
			}
		default:
			clock.Advance(20 * time.Minute)
			b := db.NewBatch("test", model.DefaultTenant)
			from, to := rnd.Intn(len(all)), rnd.Intn(len(all))
			for i := min(from, to); i <= max(from, to); i++ {
				if rnd.Intn(4) > 0 {
					ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, all[i])
					must(t, err)
					b.Float(ref, clock.Now().UnixMilli(), 0, float64(i))
					written[i]++
				}
			}
			_, err := b.Commit(ctx)
			must(t, err)
		}
		v, err := db.View()
		must(t, err)
		for range 3 {
			m := labels.MustNewMatcher(labels.MatchType(rnd.Intn(4)), []string{"__name__", "i", "Above"}[rnd.Intn(3)],
				[]string{"m3", "m[0-4]", "1|2|30", ".*", ".+", "4.*", "", "1"}[rnd.Intn(8)])
			var want []int
			for i, ls := range all {
				if written[i] > 0 && m.Matches(ls.Get(m.Name)) {
					want = append(want, i)
				}
			}
			set, err := v.Select(ctx, model.DefaultTenant, model.AllTime, m)
			must(t, err)
			if set.Len() != len(want) || len(set.Warnings()) > 0 {
				t.Fatalf("%v: %d series, want %d; %v", m, set.Len(), len(want), set.Warnings())
			}
			for k, i := range want {
				s := set.At(k)
				if !labels.Equal(s.Labels, all[i]) {
					t.Fatalf("%v: series %d is %v, want %v", m, k, s.Labels, all[i])
				}
				if id, _ := model.IdentityOf(1, 0, all[i], nil); s.ID != id {
					t.Fatalf("%v has identity %v, want %v", s.Labels, s.ID, id)
				}
				var samples model.Samples
				must(t, s.Samples(ctx, model.AllTime, &samples))
				if samples.Len() != written[i] {
					t.Fatalf("%v: %d samples, want %d", s.Labels, samples.Len(), written[i])
				}
			}
		}
		v.Release()
	}
	must(t, db.Close(ctx))
}
