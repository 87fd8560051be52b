package head

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

func TestResolveFindsWhatItMade(t *testing.T) {
	h := New(Options{IdentitySeed: 7})
	ls := labels.FromStrings("__name__", "up", "job", "x")
	ref, created := h.Resolve(3, ls)
	if !created || ref.Epoch() == 0 {
		t.Fatalf("ref %x, created %v", uint64(ref), created)
	}
	if again, created := h.Resolve(3, ls); created || again != ref {
		t.Errorf("resolved again: %x, created %v", uint64(again), created)
	}
	if other, created := h.Resolve(4, ls); !created || other == ref {
		t.Errorf("another tenant: %x, created %v", uint64(other), created)
	}
	tenant, id, got, ok := h.Labels(ref)
	want, _ := model.IdentityOf(7, 3, ls, nil)
	if !ok || tenant != 3 || id != want || !labels.Equal(got, ls) {
		t.Errorf("labels: tenant %d, %v, %v, %v", tenant, id, got, ok)
	}
	if ref.Shard() != want.Shard() {
		t.Errorf("shard %d, of the identity %d", ref.Shard(), want.Shard())
	}
	n := 0
	h.Definitions(ref.Shard(), []uint32{ref.Slot()}, new(Definition), func(d *Definition) {
		if n++; d.Slot != ref.Slot() || d.Tenant != 3 || d.ID != want || !labels.Equal(labels.New(d.Labels...), ls) {
			t.Errorf("definition: slot %d, tenant %d, %v, %v", d.Slot, d.Tenant, d.ID, d.Labels)
		}
	})
	if n != 1 {
		t.Errorf("%d definitions", n)
	}
	if st := h.Stats(); st.Series != 2 || st.Slots != 2 {
		t.Errorf("stats %+v", st)
	}
}

// Series that do not fit into the tables are refused and leave nothing in them.
func TestResolveRefusesWhatItCannotHold(t *testing.T) {
	h := New(Options{})
	ref, created := h.Resolve(0, labels.FromStrings("a", strings.Repeat("x", chunkBytes+1)))
	if ref != 0 || created {
		t.Errorf("a value of more than a chunk: ref %x, created %v", uint64(ref), created)
	}
	b := labels.NewScratchBuilder(0)
	for i := range 100_000 {
		b.Add(fmt.Sprintf("l%06d", i), "v")
	}
	many := b.Labels()
	ref, created = h.Resolve(0, many)
	if ref == 0 || !created {
		t.Fatalf("100,000 labels: ref %x, created %v", uint64(ref), created)
	}
	if _, _, got, ok := h.Labels(ref); !ok || !labels.Equal(got, many) {
		t.Error("100,000 labels come back otherwise")
	}
	if st := h.Stats(); st.Series != 1 {
		t.Errorf("%d series", st.Series)
	}
}

// Long runs have many segments; a late sample is sorted into any of them, and a
// frozen buffer is read without a lock.
func TestLateSamplesInALongRun(t *testing.T) {
	h := New(Options{})
	b := h.NewBuffer(1)
	ref := seriesOf(t, h, 1)[0]
	const n = 20_000
	var want model.Samples
	for i := range int64(n) {
		want.Append(i*10, 0, float64(i%97), model.Histogram{})
	}
	write(t, h, b, ref, &want)
	before := b.Stats()
	if replaced := write(t, h, b, ref, &want); replaced != 0 || b.Stats() != before {
		t.Errorf("the same samples again: %d replaced, %+v to %+v", replaced, before, b.Stats())
	}
	var late model.Samples
	for i := int64(0); i < n*10; i += 35 { // half of them at times of other samples
		late.Append(i, 0, -1, model.Histogram{})
	}
	var merged model.Samples
	model.Merge(&merged, &want, &late)
	if replaced := write(t, h, b, ref, &late); replaced != want.Len()+late.Len()-merged.Len() {
		t.Errorf("%d replaced, want %d", replaced, want.Len()+late.Len()-merged.Len())
	}
	h.Shard(ref.Shard()).Lock() // reads do not wait for it
	defer h.Shard(ref.Shard()).Unlock()
	b.Freeze()
	checkRead(t, b, ref, &merged, model.AllTime)
	checkRead(t, b, ref, &merged, model.TimeRange{Min: 77_777, Max: 77_800})
	if st := b.Stats(); st.Samples != int64(merged.Len()) || st.MinTime != 0 || st.MaxTime != (n-1)*10 {
		t.Errorf("stats %+v", st)
	}
}

func TestSamplesOfASeriesThatHasNone(t *testing.T) {
	h := New(Options{})
	b := h.NewBuffer(1)
	refs := seriesOf(t, h, 2)
	if st := b.Stats(); st.MinTime <= st.MaxTime || st.Samples != 0 {
		t.Errorf("stats of an empty buffer: %+v", st)
	}
	write(t, h, b, refs[0], floats(1, 1))
	var s model.Samples
	b.Samples(refs[1], model.AllTime, &s)
	if s.Len() != 0 || b.Has(refs[1], model.AllTime) || b.Exemplars(refs[1]) != nil {
		t.Errorf("%d samples", s.Len())
	}
	if !b.Has(refs[0], model.TimeRange{Min: 1, Max: 2}) || b.Has(refs[0], model.TimeRange{Min: 2, Max: 3}) || b.Has(refs[0], model.TimeRange{Min: 0, Max: 1}) {
		t.Error("Has does not see the range")
	}
}
