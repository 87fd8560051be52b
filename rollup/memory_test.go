package rollup

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
)

func liveBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// rollPeak rolls up a day of a number of series and returns the most memory that the
// step held, without the value of the label that every series has for itself: that is
// in the dictionary of each block.
func rollPeak(t *testing.T, series int) int64 {
	t.Helper()
	t.Chdir(t.TempDir())
	s := newStore(t, vfs.OS)
	must(t, s.open())
	defer func() { must(t, s.close()) }()
	s.gen++
	w, err := block.Create(s.set.Store(), block.Meta{Key: block.SpanningKey(block.L0), MinGen: s.gen, MaxGen: s.gen}, block.WriterOptions{})
	must(t, err)
	own := int64(0)
	for i := range series {
		name := fmt.Sprintf("id-%08d", i)
		own += int64(len(name))
		ls := labels.FromStrings("__name__", "m", "id", name, "job", fmt.Sprint("job-", i%10), "zone", "north")
		id, _ := model.IdentityOf(seed, 0, ls, nil)
		must(t, w.Series(0, id, ls))
		smp := &model.Samples{}
		for k := range int64(20) {
			smp.Append(day0+5+k*100, 0, float64(k), model.Histogram{})
		}
		must(t, w.Samples(smp))
	}
	info, err := w.Finish()
	must(t, err)
	low := s.gen + 1
	must(t, s.publish(manifest.Edit{Add: []block.Info{info}, WALLow: &low}))
	s.nowMs = day0 + 3*model.DayMs
	s.tiers = []block.Tier{block.Minute, block.Hour, block.Hours6}
	s.merge = compaction.Options{}
	must(t, s.merged(compaction.PlanFinal))
	v := s.set.Acquire()
	defer v.Release()
	before, peak := int64(liveBytes()), int64(0)
	_, err = Run(context.Background(), v, Step{Action: Roll, Tiers: s.tiers, Days: []int64{day0}}, Options{
		Writer: block.WriterOptions{PostingsBatch: 1 << 16},
		Progress: func(done, total uint64) {
			if total-done < 2*progressEvery {
				peak = max(peak, int64(liveBytes()))
			}
		},
	})
	must(t, err)
	return peak - before - int64(len(s.tiers))*own
}

func TestARollTakesABoundedAmountOfMemoryForASeries(t *testing.T) {
	if testing.Short() {
		t.Skip("rolls up 200,000 series")
	}
	small, large := rollPeak(t, 50_000), rollPeak(t, 150_000)
	perSeries := (large - small) / 100_000
	t.Logf("%d bytes at 50,000 series, %d at 150,000: %d a series for two tiers", small, large, perSeries)
	if perSeries > 100 {
		t.Errorf("%d bytes a series for two tiers, at most 100", perSeries)
	}
}
