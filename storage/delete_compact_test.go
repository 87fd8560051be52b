package storage

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
)

// deleteDB is a database with a block of four series, and nothing in memory.
func deleteDB(t *testing.T) (*DB, *vfs.ManualClock) {
	t.Helper()
	ctx := context.Background()
	fs := vfs.NewMem()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db, err := openChecked(t, ctx, fs, "data", Options{Clock: clock, Seed: 1, CacheBytes: -1, ReserveBytes: 4096})
	must(t, err)
	t.Cleanup(func() {
		must(t, db.Close(ctx))
		must(t, checkedClean(fs))
	})
	fillSeries(t, db, 4, 100)
	_, err = db.Flush(ctx)
	must(t, err)
	return db, clock
}

// fillSeries writes n samples to each of some series, the newest now.
func fillSeries(t *testing.T, db *DB, series, n int) {
	t.Helper()
	b := db.NewBatch("test", model.DefaultTenant)
	for i := range series {
		ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
		must(t, err)
		for k := range n {
			b.Float(ref, db.now()-int64(k), 0, float64(k))
		}
	}
	_, err := b.Commit(context.Background())
	must(t, err)
}

func equalI(i int) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, "i", fmt.Sprint(i))
}

// A deletion after which nothing is written is carried out by Compact.
func TestCompactCarriesOutADeletionWithoutLaterSamples(t *testing.T) {
	ctx := context.Background()
	db, _ := deleteDB(t)
	must(t, db.Delete(ctx, model.DefaultTenant, model.AllTime, equalI(1)))
	_, err := db.Compact(ctx)
	must(t, err)
	st, err := db.Status()
	must(t, err)
	if st.Samples != 300 || st.Deletions.Live != 0 {
		t.Errorf("%d samples in blocks, deletions %+v; want 300 and none", st.Samples, st.Deletions)
	}
}

// A deletion is recorded half an hour after it was made, without samples too, so that
// merges can carry it out.
func TestADeletionAloneMakesACutDue(t *testing.T) {
	ctx := context.Background()
	db, clock := deleteDB(t)
	clock.Advance(3 * time.Hour) // the head has been idle for long
	must(t, db.Delete(ctx, model.DefaultTenant, model.AllTime, equalI(1)))
	if cut, err := db.flusher.cutIfDue(ctx); cut || err != nil {
		t.Errorf("cut at once: %v, %v", cut, err)
	}
	clock.Advance(31 * time.Minute)
	if cut, err := db.flusher.cutIfDue(ctx); !cut || err != nil {
		t.Errorf("cut half an hour later: %v, %v", cut, err)
	}
	if n := len(db.manifest.State().Tombstones); n != 1 {
		t.Errorf("%d deletions recorded", n)
	}
}

// Ten thousand deletions of a series each are few tombstones for every selection.
// Deletions that cannot be combined are refused beyond the limit, with what to do.
func TestManyDeletionsAreCombinedAndBounded(t *testing.T) {
	ctx := context.Background()
	db, _ := deleteDB(t)
	for i := range 1000 {
		must(t, db.Delete(ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"), equalI(i+2)))
	}
	if u := db.views.tombstoneUse(); u.Live > combineEvery+1 || u.Unrecorded != u.Live {
		t.Errorf("deletions %+v", u)
	}
	if got := len(samplesOf(t, db)); got != 200 {
		t.Errorf("%d samples, want those of two series", got)
	}
	_, err := db.Flush(ctx)
	must(t, err)
	if u := db.views.tombstoneUse(); u.Live != 1 || u.Unrecorded != 0 {
		t.Errorf("deletions %+v once recorded, want one", u)
	}
	for i := 0; err == nil && i < 2*maxTombstones; i++ {
		err = db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: int64(10 * i), Max: int64(10*i + 5)}, equalI(i))
	}
	if !errors.Is(err, ErrTooManyDeletions) || !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "clean_tombstones") {
		t.Fatalf("error %v", err)
	}
	_, err = db.Compact(ctx)
	must(t, err)
	must(t, db.Delete(ctx, model.DefaultTenant, model.AllTime, equalI(0)))
}

