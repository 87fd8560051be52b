package head

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sys/unix"

	"tsdb/internal/model"
)

// BenchmarkDelete deletes from a buffer of five million samples. ms/lock is the longest
// time for which a shard was locked to mark samples, so for which a writer waits, and
// CPU-ms/lock the longest CPU time spent under such a lock, which other load does not
// lengthen.
func BenchmarkDelete(b *testing.B) {
	for _, series := range []int{10_000, 100_000, 1_000_000} {
		samples := int64(5_000_000 / series)
		for _, part := range []string{"half", "all"} {
			b.Run(fmt.Sprintf("series=%d/delete=%s", series, part), func(b *testing.B) {
				h := New(Options{})
				refs := seriesOf(b, h, series)
				slots := make([][]uint32, model.Shards)
				for _, ref := range refs {
					slots[ref.Shard()] = append(slots[ref.Shard()], ref.Slot())
				}
				tr := model.TimeRange{Min: -1, Max: samples * 500}
				if part == "all" {
					tr.Max = samples * 1000
				}
				ms := compiled(labels.MustNewMatcher(labels.MatchRegexp, "i", ".+"))
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				longest, longestCPU := time.Duration(0), time.Duration(0)
				for b.Loop() {
					b.StopTimer()
					buf := h.NewBuffer(1)
					for i := range slots {
						n := len(slots[i])
						ts, vs := make([]int64, n), make([]float64, n)
						s := h.Shard(i)
						s.Lock()
						for k := range samples {
							for j := range ts {
								ts[j], vs[j] = k*1000, float64(k*int64(j%7))
							}
							s.AppendFloatsLocked(buf, slots[i], ts, vs, nil)
						}
						s.Unlock()
					}
					b.StartTimer()
					d := NewDeletion(0, ms, tr)
					for i := range model.Shards {
						var began time.Time
						var used time.Duration
						begin := func() { began, used = time.Now(), threadTime(b) }
						held := func() {
							longest, longestCPU = max(longest, time.Since(began)), max(longestCPU, threadTime(b)-used)
							begin()
						}
						d.between = held
						d.Apply(h.Shard(i), buf, begin)
						held()
					}
					b.StopTimer()
					buf.Release()
					b.StartTimer()
				}
				b.ReportMetric(float64(longest.Microseconds())/1000, "ms/lock")
				b.ReportMetric(float64(longestCPU.Microseconds())/1000, "CPU-ms/lock")
			})
		}
	}
}

// threadTime returns the CPU time that the thread has used.
func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}
