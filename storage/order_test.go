package storage_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/storage"
)

// A year that is written backwards, or shuffled by days and within days, ends in the same
// bytes a sample, within 5 %, and the same answers as the year in order, once merges and
// rollups have come to rest.
func TestOrderOfWritingLeavesNoTrace(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine at a time")
	}
	const days = 365
	forward := make([]int, days)
	for i := range forward {
		forward[i] = i
	}
	backward := slices.Clone(forward)
	slices.Reverse(backward)
	shuffled := slices.Clone(forward)
	r := rand.New(rand.NewPCG(1, 1))
	r.Shuffle(days, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })

	want := writeInOrder(t, forward, func(times []int64) {})
	compare := func(name string, got orderedYear) {
		t.Logf("%s: %.3f bytes a sample, %d samples, %d blocks; in order %.3f, %d, %d", name, got.bytesPerSample(), got.samples, got.blocks, want.bytesPerSample(), want.samples, want.blocks)
		if a, b := got.bytesPerSample(), want.bytesPerSample(); math.Abs(a-b) > 0.05*b || got.samples != want.samples {
			t.Errorf("%s: %.3f bytes a sample of %d, in order %.3f of %d", name, a, got.samples, b, want.samples)
		}
		for i, q := range got.questions {
			if err := compareValues(got.answers[i], want.answers[i], q.rounded); err != nil {
				t.Errorf("%s: %v: %v", name, q, err)
			}
		}
	}
	compare("backwards", writeInOrder(t, backward, slices.Reverse[[]int64]))
	compare("shuffled", writeInOrder(t, shuffled, func(times []int64) {
		r.Shuffle(len(times), func(i, j int) { times[i], times[j] = times[j], times[i] })
	}))
}

// orderedYear holds the sizes and answers after a year of samples.
type orderedYear struct {
	samples   int
	bytes     int64
	blocks    int
	questions []lifeQuestion
	answers   []parser.Value
}

func (y *orderedYear) bytesPerSample() float64 { return float64(y.bytes) / float64(y.samples) }

// writeInOrder writes days of 16 series with a sample every five minutes, at times that
// order puts in order within a day, while time passes and the background works.
func writeInOrder(t *testing.T, days []int, order func(times []int64)) (y orderedYear) {
	const series, interval = 16, 300_000
	ctx := context.Background()
	start := block.Raw.PartitionStart(lifeEpoch.UnixMilli())
	end := start + int64(len(days))*model.DayMs
	clock := vfs.NewManualClock(time.UnixMilli(end))
	db, err := storage.Open(ctx, doctortest.NewMem(t), "data", storage.Options{
		Clock: clock, Seed: 1, AliasSeed: 1, ReserveBytes: 4096, CacheBytes: -1, TierRetentionMs: map[block.Tier]int64{block.Hour: 0},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.CloseUncut()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rest := func(step func(context.Context, bool) (bool, error)) {
		t.Helper()
		for {
			worked, err := step(ctx, false)
			if fatal(err); !worked {
				return
			}
		}
	}
	pass := func(d time.Duration) {
		clock.Advance(d)
		db.WatchStep(ctx)
		rest(db.MergeStep)
		rest(db.RollStep)
		db.Sweep(ctx)
	}
	batch := db.NewBatch("test", model.DefaultTenant)
	times := make([]int64, model.DayMs/interval)
	for n, day := range days {
		for i := range times {
			times[i] = start + int64(day)*model.DayMs + int64(i+1)*interval
		}
		order(times)
		batch.Reset()
		for s := range series {
			alias := model.Hash{Lo: uint64(s)}
			ref, ok := batch.Lookup(alias)
			if !ok {
				ref, err = batch.Resolve(alias, labels.FromStrings("__name__", []string{"ints", "gauge"}[s%2], "i", fmt.Sprint(s)))
				fatal(err)
			}
			for _, at := range times {
				batch.Float(ref, at, 0, orderedValue(s, at))
			}
			y.samples += len(times)
		}
		_, err := batch.Commit(ctx)
		fatal(err)
		if n%4 == 3 {
			pass(3 * time.Hour)
		}
	}
	for range 40 {
		pass(3 * time.Hour)
	}
	blocks, err := db.Blocks()
	fatal(err)
	for _, b := range blocks {
		y.bytes += b.Size
		y.blocks++
	}
	for _, text := range []string{"count_over_time({i=~\".+\"}[1d])", "sum_over_time(ints[1d])", "max_over_time(gauge[1d])", "avg_over_time(gauge[6h])", "last_over_time({i=~\"1.\"}[1h])", "stddev_over_time(gauge{i=\"3\"}[1d])"} {
		y.questions = append(y.questions, lifeQuestion{text: text, start: start, end: end, step: model.DayMs, rounded: true})
	}
	engine := newLifeEngine()
	defer engine.Close()
	for _, q := range y.questions {
		v, err := exec(ctx, engine.Engine, query.NewQueryable(db, model.DefaultTenant), nil, q)
		fatal(err)
		y.answers = append(y.answers, v)
	}
	return y
}

// orderedValue is the value of a series at a time, whenever it is written.
func orderedValue(series int, at int64) float64 {
	h := (uint64(at)/300_000 + uint64(series)*1_000_003) * 0x9e3779b97f4a7c15 >> 40
	if series%2 == 0 {
		return float64(h % 16)
	}
	return math.Sin(float64(at)/1e7)*100 + float64(h%1000)/1000
}