// IDs of deletions rise with their generations, whatever is combined and recorded
// meanwhile: rollups name the highest one they have applied.
func TestIDsOfDeletionsRiseWithGenerations(t *testing.T) {
	few := &pendingTombstones{}
	for i, gen := range []uint64{1, 1, 2} { // the third is not combined
		few.replayed(0, []*labels.Matcher{equalI(i)}, model.AllTime, gen, time.Time{})
	}
	if first, all := few.upTo(1), few.upTo(2); len(first) != 1 || len(all) != 2 || all[1].Gen != 2 || all[1].ID <= first[0].ID {
		t.Errorf("recorded are %v, then %v", first, all)
	}

	p := &pendingTombstones{}
	for gen := uint64(1); gen < 5; gen++ {
		for i := range 40 {
			p.replayed(0, []*labels.Matcher{equalI(i)}, model.AllTime, gen, time.Time{})
		}
	}
	last := uint64(0)
	for gen := uint64(1); gen < 5; gen++ {
		list := p.upTo(gen)
		if len(list) != 1 || list[0].Gen != gen || list[0].ID <= last {
			t.Fatalf("generation %d: %v after ID %d", gen, list, last)
		}
		for _, o := range p.list {
			if o.Gen > gen && o.ID <= list[0].ID {
				t.Fatalf("deletion %d of generation %d waits, %d of generation %d is recorded", o.ID, o.Gen, list[0].ID, gen)
			}
		}
		last = list[0].ID
		p.recorded(gen, time.Time{})
		p.replayed(0, []*labels.Matcher{equalI(100)}, model.AllTime, 4, time.Time{})
	}
}

// The estimate of a deletion counts series in head and blocks once, and what is
// deleted already not again; a dry run deletes nothing.
func TestDeleteEstimates(t *testing.T) {
	ctx := context.Background()
	db, clock := deleteDB(t)
	clock.Advance(time.Minute)
	fillSeries(t, db, 4, 100)
	r := DeleteRequest{Range: model.AllTime, Sets: [][]*labels.Matcher{{equalI(1)}, {labels.MustNewMatcher(labels.MatchRegexp, "i", "1|2")}}, DryRun: true}
	want := func(e DeleteEstimate, err error, series, samples uint64) {
		t.Helper()
		must(t, err)
		if e.Series != series || e.Samples != samples || e.Expired || (e.Bytes > 0) != (samples > 0) {
			t.Errorf("estimate %+v, want %d series, %d samples", e, series, samples)
		}
	}
	e, err := db.DeleteSeries(ctx, r)
	want(e, err, 2, 400)
	if n := len(samplesOf(t, db)); n != 800 {
		t.Fatalf("%d samples after a dry run, want 800", n)
	}
	r.DryRun = false
	e, err = db.DeleteSeries(ctx, r)
	want(e, err, 2, 400)
	if n := len(samplesOf(t, db)); n != 400 {
		t.Fatalf("%d samples after the deletion, want 400", n)
	}
	e, err = db.DeleteSeries(ctx, r)
	want(e, err, 0, 0)
	r.Range = model.TimeRange{Min: db.now() - 9, Max: db.now() + 1}
	r.Sets = [][]*labels.Matcher{{equalI(0)}}
	e, err = db.DeleteSeries(ctx, r)
	want(e, err, 1, 10)
}

