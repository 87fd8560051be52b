package block

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
)

// Columns of two metrics of a host are equal, and the columns of all hosts and
// of other metrics lie between them: 50,000 here, more than in a full L2 of the
// hosts that TSBS simulates, where "available" and "free" are five of 101
// metrics apart.
func TestEqualColumnsFarApartAreStoredOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 60,000 series")
	}
	const hosts, samples = 10_000, groupSamplesMax
	mem := vfs.NewMem()
	w, err := Create(objstore.NewDir(mem, "data"), benchL2, WriterOptions{})
	must(t, err)
	var s model.Samples
	for k, metric := range []string{"available", "available_percent", "buffered", "buffered_percent", "cached", "free"} {
		seed := uint64(k)
		if metric == "free" {
			seed = 0
		}
		for host := range hosts {
			rnd := rand.New(rand.NewPCG(seed, uint64(host)))
			s.Reset()
			for i := range int64(samples) {
				s.Append(firstDay+i*10_000, 0, float64(rnd.IntN(1<<10)), model.Histogram{})
			}
			ls := labels.FromStrings(MetricName, "mem_"+metric, "hostname", fmt.Sprintf("host_%05d", host))
			id, _ := model.IdentityOf(idSeed, 0, ls, nil)
			must(t, w.Series(0, id, ls))
			must(t, w.Samples(&s))
		}
	}
	info, err := w.Finish()
	must(t, err)
	b := openTest(t, mem, info, nil)
	place := func(ord uint32) (off int64, start uint32) {
		chunks, err := b.Chunks(ord, model.AllTime, nil)
		must(t, err)
		if len(chunks) != 1 {
			t.Fatalf("series %d has %d chunks", ord, len(chunks))
		}
		c := chunks[0]
		v := c.page.rows[c.row].value
		return c.page.frames[streamValues][v.frame].off, v.start
	}
	for host := uint32(0); host < hosts; host += 97 {
		off, start := place(host)
		if off2, start2 := place(host + 5*hosts); off2 != off || start2 != start {
			t.Fatalf("columns of host %d at %d+%d and %d+%d", host, off, start, off2, start2)
		}
		if off2, start2 := place(host + hosts); off2 == off && start2 == start {
			t.Fatalf("unequal columns of host %d at %d+%d", host, off, start)
		}
	}
	mustBeClean(t, b)
}

// Bounds of memory cost bytes at most.
func TestAWriterThatRemembersLittleWritesTheSame(t *testing.T) {
	rnd := newRand(t)
	for _, level := range []Level{L0, L2} {
		m := randomBlock(rnd, level, 300)
		mem := vfs.NewMem()
		info := m.writeWith(t, mem, "data", 1000, WriterOptions{DedupeColumns: 2, PostingsBatch: 10})
		b := openTest(t, mem, info, nil)
		m.check(t, b)
		mustBeClean(t, b)
		if full := m.write(t, vfs.NewMem(), "data", 1000); full.Size > info.Size {
			t.Errorf("%v: %d bytes, and %d by a writer that remembers more", level, info.Size, full.Size)
		}
	}
}
