package block

import (
	"errors"
	"fmt"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// Every value of the byte is a known kind, or refused by all that reads and
// copies chunks.
func TestChunkKindIsAClosedSet(t *testing.T) {
	mem := vfs.NewMem()
	b := openTest(t, mem, longBlock(L1).write(t, mem, "data", 100), nil)
	chunks, err := b.Chunks(0, model.AllTime, nil)
	must(t, err)
	for i := range 256 {
		k := Kind(i)
		want, known := map[Kind]string{
			KindFloats: "floats", KindHistograms: "histograms", KindBuckets: "buckets", KindStandIn: "samples that stand in",
		}[k]
		if !known {
			want = fmt.Sprintf("Kind(%d)", i)
		}
		if k.valid() != known || k.String() != want {
			t.Errorf("kind %d: %v, valid %v", i, k, k.valid())
		}
		if k.fits(Raw) != (k <= KindHistograms) || k.fits(Minute) != (known && k > KindHistograms) {
			t.Errorf("tiers of kind %v", k)
		}
		if k.fits(Raw) {
			continue
		}
		c := chunks[0]
		c.Kind = k
		var s model.Samples
		// That a chunk is no chunk of samples is not damage.
		if err := c.from.append(c, model.AllTime, &s); err == nil || errors.Is(err, format.ErrCorrupt) == known {
			t.Fatalf("read a chunk of kind %d: %v", i, err)
		}
		w, err := Create(objstore.NewDir(mem, "copies"), Meta{Key: Key{Partition: firstDay, Level: L1}, Inputs: []string{"x"}}, WriterOptions{})
		must(t, err)
		e, err := b.Series(0)
		must(t, err)
		must(t, w.Series(e.Tenant, e.ID, e.Labels))
		if err := w.CopyChunk(c); err == nil {
			t.Fatalf("copy a chunk of kind %d: no error", i)
		}
		w.Abort()
	}
	if _, err := kindOf(model.Kind(9)); err == nil {
		t.Error("samples of an unknown kind have a chunk kind")
	}
}
