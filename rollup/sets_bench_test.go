package rollup

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"tsdb/benchmarks/sets"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
)

// BenchmarkRollSets rolls up the data sets that `benchmarks/compare rollup` measures,
// and folds those of 8 days. Time and bytes are for both tiers.
func BenchmarkRollSets(b *testing.B) {
	options := func(groups, days int, step time.Duration) sets.Options {
		return sets.Options{Groups: groups, Start: time.UnixMilli(day0).UTC(), Span: time.Duration(days) * 24 * time.Hour, Step: step, Seed: 1}
	}
	for _, c := range []struct {
		name string
		set  sets.Set
		days int64
	}{
		{"fleet/step=15s", sets.Nodes(options(1, 8, 0)), 8},
		{"cpu-only/step=10s", sets.CPUOnly(options(30, 8, 0)), 8},
		{"fleet/step=1s", sets.Nodes(options(1, 1, time.Second)), 1},
		{"cpu-only/step=1s", sets.CPUOnly(options(10, 1, time.Second)), 1},
	} {
		b.Run("set="+c.name, func(b *testing.B) { benchmarkRollSet(b, c.set, c.days) })
	}
}

func benchmarkRollSet(b *testing.B, set sets.Set, days int64) {
	s := newStore(b, vfs.NewMem())
	must(b, s.open())
	defer func() { must(b, s.close()) }()
	s.merge = compaction.Options{}
	samples := cutSet(s, set)
	s.nowMs = day0 + (days+2)*model.DayMs
	must(b, s.merged(compaction.PlanFinal))
	v := s.set.Acquire()
	raw := int64(0)
	for _, e := range v.Entries() {
		raw += e.Size
	}
	b.ReportAllocs()
	rolled, folded := int64(0), int64(0)
	var rolling, folding time.Duration
	for b.Loop() {
		begin := cpuTime(b)
		rolled = 0
		for day := range days {
			r, err := Run(context.Background(), v, Step{Action: Roll, Tiers: s.tiers, Days: []int64{day0 + day*model.DayMs}}, s.o)
			must(b, err)
			rolled += r.Bytes
			discard(s.set, r, nil)
		}
		rolling += cpuTime(b) - begin
		must(b, s.sweep())
	}
	v.Release()
	b.ReportMetric(float64(rolling)/float64(b.N)/float64(samples), "roll-ns/sample")
	b.ReportMetric(100*float64(rolled)/float64(raw), "rolled-%raw")
	b.ReportMetric(0, "ns/op")
	if days < smallGroup {
		return
	}
	all := []int64{}
	for day := range days {
		all = append(all, day0+day*model.DayMs)
		must(b, rollDay(s, all[day]))
	}
	v = s.set.Acquire()
	defer v.Release()
	begin := cpuTime(b)
	for range b.N {
		r, err := Run(context.Background(), v, Step{Action: Fold, Tiers: []block.Tier{block.Hour}, Days: all}, s.o)
		must(b, err)
		folded = r.Bytes
		discard(s.set, r, nil)
	}
	folding = cpuTime(b) - begin
	b.ReportMetric(float64(folding)/float64(b.N)/float64(samples), "fold-ns/sample")
	b.ReportMetric(100*float64(folded)/float64(raw), "folded-%raw")
}

// rollDay rolls up a day of all tiers.
func rollDay(s *store, day int64) error {
	v := s.set.Acquire()
	defer v.Release()
	r, err := Run(context.Background(), v, Step{Action: Roll, Tiers: s.tiers, Days: []int64{day}}, s.o)
	if err != nil {
		return err
	}
	return s.publish(r.Edit(s.m.State()))
}

// cutSet cuts a set and returns the number of samples.
func cutSet(s *store, set sets.Set) (samples int) {
	var all []sets.Series
	for i := range set.Groups {
		group, err := set.Group(i)
		must(s.t, err)
		all = append(all, group...)
	}
	slices.SortFunc(all, func(x, y sets.Series) int { return cmp.Or(block.Compare(0, x.Labels, 0, y.Labels)) })
	s.gen++
	w, err := block.Create(s.set.Store(), block.Meta{Key: block.SpanningKey(block.L0), MinGen: s.gen, MaxGen: s.gen}, block.WriterOptions{})
	must(s.t, err)
	smp := &model.Samples{}
	for _, one := range all {
		id, _ := model.IdentityOf(seed, 0, one.Labels, nil)
		must(s.t, w.Series(0, id, one.Labels))
		smp.Reset()
		for i, at := range one.Times {
			smp.Append(at, 0, one.Values[i], model.Histogram{})
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
