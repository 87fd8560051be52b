package compaction_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/compaction"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

// droppingFS drops what is written.
type droppingFS struct{ vfs.FS }

type droppingFile struct{ vfs.File }

func (d droppingFS) Create(name string) (vfs.File, error) {
	f, err := d.FS.Create(name)
	return droppingFile{f}, err
}

func (droppingFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

// peakFS drops what is written and measures the heap while a file is.
type peakFS struct {
	droppingFS
	peak *uint64
}

type peakFile struct {
	vfs.File
	peak *uint64
}

func (p peakFS) Create(name string) (vfs.File, error) {
	f, err := p.droppingFS.Create(name)
	return peakFile{f, p.peak}, err
}

func (p peakFile) WriteAt(b []byte, off int64) (int, error) {
	if *p.peak > 0 { // from Finish on, where most is held
		*p.peak = max(*p.peak, liveBytes())
	}
	return p.File.WriteAt(b, off)
}

// switchFS is a file system that another can take the place of.
type switchFS struct{ vfs.FS }

func liveBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// settledBytes is liveBytes of a heap that holds nothing any more of what pools
// kept of earlier tests: that stays for two collections, and would be taken for
// memory that comes back.
func settledBytes() uint64 {
	runtime.GC()
	runtime.GC()
	return liveBytes()
}

// smallBatches makes a constant amount of memory one that few series reach, too.
var smallBatches = block.WriterOptions{PostingsBatch: 1 << 16}

// writerPeak writes that number of series and returns the most memory the writer held,
// the bytes of the label that every series has for itself excepted.
func writerPeak(t *testing.T, series int) uint64 {
	t.Helper()
	before, peak := settledBytes(), uint64(0)
	w, err := block.Create(objstore.NewDir(peakFS{droppingFS{vfs.NewMem()}, &peak}, "data"), block.Meta{Key: block.SpanningKey(block.L0), MinGen: 1, MaxGen: 1}, smallBatches)
	partitiontest.Must(t, err)
	own := writeMany(t, w, series)
	peak = liveBytes()
	_, err = w.Finish()
	partitiontest.Must(t, err)
	return peak - before - own
}

// writeMany writes a number of series of eleven labels and three samples and
// returns the bytes of the values that every series has for itself.
func writeMany(t *testing.T, w *block.Writer, series int) (own uint64) {
	t.Helper()
	var s model.Samples
	b := labels.NewScratchBuilder(11)
	for i := range series {
		b.Reset()
		b.Add(block.MetricName, fmt.Sprintf("metric_%04d", i/1000))
		b.Add("id", fmt.Sprintf("id-%08d", i))
		own += uint64(len("id-00000000"))
		for k := range 8 {
			b.Add(fmt.Sprintf("label_%d", k), fmt.Sprintf("value-%d", i>>k%(100*k+3)))
		}
		b.Add("zone", "north")
		ls := b.Labels()
		id, _ := model.IdentityOf(partitiontest.IDSeed, 0, ls, nil)
		partitiontest.Must(t, w.Series(0, id, ls))
		s.Reset()
		for k := range int64(3) {
			s.Append(partitiontest.FirstDay+k*15_000, 0, float64(k), model.Histogram{})
		}
		partitiontest.Must(t, w.Samples(&s))
	}
	return own
}

// mergePeak merges three cuts of a number of series, each with the same series, and
// returns the most memory the merge held, the bytes of the label that every
// series has for itself excepted.
func mergePeak(t *testing.T, series int) uint64 {
	t.Helper()
	dir := t.TempDir()
	m, err := manifest.Create(vfs.OS, dir, partitiontest.IDSeed, 0)
	partitiontest.Must(t, err)
	fsys := &switchFS{FS: vfs.OS}
	set, err := blockset.Open(objstore.NewDir(fsys, dir), m, blockset.Options{})
	partitiontest.Must(t, err)
	var own uint64
	for gen := uint64(1); gen <= 3; gen++ {
		w, err := block.Create(objstore.NewDir(vfs.OS, dir), block.Meta{Key: block.SpanningKey(block.L0), MinGen: gen, MaxGen: gen}, block.WriterOptions{})
		partitiontest.Must(t, err)
		own = writeMany(t, w, series)
		info, err := w.Finish()
		partitiontest.Must(t, err)
		v, err := set.Publish(manifest.Edit{Add: []block.Info{info}, WALLow: partitiontest.Ptr(gen + 1)})
		partitiontest.Must(t, err)
		v.Release()
	}
	v := set.Acquire()
	plan, ok := compaction.PlanFinal(compaction.Candidates(v, nil), compaction.PlanOptions{FreeBytes: math.MaxUint64, WALLow: v.State().WALLow})
	if !ok {
		t.Fatal("nothing to merge")
	}
	before := settledBytes()
	peak := before // measured from here on
	fsys.FS = peakFS{droppingFS{vfs.OS}, &peak}
	_, err = compaction.Merge(context.Background(), v, plan, nil, compaction.Options{Writer: smallBatches})
	partitiontest.Must(t, err)
	v.Release()
	partitiontest.Must(t, set.Close())
	partitiontest.Must(t, m.Close())
	return peak - before - own
}

func TestAMergeTakesABoundedAmountOfMemoryForASeries(t *testing.T) {
	if testing.Short() {
		t.Skip("merges 600,000 series")
	}
	small, large := mergePeak(t, 50_000), mergePeak(t, 150_000)
	perSeries := (int64(large) - int64(small)) / 100_000
	t.Logf("%d bytes at 50,000 series, %d at 150,000: %d a series", small, large, perSeries)
	if perSeries > 100 {
		t.Errorf("%d bytes a series, at most 100", perSeries)
	}
}

func TestAWriterTakesABoundedAmountOfMemoryForASeries(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 400,000 series")
	}
	small, large := writerPeak(t, 100_000), writerPeak(t, 300_000)
	perSeries := (large - small) / 200_000
	t.Logf("%d bytes at 100,000 series, %d at 300,000: %d a series", small, large, perSeries)
	if perSeries > 100 {
		t.Errorf("%d bytes a series, at most 100", perSeries)
	}
}