// The estimate counts a series once in each tier, however many blocks have it, and the rows
// that it has there, however many those of other series are.
func TestDeleteEstimatesByTier(t *testing.T) {
	w := newTieredWorld(t)
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0}
	w.restart()
	for _, ago := range []int{3, 4} {
		w.write(0, every(dayAt(ago)+7, model.MinuteMs, 300))
		for i := range 20 {
			w.write(1+i, one(dayAt(ago)+7, 1))
		}
	}
	w.compact()
	for i, want := range []DeleteEstimate{
		{Series: 1, Samples: 600, Tiers: []DeleteTierEstimate{{Tier: "raw", Series: 1, Rows: 600}, {Tier: "1h", Series: 1, Rows: 10}}},
		{Series: 1, Samples: 2, Tiers: []DeleteTierEstimate{{Tier: "raw", Series: 1, Rows: 2}, {Tier: "1h", Series: 1, Rows: 2}}},
	} {
		got, err := w.db.DeleteSeries(w.ctx, DeleteRequest{Range: model.AllTime, DryRun: true, Sets: [][]*labels.Matcher{{equalI(i)}}})
		must(t, err)
		got.Bytes = 0
		for k := range got.Tiers {
			if got.Tiers[k].Bytes == 0 {
				t.Errorf("series %d takes no bytes: %+v", i, got.Tiers[k])
			}
			got.Tiers[k].Bytes = 0
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("series %d: %+v, want %+v", i, got, want)
		}
	}
}

// CleanTombstones rewrites the blocks with deletions and leaves others alone.
func TestCleanTombstonesCarriesDeletionsOut(t *testing.T) {
	ctx := context.Background()
	db, clock := deleteDB(t)
	_, err := db.Compact(ctx)
	must(t, err)
	clock.Advance(48 * time.Hour)
	fillSeries(t, db, 4, 100)
	_, err = db.Compact(ctx)
	must(t, err)
	blocks := func() (names []string) {
		for _, b := range db.manifest.State().RawBlocks() {
			names = append(names, b.Name)
		}
		return names
	}
	before := blocks()
	clock.Advance(time.Minute)
	fillSeries(t, db, 1, 10)
	_, err = db.Flush(ctx) // an L0 older than the deletion
	must(t, err)
	must(t, db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: db.now() - model.DayMs, Max: db.now() + 1}, equalI(1)))
	_, err = db.CleanTombstones(ctx)
	must(t, err)
	after := blocks()
	if len(before) != 2 || len(after) != 2 || before[0] != after[0] || before[1] == after[1] {
		t.Errorf("blocks %v became %v, want the second to change", before, after)
	}
	st, err := db.Status()
	must(t, err)
	if st.Deletions.Live != 0 || st.Samples != 400+300+10 {
		t.Errorf("%d samples, deletions %+v; want 710 and none", st.Samples, st.Deletions)
	}
}

// Merges carry out a deletion of a tenth of a block at once, and a smaller one within
// a day.
func TestDeletionsAreCarriedOutInTime(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		ms     int64 // deleted, of 100 of one of four series
		atOnce bool
	}{{"a fifth", 80, true}, {"little", 3, false}} {
		t.Run(c.name, func(t *testing.T) {
			db, clock := deleteDB(t)
			_, err := db.Compact(ctx)
			must(t, err)
			if worked, err := db.compactor.mergeNext(ctx, compaction.PlanMerge); worked || err != nil {
				t.Fatalf("a merge before the deletion: %v, %v", worked, err)
			}
			must(t, db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: db.now() - c.ms + 1, Max: db.now() + 1}, equalI(1)))
			_, err = db.Flush(ctx)
			must(t, err)
			reclaimed := func(want bool) {
				t.Helper()
				if worked, err := db.compactor.mergeNext(ctx, compaction.PlanMerge); worked != want || err != nil {
					t.Errorf("merged: %v, %v, want %v", worked, err, want)
				}
				if left := len(db.manifest.State().Tombstones); (left == 0) != want {
					t.Errorf("%d deletions are left", left)
				}
			}
			reclaimed(c.atOnce)
			if !c.atOnce {
				clock.Advance(eraseWait - time.Second)
				reclaimed(false)
				clock.Advance(time.Second)
				reclaimed(true)
			}
		})
	}
}
