package storage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log/logtest"
)

// The tables are those of all series, wherever they have samples, and a series
// in several places counts once.
func TestCardinalityCountsAllSeriesOnce(t *testing.T) {
	ctx := context.Background()
	clock := vfs.NewManualClock(timesNow)
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	rnd := rand.New(rand.NewPCG(1, 2))
	all := map[string]labels.Labels{}
	oldest := timesNow.UnixMilli() - 5*model.DayMs
	check := func(when string) {
		t.Helper()
		metrics, names, nameBytes, pairs := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
		for _, ls := range all {
			metrics[ls.Get("__name__")]++
			ls.Range(func(l labels.Label) {
				if pairs[l.Name+"="+l.Value]++; pairs[l.Name+"="+l.Value] == 1 {
					names[l.Name]++
					nameBytes[l.Name] += uint64(len(l.Value))
				}
			})
		}
		c, warnings, err := db.Cardinality(ctx, CardinalityRequest{Limit: 1000})
		if err != nil || len(warnings) > 0 {
			t.Fatal(err, warnings)
		}
		if c.Series != uint64(len(all)) || c.LabelPairs != uint64(len(pairs)) || c.MinTime != oldest || c.MaxTime != timesNow.UnixMilli() || c.Chunks == 0 {
			t.Errorf("%s: %d series, %d pairs, %d to %d, want %d, %d, %d to %d", when, c.Series, c.LabelPairs, c.MinTime, c.MaxTime,
				len(all), len(pairs), oldest, timesNow.UnixMilli())
		}
		for i, rows := range [][]NameCount{c.ByMetric, c.ByLabelName, c.BytesByLabel, c.ByLabelPair} {
			got := map[string]uint64{}
			for k, r := range rows {
				got[r.Name] = r.Count
				if k > 0 && r.Count > rows[k-1].Count {
					t.Errorf("%s: row %d of table %d has more than the one before", when, k, i)
				}
			}
			if want := []map[string]uint64{metrics, names, nameBytes, pairs}[i]; !reflect.DeepEqual(got, want) {
				t.Errorf("%s: table %d is %v, want %v", when, i, got, want)
			}
		}
		if few, _, err := db.Cardinality(ctx, CardinalityRequest{Limit: 2}); err != nil || len(few.ByMetric) != 2 || few.ByMetric[0] != c.ByMetric[0] {
			t.Errorf("%s: the largest two: %v, %v", when, few.ByMetric, err)
		}
	}
	for round := range 6 {
		b := db.NewBatch("test", model.DefaultTenant)
		for range 40 {
			ls := labels.FromStrings("__name__", fmt.Sprint("m", rnd.IntN(5)), "pod", fmt.Sprint(round/2, "-", rnd.IntN(20)), "zone", fmt.Sprint(rnd.IntN(3)))
			ref, err := b.Resolve(model.Hash{Hi: ls.Hash()}, ls)
			if err != nil {
				t.Fatal(err)
			}
			b.Float(ref, oldest+int64(round)*model.DayMs, 0, 1)
			all[ls.String()] = ls
		}
		if _, err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if round == 5 {
			break
		}
		if _, err := db.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		db.head.Evict(db.wal.Generation()) // what is idle is in blocks only
	}
	check("head and cuts")
	if _, err := db.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	check("merged")

	// Pairs beyond the bound are left out, with a warning.
	c, warnings, err := db.cardinality(ctx, CardinalityRequest{Limit: 1000}, 10)
	if err != nil || len(warnings) != 1 || c.Series != uint64(len(all)) {
		t.Errorf("10 pairs of blocks: %d series, %v, %v", c.Series, warnings, err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := db.Cardinality(cancelled, CardinalityRequest{Limit: 10}); err == nil {
		t.Error("goes on after the end of its context")
	}
}
