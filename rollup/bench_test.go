package rollup

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
)

// BenchmarkRoll rolls up a day of gauges with decimals and counters, ns/sample for
// both tiers together. At 15 s the samples stand in for minutes.
func BenchmarkRoll(b *testing.B) {
	for _, step := range []int64{1000, 5000, 15_000} {
		for _, tiers := range [][]block.Tier{{block.Minute}, {block.Hour}, {block.Minute, block.Hour}} {
			b.Run(fmt.Sprintf("step=%ds/tiers=%v", step/1000, tiers), func(b *testing.B) {
				s := newStore(b, vfs.NewMem())
				must(b, s.open())
				defer func() { must(b, s.close()) }()
				s.merge = compaction.Options{}
				samples := fillMany(s, int(200*step/1000), step)
				s.nowMs = day0 + 3*model.DayMs
				must(b, s.merged(compaction.PlanFinal))
				v := s.set.Acquire()
				defer v.Release()
				b.ReportAllocs()
				var bytes, rows uint64
				begin := cpuTime(b)
				for b.Loop() {
					r, err := Run(context.Background(), v, Step{Action: Roll, Tiers: tiers, Days: []int64{day0}}, Options{})
					must(b, err)
					bytes, rows = uint64(r.Bytes), r.Rows
					discard(s.set, r, nil)
					must(b, s.sweep())
				}
				b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N)/float64(samples), "cpu-ns/sample")
				b.ReportMetric(float64(bytes)/float64(samples), "B/sample")
				if rows > 0 {
					b.ReportMetric(float64(bytes)/float64(rows), "B/row")
				}
			})
		}
	}
}

// cpuTime returns the CPU time of the process, which other load on the machine changes
// less than the time that passes.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fillMany cuts a day of n series and returns the number of samples.
func fillMany(s *store, n int, step int64) (samples int) {
	s.gen++
	w, err := block.Create(s.set.Store(), block.Meta{Key: block.SpanningKey(block.L0), MinGen: s.gen, MaxGen: s.gen}, block.WriterOptions{})
	must(s.t, err)
	smp := &model.Samples{}
	for i := range n {
		ls := labels.FromStrings("__name__", "m", "instance", fmt.Sprintf("host-%06d", i), "job", "node")
		id, _ := model.IdentityOf(seed, 0, ls, nil)
		must(s.t, w.Series(0, id, ls))
		smp.Reset()
		v := 0.0
		for at := day0 + int64(i%10)*137; at < day0+model.DayMs; at += step {
			if i%2 == 0 {
				v += float64(s.rnd.IntN(200))
			} else {
				v = float64(s.rnd.IntN(1000)) / 10
			}
			smp.Append(at, 0, v, model.Histogram{})
		}
		samples += smp.Len()
		must(s.t, w.Samples(smp))
	}
	info, err := w.Finish()
	must(s.t, err)
	low := s.gen + 1
	must(s.t, s.publish(manifest.Edit{Add: []block.Info{info}, WALLow: &low}))
	return samples
}

// BenchmarkFold folds days of hours into one block.
func BenchmarkFold(b *testing.B) {
	for _, tier := range []block.Tier{block.Minute, block.Hour} {
		b.Run(fmt.Sprintf("tier=%v/days=8", tier), func(b *testing.B) {
			s := newStore(b, vfs.NewMem())
			must(b, s.open())
			defer func() { must(b, s.close()) }()
			s.tiers = []block.Tier{tier}
			s.nowMs = day0 + 9*model.DayMs
			days := []int64{}
			for day := range int64(8) {
				s.fill(day, 24, 0, 5, 10, 15, 20, 25, 30, 35)
				days = append(days, day0+day*model.DayMs)
			}
			must(b, s.merged(compaction.PlanFinal))
			for range days {
				_, err := s.step(false)
				must(b, err)
			}
			v := s.set.Acquire()
			defer v.Release()
			b.ReportAllocs()
			rows, begin := uint64(0), cpuTime(b)
			for b.Loop() {
				r, err := Run(context.Background(), v, Step{Action: Fold, Tiers: s.tiers, Days: days}, Options{})
				must(b, err)
				rows = r.Rows
				discard(s.set, r, nil)
				must(b, s.sweep())
			}
			b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N)/float64(rows), "cpu-ns/row")
		})
	}
}

// BenchmarkPlan plans with five years of hours and half a year of samples, when nothing
// is due: the job does so every minute, and a scrape of its metrics alike.
func BenchmarkPlan(b *testing.B) {
	var text strings.Builder
	const days = 5 * 365
	for d := range days {
		fmt.Fprintf(&text, "c 1h %d h%d 5 0\n", d, d/largeGroup)
		if d%largeGroup == 0 {
			fmt.Fprintf(&text, "b h%d 1h %d %d 50\n", d/largeGroup, d, largeGroup)
		}
		if d >= days-180 {
			fmt.Fprintf(&text, "l2 %d 5 50\nc 1m %d - 5 0\n", d, d)
		}
	}
	o := PlanOptions{NowMs: day0 + (days+100)*model.DayMs, FreeBytes: 1 << 40, Tiers: []block.Tier{block.Minute, block.Hour}}
	st := planState(b, o.NowMs, text.String())
	st.TierFloors[block.Minute] = day0 + (days-180)*model.DayMs
	if step, ok := Plan(st, o); ok {
		b.Fatal(stepString(step, ok))
	}
	b.Run("plan", func(b *testing.B) {
		for b.Loop() {
			Plan(st, o)
		}
	})
	b.Run("summarize", func(b *testing.B) {
		for b.Loop() {
			Summarize(st, o)
		}
	})
}
