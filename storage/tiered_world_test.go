package storage

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
	"tsdb/rollup/bucket"
	"tsdb/storage/log/logtest"
)

// tieredWorld is a database whose rollups the test makes itself, at moments and in
// forms that the job would not choose.
type tieredWorld struct {
	t     testing.TB
	ctx   context.Context
	mem   *vfs.Mem
	clock *vfs.ManualClock
	opts  Options
	db    *DB

	damaged bool // by the test
}

// tieredNow is the time at which a tieredWorld begins.
var tieredNow = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func newTieredWorld(t testing.TB) *tieredWorld {
	w := &tieredWorld{t: t, ctx: t.Context(), mem: vfs.NewMem(), clock: vfs.NewManualClock(tieredNow)}
	w.opts = Options{logStore: logtest.NewMem(), Clock: w.clock, Seed: 1, ReserveBytes: 4096}
	doctortest.CheckAtEnd(t, func() vfs.FS { return w.mem }, "data", func() bool { return w.damaged })
	w.open()
	t.Cleanup(func() { closeUncut(w.db) })
	return w
}

func (w *tieredWorld) open() {
	w.t.Helper()
	db, err := Open(w.ctx, w.mem, "data", w.opts)
	must(w.t, err)
	w.db = db
}

func (w *tieredWorld) restart() {
	w.t.Helper()
	closeUncut(w.db)
	w.open()
}

// dayAt returns the start of the day that is ago days before now.
func dayAt(ago int) int64 {
	return block.Raw.PartitionStart(tieredNow.UnixMilli() - int64(ago)*model.DayMs)
}

func tieredLabels(i int) labels.Labels {
	return labels.FromStrings("__name__", "m", "i", fmt.Sprint(i))
}

// write writes samples of series i.
func (w *tieredWorld) write(i int, samples ...model.Samples) {
	w.t.Helper()
	b := w.db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, tieredLabels(i))
	must(w.t, err)
	for _, s := range samples {
		for k, at := range s.T {
			if h := s.HistogramAt(k); h.IsZero() {
				b.Float(ref, at, s.StartAt(k), s.V[k])
			} else {
				b.Histogram(ref, at, s.StartAt(k), h)
			}
		}
	}
	_, err = b.Commit(w.ctx)
	must(w.t, err)
}

// one returns one sample.
func one(at int64, v float64) (s model.Samples) {
	s.Append(at, 0, v, model.Histogram{})
	return s
}

// every returns n samples, a step of milliseconds apart.
func every(from, step int64, n int) (s model.Samples) {
	for k := range int64(n) {
		s.Append(from+k*step, 0, float64(k%7), model.Histogram{})
	}
	return s
}

func (w *tieredWorld) flush() {
	w.t.Helper()
	_, err := w.db.Flush(w.ctx)
	must(w.t, err)
}

func (w *tieredWorld) compact() {
	w.t.Helper()
	_, err := w.db.Compact(w.ctx)
	must(w.t, err)
}

// remove deletes a range of series i.
func (w *tieredWorld) remove(i int, tr model.TimeRange) {
	w.t.Helper()
	must(w.t, w.db.Delete(w.ctx, model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, "i", fmt.Sprint(i))))
}

func (w *tieredWorld) view() *View {
	w.t.Helper()
	v, err := w.db.View()
	must(w.t, err)
	return v
}

// rollForm is how a day is rolled up.
type rollForm struct {
	standIn func(tier block.Tier, i string) bool // series whose samples stand in; nil = none
	wholly  func(tier block.Tier) bool           // tiers of which the whole day stands in; nil = none
}

// rolled is a series of a day or of a block to be folded.
type rolled struct {
	block.SeriesEntry
	samples model.Samples
	buckets model.Buckets
	standIn []model.TimeRange
}

func compareRolled(a, b *rolled) int { return block.Compare(a.Tenant, a.Labels, b.Tenant, b.Labels) }

// roll rolls up what the L2s of a day hold and reports whether there are any.
func (w *tieredWorld) roll(day int64, form rollForm, tiers ...block.Tier) bool {
	w.t.Helper()
	v := w.view()
	defer v.Release()
	st := v.st.blocks.State()
	cover := manifest.Coverage{Gen: st.SettledGen(day)}
	var infos []block.Info
	var series []*rolled
	for _, e := range v.st.blocks.Raw() {
		if e.Level != block.L2 || e.Partition != day {
			continue
		}
		infos, cover.Sources = append(infos, e.Info), append(cover.Sources, e.Name)
		cover.Gen = min(cover.Gen, e.MaxGen)
		deleted, err := v.st.blocks.Deletions(w.ctx, e, st.Tombstones)
		must(w.t, err)
		it, r := e.Block().Iterate(), e.Block().Reader()
		for it.Next() {
			entry, err := it.Series()
			must(w.t, err)
			s := &rolled{SeriesEntry: entry}
			must(w.t, r.Append(w.ctx, it.Ordinal(), model.AllTime, &s.samples))
			deleted.Ranges(it.Ordinal(), nil).Remove(&s.samples, 0)
			series = append(series, s)
		}
		must(w.t, it.Err())
		r.Release()
	}
	if len(infos) == 0 {
		return false
	}
	slices.SortFunc(series, compareRolled)
	for _, t := range st.Tombstones {
		cover.Tombstone = max(cover.Tombstone, t.ID)
	}
	var e manifest.Edit
	for _, tier := range tiers {
		c := cover
		c.CoverKey = manifest.CoverKey{Tier: tier, Day: day}
		old, _ := st.CoverageOf(tier, day)
		c.Tombstone = max(c.Tombstone, old.Tombstone)
		lo, hi := manifest.Generations(infos)
		c.StandIn = form.wholly != nil && form.wholly(tier)
		for _, s := range series {
			s.buckets, s.standIn = model.Buckets{}, nil
			switch {
			case c.StandIn || s.samples.Len() == 0:
			case form.standIn != nil && form.standIn(tier, s.Labels.Get("i")):
				s.standIn = []model.TimeRange{c.Range()}
			default:
				s.buckets = *bucket.FromSamples(tier.Ms(), &s.samples)
			}
		}
		c.Block = w.create(&e, block.Meta{
			Key: tier.KeyAt(day, block.L2), MinGen: lo, MaxGen: hi, Days: 1, Sources: c.Sources, Tombstone: c.Tombstone,
		}, series)
		e.Cover = append(e.Cover, c)
	}
	w.publish(st, e)
	return true
}

