package storage

import (
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// Rows of a tier and the samples of its gaps give the buckets that all samples give,
// whatever was written late, overwritten, deleted, cut, merged, rolled up and folded
// in between, at any moment.
func TestTiersAreWhatSamplesGive(t *testing.T) {
	seeds := unlessShort(12, 2)
	fromTier, all := 0, 0
	for seed := range int64(seeds) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			a, b := tiersAgainstSamples(t, seed)
			fromTier, all = fromTier+a, all+b
		})
	}
	t.Logf("%d of %d rows came from tiers", fromTier, all)
	if fromTier < all/4 || fromTier > all*9/10 {
		t.Errorf("%d of %d rows came from tiers", fromTier, all)
	}
}

func tiersAgainstSamples(t *testing.T, seed int64) (fromTier, all int) {
	rnd := rand.New(rand.NewSource(seed))
	w := newTieredWorld(t)
	const series, days = 7, 4
	tiers := []block.Tier{block.Minutes5, block.Hour}
	if seed%2 == 1 { // Compact rolls up, too
		w.opts.TierRetentionMs = map[block.Tier]int64{block.Minutes5: 0, block.Hour: 0}
		w.restart()
	}
	value := func() float64 {
		switch rnd.Intn(12) {
		case 0:
			return math.Float64frombits(value.StaleNaN)
		case 1:
			return []float64{math.NaN(), math.Inf(1), math.Copysign(0, -1)}[rnd.Intn(3)]
		}
		return math.Round(rnd.NormFloat64()*1e3) / 8
	}
	instant := func() int64 {
		return dayAt(days-1) + rnd.Int63n(w.clock.Now().UnixMilli()-dayAt(days-1))
	}
	// Every series but the last has a sample every two minutes or so.
	for i := range series - 1 {
		for d := range days {
			var s model.Samples
			for at := dayAt(d) + rnd.Int63n(model.HourMs); at < min(dayAt(d)+model.DayMs, w.clock.Now().UnixMilli()); at += 1 + rnd.Int63n(4*model.MinuteMs) {
				s.Append(at, 0, value(), model.Histogram{})
			}
			w.write(i, s)
		}
	}
	w.compact()
	for range 40 {
		switch rnd.Intn(14) {
		case 0, 1:
			at := instant()
			w.write(rnd.Intn(series), one(at, value()))
		case 2:
			var s model.Samples
			s.Append(instant(), 0, 0, model.Histogram{Float: &histogram.FloatHistogram{Count: 1, Sum: value()}})
			if at := instant(); at > s.T[0] {
				s.Append(at, at-rnd.Int63n(1000), value(), model.Histogram{})
			}
			w.write(rnd.Intn(series), s)
		case 3:
			at := instant()
			w.write(rnd.Intn(series-1), every(at, 1+rnd.Int63n(model.MinuteMs), rnd.Intn(40)))
		case 4:
			at := instant()
			tr := model.TimeRange{Min: at, Max: at + 1 + rnd.Int63n(3*model.HourMs)}
			w.remove(rnd.Intn(series), tr)
		case 5:
			w.flush()
		case 6:
			w.compact()
		case 7:
			w.restart()
		case 8:
			w.fold(tiers[rnd.Intn(2)], model.AllTime)
		case 9:
			w.clock.Advance(time.Duration(rnd.Intn(90)) * time.Minute)
		default:
			form := rollForm{}
			if rnd.Intn(3) == 0 {
				form.standIn = func(tier block.Tier, i string) bool { return tier < block.Hour && i[0]%3 == 0 }
			}
			if rnd.Intn(6) == 0 {
				form.wholly = func(tier block.Tier) bool { return tier < block.Hour }
			}
			w.roll(dayAt(rnd.Intn(days)), form, tiers...)
		}
		for _, tier := range tiers {
			tr := wholeDays(days + 1)
			if rnd.Intn(2) == 0 {
				at := instant()
				tr = wholeBuckets(model.TimeRange{Min: at, Max: at + 1 + rnd.Int63n(2*model.DayMs)}, tier.Ms())
			}
			got := w.check(tier, tr)
			for i, rows := range got.rows {
				fromTier, all = fromTier+got.fromTier[i], all+rows.Len()
			}
		}
	}
	return fromTier, all
}
