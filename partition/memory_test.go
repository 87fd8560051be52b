package partition

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// peakFS drops what is written and measures the heap while a file is.
type peakFS struct {
	discardFS
	peak *uint64
}

type peakFile struct {
	vfs.File
	peak *uint64
}

func (p peakFS) Create(name string) (vfs.File, error) {
	f, err := p.discardFS.Create(name)
	return peakFile{f, p.peak}, err
}

func (p peakFile) WriteAt(b []byte, off int64) (int, error) {
	if *p.peak > 0 { // from Finish on, where most is held
		*p.peak = max(*p.peak, liveBytes())
	}
	return p.File.WriteAt(b, off)
}

func liveBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// writerPeak writes so many series of eleven labels, one of them with a value
// of its own in every series, and returns the most memory the writer held, the
// bytes of that label's values excepted.
func writerPeak(t *testing.T, series int) uint64 {
	t.Helper()
	before, peak := liveBytes(), uint64(0)
	w, err := Create(peakFS{discardFS{vfs.NewMem()}, &peak}, "data", benchL0, WriterOptions{})
	must(t, err)
	w.index.batch = 1 << 16 // a constant amount, which need not be reached with few series
	var s model.Samples
	b := labels.NewScratchBuilder(11)
	own := 0
	for i := range series {
		b.Reset()
		b.Add(metricName, fmt.Sprintf("metric_%04d", i/1000))
		b.Add("id", fmt.Sprintf("id-%08d", i))
		own += len("id-00000000")
		for k := range 8 {
			b.Add(fmt.Sprintf("label_%d", k), fmt.Sprintf("value-%d", i>>k%(100*k+3)))
		}
		b.Add("zone", "north")
		ls := b.Labels()
		id, _ := model.IdentityOf(idSeed, 0, ls, nil)
		must(t, w.Series(0, id, ls))
		s.Reset()
		for k := range int64(3) {
			s.Append(firstDay+k*15_000, 0, float64(k), model.Histogram{})
		}
		must(t, w.Samples(&s))
	}
	peak = liveBytes()
	_, err = w.Finish()
	must(t, err)
	return peak - before - uint64(own)
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
