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
}

// tieredNow is the time at which a tieredWorld begins.
var tieredNow = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func newTieredWorld(t testing.TB) *tieredWorld {
	w := &tieredWorld{t: t, ctx: t.Context(), mem: vfs.NewMem(), clock: vfs.NewManualClock(tieredNow)}
	w.opts = Options{logStore: logtest.NewMem(), Clock: w.clock, Seed: 1, ReserveBytes: 4096}
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

// dayAt returns the start of the day so many days before now.
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

// tieredRead is what a tiered selection gives of its series, by their label i.
type tieredRead struct {
	rows     map[string]*model.Buckets // of the tier and of the samples in gaps
	fromTier map[string]int            // rows of the tier
	gaps     map[string][]model.TimeRange
	warnings []error
}

// read reads everything in a range of whole buckets.
func (w *tieredWorld) read(v *View, tier block.Tier, tr model.TimeRange) tieredRead {
	w.t.Helper()
	set, err := v.SelectTiered(w.ctx, model.DefaultTenant, tr, tier, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(w.t, err)
	var r TieredReader
	defer r.Release()
	got := tieredRead{rows: map[string]*model.Buckets{}, fromTier: map[string]int{}, gaps: map[string][]model.TimeRange{}}
	for i := range set.Len() {
		s := set.At(i)
		if i > 0 && labels.Compare(set.At(i-1).Labels, s.Labels) >= 0 {
			w.t.Fatalf("%s is listed after %s", s.Labels, set.At(i-1).Labels)
		}
		var rows, all model.Buckets
		gaps, err := r.Buckets(w.ctx, s, tr, model.AllBucketColumns, &rows, nil)
		must(w.t, err)
		next := 0
		for k, gap := range gaps {
			if gap.Empty() || gap.Min < tr.Min || gap.Max > tr.Max || k > 0 && gap.Min <= gaps[k-1].Max || wholeBuckets(gap, tier.Ms()) != gap {
				w.t.Fatalf("gaps %v of %s in %v", gaps, s.Labels, tr)
			}
			j := rows.Search(gap.Min)
			all.AppendRange(&rows, next, j)
			if next = rows.Search(gap.Max); next != j {
				w.t.Fatalf("%d rows of %s lie in the gap %v", next-j, s.Labels, gap)
			}
			var samples model.Samples
			must(w.t, r.Samples(w.ctx, s, gap, &samples))
			part := bucket.FromSamples(tier.Ms(), &samples)
			all.AppendRange(part, 0, part.Len())
		}
		all.AppendRange(&rows, next, rows.Len())
		name := s.Labels.Get("i")
		got.rows[name], got.fromTier[name], got.gaps[name] = &all, rows.Len(), gaps
	}
	got.warnings = set.Warnings()
	return got
}

// check compares a tiered selection with the samples, without warnings.
func (w *tieredWorld) check(tier block.Tier, tr model.TimeRange) tieredRead {
	w.t.Helper()
	v := w.view()
	defer v.Release()
	got := w.read(v, tier, tr)
	set, err := v.Select(w.ctx, model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(w.t, err)
	left := maps.Clone(got.rows)
	for i := range set.Len() {
		var samples model.Samples
		must(w.t, set.At(i).Samples(w.ctx, tr, &samples))
		want, name := bucket.FromSamples(tier.Ms(), &samples), set.At(i).Labels.Get("i")
		rows := left[name]
		delete(left, name)
		if rows == nil {
			rows = &model.Buckets{}
		}
		if diff := diffBuckets(rows, want); diff != "" {
			w.t.Fatalf("%v of series %s in %v: %s", tier, name, tr, diff)
		}
	}
	for name, rows := range left {
		if rows.Len() > 0 {
			w.t.Fatalf("%d rows of series %s, which has no samples", rows.Len(), name)
		}
	}
	if len(got.warnings) > 0 {
		w.t.Fatal(got.warnings)
	}
	return got
}

// diffBuckets describes the first difference of two sets of rows.
func diffBuckets(got, want *model.Buckets) string {
	for i := range max(got.Len(), want.Len()) {
		if i >= got.Len() || i >= want.Len() || got.End[i] != want.End[i] {
			at := func(b *model.Buckets) string {
				if i >= b.Len() {
					return "none"
				}
				return model.FormatTime(b.End[i])
			}
			return fmt.Sprintf("row %d is at %s, want %s", i, at(got), at(want))
		}
		g, w := rowText(got, i), rowText(want, i)
		if g != w {
			return fmt.Sprintf("row at %s is\n%s\nwant\n%s", model.FormatTime(got.End[i]), g, w)
		}
	}
	return ""
}

// rowText writes all columns of a row, floats by their bits.
func rowText(b *model.Buckets, i int) string {
	bits := math.Float64bits
	return fmt.Sprint(b.Flags[i], b.Count[i], b.First[i], b.T1[i], b.T2[i], b.T3[i], " ",
		bits(b.FirstV[i]), " ", bits(b.V1[i]), " ", bits(b.V2[i]), " ", bits(b.Min[i]), " ", bits(b.Max[i]), " ",
		bits(b.Sum[i]), " ", bits(b.Lost[i]), " ", b.Resets[i], " ", b.Changes[i])
}

// wholeDays returns the range of so many days that ends with today.
func wholeDays(n int) model.TimeRange {
	return model.TimeRange{Min: dayAt(n - 1), Max: dayAt(0) + model.DayMs}
}
