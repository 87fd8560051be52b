package blockset

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore/objstoretest"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

// A set needs no files: over a store in memory whose readers have a grace, a
// leftover stays until the grace is over.
func TestALeftoverStaysUntilTheGraceOfTheStoreIsOver(t *testing.T) {
	must := partitiontest.Must
	store := objstoretest.NewMem()
	store.SetGrace(10 * time.Minute)
	m, err := manifest.Create(vfs.NewMem(), "d", partitiontest.IDSeed, 0)
	must(t, err)
	set, err := Open(store, m, Options{})
	must(t, err)
	write := func(gen uint64) block.Info {
		w, err := block.Create(store, block.Meta{Key: block.SpanningKey(block.L0), MinGen: gen, MaxGen: gen}, block.WriterOptions{})
		must(t, err)
		ls := labels.FromStrings("__name__", "m")
		id, _ := model.IdentityOf(partitiontest.IDSeed, 0, ls, nil)
		must(t, w.Series(0, id, ls))
		must(t, w.Samples(&model.Samples{T: []int64{int64(gen)}, V: []float64{1}}))
		info, err := w.Finish()
		must(t, err)
		return info
	}
	listed, other := write(1), write(2)
	v, err := set.Publish(manifest.Edit{Add: []block.Info{listed, other}, WALLow: partitiontest.Ptr(uint64(3))})
	must(t, err)
	v.Release()
	must(t, set.Close())
	leftover := write(2) // an attempt after it
	set, err = Open(store, m, Options{})
	must(t, err)
	left, err := set.CleanUp(func(lo, hi uint64) bool { return false })
	must(t, err)
	if len(left) != 1 || left[0].Name != leftover.Name || left[0].Err != nil {
		t.Fatalf("leftovers: %+v", left)
	}
	now := time.Unix(1000, 0)
	for _, test := range []struct {
		after time.Duration
		want  []string
	}{
		{0, []string{listed.Name, leftover.Name, other.Name}},
		{10*time.Minute - 1, []string{listed.Name, leftover.Name, other.Name}},
		{10 * time.Minute, []string{listed.Name, other.Name}},
	} {
		_, err := set.Sweep(context.Background(), now.Add(test.after), func(uint64) error { return nil })
		must(t, err)
		keys, err := block.ListKeys(t.Context(), store)
		must(t, err)
		slices.Sort(test.want)
		if !slices.Equal(keys, test.want) {
			t.Errorf("after %v: %q, want %q", test.after, keys, test.want)
		}
	}
	must(t, set.Close())
	must(t, m.Close())
	if n := store.Leaks(); n > 0 {
		t.Errorf("%d objects are left open", n)
	}
}
