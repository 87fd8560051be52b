package block

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// Blocks that share identities have those that each was given, whichever of them leads,
// also when one leaves out a series that others have.
func TestSharedIdentitiesAreThoseOfEachBlock(t *testing.T) {
	r := newRand(t)
	for range 30 {
		shared := new(SharedIdentities)
		lists := make([]identityList, 3)
		want := make([][]byte, len(lists))
		missing := r.IntN(2) * r.IntN(400) // one in missing series is not in a block; 0 = all are
		waiting := make([][][]byte, len(lists))
		add := func(k int) {
			for _, id := range waiting[k] {
				lists[k].add(id)
				want[k] = append(want[k], id...)
			}
			waiting[k] = nil
		}
		for k := range lists {
			lists[k].shared = shared
		}
		for range r.IntN(3000) {
			id := binary.LittleEndian.AppendUint64(make([]byte, 8, identityBytes), r.Uint64())
			for k := range lists {
				if missing > 0 && r.IntN(missing) == 0 {
					continue
				}
				if waiting[k] = append(waiting[k], id); r.IntN(3) > 0 {
					add(k)
				}
			}
		}
		for k := range lists {
			add(k)
			var got []byte
			lists[k].each(func(ids []byte) {
				if rest := len(want[k]) - len(got); len(ids)%(identityPageRows*identityBytes) != 0 && len(ids) < rest {
					t.Fatalf("%d bytes before the last %d, no whole pages", len(ids), rest)
				}
				got = append(got, ids...)
			})
			if !bytes.Equal(got, want[k]) {
				t.Fatalf("block %d has %d bytes of identities, not those of its %d", k, len(got), len(want[k]))
			}
		}
		if missing == 0 {
			held := 0
			for _, slab := range shared.all {
				held += len(slab)
			}
			if held != len(want[0]) {
				t.Errorf("three blocks of %d bytes of identities hold %d", len(want[0]), held)
			}
		}
	}
}
