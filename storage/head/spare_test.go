package head

import (
	"testing"

	"tsdb/internal/model"
)

// The chunks that are missing for records are all that these need, and all are used.
func TestSpareChunksAreWhatIsMissing(t *testing.T) {
	for _, before := range []uint32{0, 10, 1 << 13, 20_000} {
		for _, n := range []uint32{1, 100, 1 << 13, 30_000, 100_000} {
			s := newSlab[extra](128)
			s.ensure(before)
			s.spare = freshChunks[extra](s.missing(before+n), 1<<s.shift)
			own := max(len(s.chunks), 1) + len(s.spare)
			s.ensure(before + n)
			if len(s.spare) > 0 || len(s.chunks) != own {
				t.Errorf("slab of %d, then %d more: %d chunks, %d were there, %d are left", before, n, len(s.chunks), own, len(s.spare))
			}
			p := newPool[tombstone](32, 1)
			for range before {
				p.alloc(1)
			}
			p.spare = freshChunks[tombstone](p.missing(int(n)), int(p.unit)<<p.unitBits)
			own = len(p.chunks) + len(p.spare)
			seen := map[uint32]bool{noHandle: true}
			for range n {
				h := p.alloc(1)
				if seen[h] || p.get(h, 1)[0] != (tombstone{}) {
					t.Fatalf("handle %d twice, or not zero", h)
				}
				seen[h] = true
			}
			if len(p.chunks) > max(own, 1) || p.held < int64(n)*p.size {
				t.Errorf("pool of %d, then %d more: %d chunks, %d were there, %d are left", before, n, len(p.chunks), own, len(p.spare))
			}
		}
	}
}

// A deletion in many series gives back what memory it did not need, and counts the rest.
func TestDeletionLeavesNoSpareMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("many series")
	}
	h := New(Options{})
	refs := seriesOf(t, h, 200_000)
	buf := h.NewBuffer(1)
	for _, ref := range refs {
		s := h.Shard(ref.Shard())
		s.Lock()
		s.AppendFloatsLocked(buf, []uint32{ref.Slot()}, []int64{1000}, []float64{1}, nil)
		s.AppendFloatsLocked(buf, []uint32{ref.Slot()}, []int64{2000}, []float64{1}, nil)
		s.Unlock()
	}
	d := NewDeletion(0, compiled(), model.TimeRange{Min: 0, Max: 1500})
	n := 0
	for i := range buf.shards {
		n += d.Apply(h.Shard(i), buf, nil).Series
		p := &buf.shards[i]
		if p.extras.spare != nil || p.tombstones.spare != nil || len(p.extras.chunks) < 2 {
			t.Errorf("shard %d: %d chunks", i, len(p.extras.chunks))
		}
		if got := p.stats.bytes.Load(); got != p.bytes() {
			t.Errorf("shard %d counts %d bytes of %d", i, got, p.bytes())
		}
	}
	if n != len(refs) {
		t.Errorf("%d series", n)
	}
}
