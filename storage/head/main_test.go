package head

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/goleak"

	"tsdb/internal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seedOf returns a seed that is printed, so that a failure can be repeated.
func seedOf(t testing.TB) int64 {
	t.Helper()
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	return seed
}

// series returns the refs of n series of one metric.
func seriesOf(t testing.TB, h *Head, n int) []model.Ref {
	t.Helper()
	refs := make([]model.Ref, n)
	for i := range refs {
		ref, created := h.Resolve(0, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
		if !created || ref == 0 {
			t.Fatalf("series %d: ref %d, created %v", i, ref, created)
		}
		refs[i] = ref
	}
	return refs
}

// write appends samples of one series to a buffer as a batch does.
func write(t testing.TB, h *Head, b *Buffer, ref model.Ref, s *model.Samples) (replaced int) {
	t.Helper()
	sh := h.Shard(ref.Shard())
	sh.Lock()
	defer sh.Unlock()
	undefined, stale := sh.CheckLocked(b.Generation(), []model.Ref{ref}, nil)
	if stale > 0 {
		t.Fatalf("ref %x is stale", uint64(ref))
	}
	sh.MarkDefinedLocked(b.Generation(), undefined)
	for i := range s.T {
		slots, ts, sts := []uint32{ref.Slot()}, s.T[i:i+1], []int64{s.StartAt(i)}
		if s.KindAt(i) == model.KindHistogram {
			replaced += sh.AppendHistogramsLocked(b, slots, ts, sts, s.H[i:i+1])
		} else {
			replaced += sh.AppendFloatsLocked(b, slots, ts, s.V[i:i+1], sts)
		}
	}
	return replaced
}

// floats returns samples made of alternating times and values.
func floats(tv ...float64) *model.Samples {
	s := new(model.Samples)
	for i := 0; i < len(tv); i += 2 {
		s.Append(int64(tv[i]), 0, tv[i+1], model.Histogram{})
	}
	return s
}
