package model

import (
	"math"
	"math/rand"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

var stale = math.Float64frombits(value.StaleNaN)

func floats(tv ...float64) *Samples {
	s := &Samples{}
	for i := 0; i < len(tv); i += 2 {
		s.Append(int64(tv[i]), 0, tv[i+1], Histogram{})
	}
	return s
}

func equal(t *testing.T, got, want *Samples) {
	t.Helper()
	if got.Len() != want.Len() {
		t.Fatalf("got %d samples %v, want %d %v", got.Len(), got.T, want.Len(), want.T)
	}
	for i := range got.T {
		if !got.EqualAt(i, want, i) {
			t.Fatalf("sample %d: got (%d, %v), want (%d, %v)", i, got.T[i], got.V[i], want.T[i], want.V[i])
		}
	}
}

func TestMergeKeepsOneSampleAKey(t *testing.T) {
	f := func(name string, older, newer, want *Samples) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			var got Samples
			Merge(&got, older, newer)
			equal(t, &got, want)
		})
	}
	f("disjoint", floats(1, 1, 3, 3), floats(2, 2, 4, 4), floats(1, 1, 2, 2, 3, 3, 4, 4))
	f("the later write wins", floats(1, 1), floats(1, 2), floats(1, 2))
	f("a stale marker never replaces a number", floats(1, 1), floats(1, stale), floats(1, 1))
	f("a number replaces a stale marker", floats(1, stale), floats(1, 2), floats(1, 2))
	f("an ordinary NaN is a number", floats(1, 1), floats(1, math.NaN()), floats(1, math.NaN()))
	f("empty older", floats(), floats(1, 1), floats(1, 1))
	f("empty newer", floats(1, 1), floats(), floats(1, 1))

	h := &Samples{}
	h.Append(1, 5, 0, Histogram{Float: &histogram.FloatHistogram{Count: 3}})
	f("kinds share the key", floats(1, 1, 2, 2), h, func() *Samples {
		w := &Samples{}
		w.Append(1, 5, 0, Histogram{Float: &histogram.FloatHistogram{Count: 3}})
		w.Append(2, 0, 2, Histogram{})
		return w
	}())
}

// Merging runs gives the same result in any grouping that keeps their order.
func TestMergeIsAssociative(t *testing.T) {
	for seed := range int64(300) {
		r := rand.New(rand.NewSource(seed))
		run := func() *Samples {
			s := &Samples{}
			for ts := int64(0); ts < 12; ts++ {
				switch r.Intn(4) {
				case 0:
					s.Append(ts, int64(r.Intn(2)), float64(r.Intn(100)), Histogram{})
				case 1:
					s.Append(ts, 0, stale, Histogram{})
				case 2:
					s.Append(ts, 0, 0, Histogram{Int: &histogram.Histogram{Count: uint64(r.Intn(9)), Sum: float64(r.Intn(3))}})
				}
			}
			return s
		}
		a, b, c := run(), run(), run()
		var ab, bc, left, right Samples
		Merge(&ab, a, b)
		Merge(&left, &ab, c)
		Merge(&bc, b, c)
		Merge(&right, a, &bc)
		equal(t, &left, &right)
	}
}

func TestRefHoldsItsParts(t *testing.T) {
	f := func(shard int, slot, epoch uint32) {
		t.Helper()
		r := MakeRef(shard, slot, epoch)
		if r.Shard() != shard || r.Slot() != slot || r.Epoch() != epoch {
			t.Errorf("MakeRef(%d, %d, %d) = %d, %d, %d", shard, slot, epoch, r.Shard(), r.Slot(), r.Epoch())
		}
	}
	f(0, 0, 1)
	f(15, MaxSlots-1, math.MaxUint32)
	f(7, 123456, 99)
}
