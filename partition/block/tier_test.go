package block

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/format"
)

func TestPartitionStartsOneMillisecondAfterMidnight(t *testing.T) {
	f := func(ts, want int64) {
		t.Helper()
		if got := Raw.PartitionStart(ts); got != want {
			t.Errorf("PartitionStart(%d) = %d, want %d", ts, got, want)
		}
		if r := Raw.PartitionRange(ts); !r.Contains(ts) || r.Max-r.Min != model.DayMs {
			t.Errorf("PartitionRange(%d) = %v", ts, r)
		}
	}
	f(1, 1)
	f(model.DayMs, 1)
	f(model.DayMs+1, model.DayMs+1)
	f(0, 1-model.DayMs)
	f(-model.DayMs, 1-2*model.DayMs)
	f(1-model.DayMs, 1-model.DayMs)
}

// The partition of any time is that of arithmetic without bounds, cut off at the
// ends of int64.
func TestPartitionsOfAnyTime(t *testing.T) {
	ts := []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64}
	rnd := newRand(t)
	for range 1000 {
		ts = append(ts, int64(rnd.Uint64()))
	}
	clamped := func(v *big.Int) int64 {
		switch {
		case v.IsInt64():
			return v.Int64()
		case v.Sign() < 0:
			return math.MinInt64
		}
		return math.MaxInt64
	}
	for _, tier := range append([]Tier{Raw}, Rollups...) {
		length := big.NewInt(tier.PartitionMs())
		for _, at := range ts {
			// (at - 1) rounded down to whole partitions, plus 1, and a partition later.
			start := new(big.Int).Sub(big.NewInt(at), big.NewInt(1))
			start.Div(start, length).Mul(start, length).Add(start, big.NewInt(1)) // Div rounds down
			end := new(big.Int).Add(start, length)
			want := model.TimeRange{Min: clamped(start), Max: clamped(end)}
			if got := tier.PartitionRange(at); got != want || tier.PartitionStart(at) != want.Min {
				t.Errorf("partition of %d is %v from %d, want %v", at, got, tier.PartitionStart(at), want)
			}
			if s := tier.PartitionStart(at); tier.PartitionStart(s) != s {
				t.Errorf("partition of %d starts at %d, and that one at %d", at, s, tier.PartitionStart(s))
			}
		}
	}
}

// Name, directory and length of the partitions follow from the tier alone.
func TestTierIsAClosedSet(t *testing.T) {
	if Raw.String() != "raw" || Raw.Dir() != format.RawDir || Raw.PartitionMs() != model.DayMs {
		t.Errorf("raw tier: %v, %s, partitions of %d ms", Raw, Raw.Dir(), Raw.PartitionMs())
	}
	for _, tier := range Rollups {
		if got, ok := ParseTier(tier.String()); !ok || got != tier || model.DayMs%tier.Ms() != 0 {
			t.Errorf("tier of %d ms is %v, which is parsed as %v", tier.Ms(), tier, got)
		}
	}
	if Minute.Dir() != "1m" || HalfHour.Dir() != "30m" || Hour.Dir() != "1h" {
		t.Errorf("directories %s, %s, %s", Minute.Dir(), HalfHour.Dir(), Hour.Dir())
	}
	unknown := Tier(1)
	if unknown.String() != "Tier(1)" {
		t.Errorf("unknown tier: %v", unknown)
	}
	m := Meta{Key: Key{Tier: unknown, Partition: firstDay, Level: L1}}
	if err := m.Validate(); err == nil {
		t.Error("a block of an unknown tier is valid")
	}
	defer func() {
		if recover() == nil {
			t.Error("an unknown tier has a directory")
		}
	}()
	unknown.Dir()
}

func TestKeys(t *testing.T) {
	day := func(n int64, l Level) Key { return Raw.KeyAt(firstDay+n*model.DayMs, l) }
	rising := []Key{SpanningKey(L0), SpanningKey(L1), day(0, L1), day(0, L2), day(1, L1)}
	for i, a := range rising {
		for j, b := range rising {
			if got, want := fmt.Sprint(a.Compare(b)), fmt.Sprint(min(max(i-j, -1), 1)); got != want {
				t.Errorf("%v to %v: %s, want %s", a, b, got, want)
			}
		}
	}
	k := day(0, L1)
	if !k.SamePartition(k.At(L2)) || k.SamePartition(day(1, L1)) || k.SamePartition(SpanningKey(L1)) {
		t.Error("levels of one partition")
	}
	if k.Dir() != "raw/2024-10-04" || SpanningKey(L0).Dir() != "l0" {
		t.Errorf("directories %s and %s", k.Dir(), SpanningKey(L0).Dir())
	}
	end := firstDay + model.DayMs - 1
	for _, c := range []struct {
		key      Key
		min, max int64
		want     bool
	}{
		{k, firstDay, end, true},
		{k, firstDay - 1, end, false},
		{k, firstDay, end + 1, false},
		{k, end, firstDay, false},
		{Key{Partition: firstDay + 5, Level: L1}, firstDay + 5, end, false},
		{Key{Partition: math.MinInt64, Level: L1}, math.MinInt64, math.MaxInt64, false},
	} {
		if got := c.key.Holds(c.min, c.max); got != c.want {
			t.Errorf("%v holds %d to %d: %v", c.key, c.min, c.max, got)
		}
	}
}
