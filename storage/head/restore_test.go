package head

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// Series restored with what each shares with the one before are those that Resolve
// makes, in any order, some of them known already, and of several tenants.
func TestRestoredSeriesAreResolvedOnes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	want, got := New(Options{IdentitySeed: 7}), New(Options{IdentitySeed: 7})
	var cursors [model.Shards]Cursor
	var prev [model.Shards][]labels.Label
	var b labels.ScratchBuilder
	for n := range 5000 {
		tenant := uint32(r.IntN(20) / 19)
		b.Reset()
		b.Add("__name__", fmt.Sprint("m", r.IntN(5)))
		for _, name := range []string{"a", "b", "c"} {
			if r.IntN(4) > 0 {
				b.Add(name, fmt.Sprint(r.IntN(10)))
			}
		}
		ls := b.Labels()
		id, _ := model.IdentityOf(7, tenant, ls, nil)
		shard := got.Shard(id.Shard())
		var list []labels.Label
		var same []int
		ls.Range(func(l labels.Label) {
			at := -1
			for i, p := range prev[id.Shard()] {
				if p == l {
					at = i
				}
			}
			list, same = append(list, l), append(same, at)
		})
		prev[id.Shard()] = list
		ref, _ := want.Resolve(tenant, ls)
		shard.Lock()
		restored := shard.RestoreLocked(&cursors[id.Shard()], tenant, id, list, same)
		shard.Unlock()
		if restored != ref {
			t.Fatalf("%d: ref %v of %s, want %v", n, restored, ls, ref)
		}
		gotTenant, gotID, gotLabels, ok := got.Labels(restored)
		if !ok || gotTenant != tenant || gotID != id || !labels.Equal(gotLabels, ls) {
			t.Fatalf("%d: tenant %d, %v, %s, want %d, %v, %s", n, gotTenant, gotID, gotLabels, tenant, id, ls)
		}
		if a, b := want.Shard(id.Shard()).Metrics([]uint32{ref.Slot()}, nil), shard.Metrics([]uint32{ref.Slot()}, nil); a[0] != b[0] {
			t.Fatalf("%d: metric number %d, want %d", n, b[0], a[0])
		}
	}
	if a, b := want.Stats(), got.Stats(); a != b {
		t.Errorf("tables %+v, want %+v", b, a)
	}
}

// A cursor whose series has other labels than the caller says is not used.
func TestCursorOfOtherLabelsIsForgotten(t *testing.T) {
	h := New(Options{})
	s := h.Shard(0)
	s.Lock()
	defer s.Unlock()
	var c Cursor
	one := []labels.Label{{Name: "a", Value: "1"}}
	s.RestoreLocked(&c, 0, model.Identity{Hi: 1}, one, []int{-1})
	two := []labels.Label{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}
	s.RestoreLocked(&c, 0, model.Identity{Hi: 1}, two, []int{0, -1}) // known, with one label
	ref := s.RestoreLocked(&c, 0, model.Identity{Hi: 2}, two, []int{0, 1})
	var b model.LabelBuilder
	if got := s.labelsOf(ref.Slot(), &b); got.String() != `{a="1", b="2"}` {
		t.Errorf("labels %s", got)
	}
}
