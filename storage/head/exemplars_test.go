package head

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

func writeExemplar(h *Head, b *Buffer, ref model.Ref, e model.Exemplar) (dropped int) {
	s := h.Shard(ref.Shard())
	s.Lock()
	defer s.Unlock()
	return s.AppendExemplarsLocked(b, []uint32{ref.Slot()}, []model.Exemplar{e})
}

// A series keeps the newest exemplars by time; duplicates change nothing. Compared
// with a sorted slice.
func TestExemplarsKeepTheNewest(t *testing.T) {
	seed := uint64(seedOf(t))
	for round := range 50 {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		most := 1 + r.IntN(12)
		h := New(Options{ExemplarsMax: most})
		b := h.NewBuffer(1)
		ref := seriesOf(t, h, 1)[0]
		var want []model.Exemplar
		for step := range 200 {
			if r.IntN(20) == 0 {
				tr := randomRange(r, 60)
				before := len(want)
				want = slices.DeleteFunc(want, func(e model.Exemplar) bool { return tr.Contains(e.T) })
				if got := deleteRange(h, b, ref, 0, tr); got.Exemplars != before-len(want) {
					t.Fatalf("seed %d, round %d, step %d: %d exemplars deleted, want %d", seed, round, step, got.Exemplars, before-len(want))
				}
			}
			e := model.Exemplar{T: int64(r.IntN(60)), V: float64(r.IntN(3)), Labels: labels.EmptyLabels()}
			if r.IntN(4) > 0 {
				e.Labels = labels.FromStrings("trace_id", fmt.Sprint(r.IntN(3)), "span", "x")
			}
			known := slices.ContainsFunc(want, e.Equal)
			i, _ := slices.BinarySearchFunc(want, e.T+1, func(e model.Exemplar, t int64) int { return int(e.T - t) })
			wantDropped := 0
			before := b.Stats()
			if !known {
				want = slices.Insert(want, i, e)
				if len(want) > most {
					want, wantDropped = want[1:], 1
				}
			}
			if got := writeExemplar(h, b, ref, e); got != wantDropped {
				t.Fatalf("seed %d, round %d, step %d: %d dropped, want %d", seed, round, step, got, wantDropped)
			}
			if known && b.Stats() != before {
				t.Fatalf("seed %d, round %d, step %d: a known exemplar changed %+v to %+v", seed, round, step, before, b.Stats())
			}
			if got := b.Exemplars(ref); !slices.EqualFunc(got, want, model.Exemplar.Equal) {
				t.Fatalf("seed %d, round %d, step %d: %v, want %v", seed, round, step, got, want)
			}
		}
		if st := b.Stats(); st.Exemplars != int64(len(want)) || st.Series != 1 || st.Samples != 0 {
			t.Errorf("stats %+v for %d exemplars", st, len(want))
		}
		// Samples that come after the exemplars.
		write(t, h, b, ref, floats(100, 1, 50, 2, 200, 3))
		checkRead(t, b, ref, floats(50, 2, 100, 1, 200, 3), model.AllTime)
		if got := b.Exemplars(ref); len(got) != len(want) {
			t.Errorf("%d exemplars after samples came, want %d", len(got), len(want))
		}
	}
}

func TestMetadataIsTheNewestAndSaysWhatChanged(t *testing.T) {
	h := New(Options{MetadataMax: 2})
	counter, gauge := model.Metadata{Type: "counter", Help: "h"}, model.Metadata{Type: "gauge"}
	set := func(tenant uint32, metric string, m model.Metadata, want bool) {
		t.Helper()
		if got := h.SetMetadata(tenant, metric, m); got != want {
			t.Errorf("setting %s of tenant %d: changed %v, want %v", metric, tenant, got, want)
		}
	}
	set(0, "a", counter, true)
	set(0, "a", counter, false)
	set(1, "a", gauge, true)
	set(0, "b", gauge, false) // one too many
	all, version := h.MetadataSince(0, 0)
	if len(all) != 1 || all["a"] != counter {
		t.Errorf("metadata %v", all)
	}
	if changed, _ := h.MetadataSince(0, version); len(changed) != 0 {
		t.Errorf("changed since nothing happened: %v", changed)
	}
	set(0, "a", gauge, true)
	if changed, _ := h.MetadataSince(0, version); len(changed) != 1 || changed["a"] != gauge {
		t.Errorf("changed: %v", changed)
	}
	if m, ok := h.MetadataOf(1, "a"); !ok || m != gauge {
		t.Errorf("metadata of tenant 1: %v, %v", m, ok)
	}
	if _, ok := h.MetadataOf(1, "nosuch"); ok {
		t.Error("metadata of a metric that is not there")
	}
}