// fold puts the rows of the covered days of a tier in a range into one block.
func (w *tieredWorld) fold(tier block.Tier, tr model.TimeRange) {
	w.t.Helper()
	v := w.view()
	defer v.Release()
	st := v.st.blocks.State()
	series := map[model.Identity]*rolled{}
	var e manifest.Edit
	meta := block.Meta{MinGen: math.MaxUint64}
	for _, c := range st.SortedCoverage() {
		if c.Tier != tier || c.Block == "" || !tr.Contains(c.Day) {
			continue
		}
		src := v.st.blocks.Find(c.Block)
		if len(e.Cover) == 0 {
			meta.Key = tier.KeyAt(c.Day, block.L2)
		}
		meta.Days = uint32((c.Day-meta.Partition)/model.DayMs) + 1
		meta.MinGen, meta.MaxGen = min(meta.MinGen, src.MinGen), max(meta.MaxGen, src.MaxGen)
		meta.Tombstone = max(meta.Tombstone, c.Tombstone)
		if !slices.Contains(meta.Sources, c.Block) {
			meta.Sources = append(meta.Sources, c.Block)
		}
		e.Cover = append(e.Cover, c)
		it, r := src.Block().Iterate(), src.Block().Reader()
		for it.Next() {
			entry, err := it.Series()
			must(w.t, err)
			s := series[entry.ID]
			if s == nil {
				s = &rolled{SeriesEntry: entry}
				series[entry.ID] = s
			}
			s.standIn, err = r.Buckets(w.ctx, it.Ordinal(), c.Range(), model.AllBucketColumns, &s.buckets, s.standIn)
			must(w.t, err)
		}
		must(w.t, it.Err())
		r.Release()
	}
	if len(e.Cover) == 0 {
		return
	}
	name := w.create(&e, meta, slices.SortedFunc(maps.Values(series), compareRolled))
	for i := range e.Cover {
		e.Cover[i].Block = name
	}
	w.publish(st, e)
}

// create writes a rollup block, which the edit adds. Its name is empty if there are
// no rows.
func (w *tieredWorld) create(e *manifest.Edit, meta block.Meta, series []*rolled) string {
	w.t.Helper()
	if !slices.ContainsFunc(series, func(s *rolled) bool { return s.buckets.Len() > 0 || len(s.standIn) > 0 }) {
		return ""
	}
	b, err := block.Create(w.db.objects, meta, block.WriterOptions{Taken: w.db.set.Taken, Repeated: w.db.manifest.State().Repeated()})
	must(w.t, err)
	for _, s := range series {
		must(w.t, b.Series(s.Tenant, s.ID, s.Labels))
		days := slices.Clone(s.standIn)
		for i := 0; i < s.buckets.Len(); {
			for len(days) > 0 && days[0].Max <= s.buckets.End[i] {
				must(w.t, b.StandIn(days[0], 1))
				days = days[1:]
			}
			j := s.buckets.Len()
			if len(days) > 0 {
				j = s.buckets.Search(days[0].Min)
			}
			part := s.buckets.Slice(i, j)
			must(w.t, b.Buckets(&part))
			i = j
		}
		for _, d := range days {
			must(w.t, b.StandIn(d, 1))
		}
	}
	info, err := b.Finish()
	must(w.t, err)
	e.Add = append(e.Add, info)
	return info.Name
}

// publish publishes an edit that also drops the rollup blocks which no entry names
// afterwards.
func (w *tieredWorld) publish(st *manifest.State, e manifest.Edit) {
	w.t.Helper()
	named := map[string]bool{}
	coverage := maps.Clone(st.Coverage)
	for _, k := range e.Uncover {
		delete(coverage, k)
	}
	for _, c := range e.Cover {
		coverage[c.CoverKey] = c
	}
	for _, c := range coverage {
		named[c.Block] = true
	}
	for _, b := range st.RollupBlocks() {
		if !named[b.Name] {
			e.Drop = append(e.Drop, b.Name)
		}
	}
	_, err := w.db.catalog.edit(e, nil)
	must(w.t, err)
}
