package storage

import (
	"reflect"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// ExplainTiered counts the buckets and the samples that a read of the range takes,
// and tells why samples are read.
func TestExplainTieredCountsWhatIsRead(t *testing.T) {
	w := newRolledWorld(t)
	m := labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")
	explain := func(tier block.Tier, tr model.TimeRange) TieredCost {
		t.Helper()
		v := w.view()
		defer v.Release()
		c, warnings, err := v.ExplainTiered(w.ctx, model.DefaultTenant, tr, OneTier(tier), TieredRead{}, m)
		must(t, err)
		if len(warnings) > 0 {
			t.Error(warnings)
		}
		if c.Buckets.Bytes == 0 {
			t.Error("the buckets take no bytes")
		}
		if covered := wholeDays(4); len(c.Covered) == 0 || c.Covered[0].Min < covered.Min || c.Covered[len(c.Covered)-1].Max > covered.Max {
			t.Errorf("covered are %v", c.Covered)
		}
		c.Buckets.Bytes, c.Raw.Bytes, c.Covered = 0, 0, nil
		return c
	}
	all := wholeDays(4)
	want := TieredCost{Series: 3, Buckets: Cost{Series: 3, Blocks: 3, Chunks: 9, Samples: 3 * 72}, CoveredDays: 3}
	if got := explain(block.Hour, all); !reflect.DeepEqual(got, want) {
		t.Errorf("clean: %+v, want %+v", got, want)
	}
	if got := explain(block.Hour, model.AllTime); !reflect.DeepEqual(got, want) {
		t.Errorf("all times: %+v, want %+v", got, want)
	}
	w.write(1, one(dayAt(2)+5*model.HourMs, 1))
	w.write(2, one(w.clock.Now().UnixMilli(), 1))
	w.flush()
	// The hour with the late sample, and that sample; the sample of today.
	want.NewerSeries, want.UncoveredDays = 1, 1
	want.Raw = Cost{Series: 2, Blocks: 2, Chunks: 3, Samples: 62}
	if got := explain(block.Hour, all); !reflect.DeepEqual(got, want) {
		t.Errorf("late: %+v, want %+v", got, want)
	}
	w.roll(dayAt(3), rollForm{standIn: func(_ block.Tier, i string) bool { return i == "0" }}, block.Minutes5)
	w.roll(dayAt(1), rollForm{wholly: func(block.Tier) bool { return true }}, block.Minutes5)
	got := explain(block.Minutes5, all)
	if got.CoveredDays != 2 || got.StandInDays != 1 || got.StandInSeries != 1 || got.UncoveredDays != 1 || got.Buckets.Samples != 5*288 {
		t.Errorf("stand-in: %+v", got)
	}
}
