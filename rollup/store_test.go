package rollup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
)

const seed = 7 // of identities

// store is a MANIFEST and a set of real blocks, with the samples beside them that
// they must hold.
type store struct {
	t      testing.TB
	fs     vfs.FS
	m      *manifest.Manifest
	set    *blockset.Set
	rnd    *rand.Rand
	nowMs  int64
	gen    uint64
	ids    uint64 // last tombstone
	named  uint64 // edit that the WAL names
	sweeps int

	want  contents
	floor int64 // samples before have left
	tiers []block.Tier
	o     Options
	merge compaction.Options
	skip  map[string]bool
}

// contents are the samples of each series.
type contents map[int]*model.Samples

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newStore(t testing.TB, fsys vfs.FS) *store {
	s := &store{t: t, fs: fsys, rnd: rand.New(rand.NewPCG(1, 2)), nowMs: day0, want: contents{}, floor: math.MinInt64,
		tiers: []block.Tier{block.Minute, block.Hour}, skip: map[string]bool{}}
	s.merge = compaction.Options{BlockSeries: 3}
	s.o.OmitResets = true
	s.o.Skip = func(name string) bool { return s.skip[name] }
	return s
}

func openStore(t testing.TB) *store {
	s := newStore(t, vfs.NewMem())
	must(t, s.open())
	t.Cleanup(func() { must(t, s.close()) })
	return s
}

func (s *store) open() error {
	m, err := manifest.Open(s.fs, "d", s.named)
	if errors.Is(err, fs.ErrNotExist) {
		m, err = manifest.Create(s.fs, "d", seed, s.nowMs)
	}
	if err != nil {
		return err
	}
	set, err := blockset.Open(objstore.NewDir(s.fs, "d"), m, blockset.Options{})
	if err != nil {
		return errors.Join(err, m.Close())
	}
	s.m, s.set = m, set
	left, err := set.CleanUp(func(lo, hi uint64) bool { return lo >= m.State().WALLow })
	if err != nil {
		return errors.Join(err, s.close())
	}
	for _, l := range left {
		if l.MovedTo != "" {
			return errors.Join(fmt.Errorf("%s was moved to %s: %s", l.Name, l.MovedTo, l.Reason), s.close())
		}
	}
	return nil
}

func (s *store) close() error {
	if s.set == nil {
		return nil
	}
	err := errors.Join(s.set.Close(), s.m.Close())
	s.set, s.m = nil, nil
	return err
}

func (s *store) publish(e manifest.Edit) error {
	e.WallMs = s.nowMs
	v, err := s.set.Publish(e)
	if err != nil {
		for _, b := range e.Add {
			s.set.Discard(b.Name)
		}
		return err
	}
	v.Release()
	return nil
}

// series returns the series of a number.
func series(k int) block.SeriesEntry {
	e := block.SeriesEntry{Tenant: uint32(k / 7)}
	e.Labels = labels.FromStrings("__name__", fmt.Sprintf("metric_%d", k%3), "instance", fmt.Sprint(k))
	e.ID, _ = model.IdentityOf(seed, e.Tenant, e.Labels, nil)
	return e
}

// samplesOf makes samples of a series from a time on: of the numbers modulo 5, series
// 0 have one a second, 1 one in 15 s, 2 with markers, histograms and start timestamps,
// 3 few, 4 resets. Some of those of series 5 are from days on which they fall often.
func (s *store) samplesOf(k int, from, span int64) *model.Samples {
	smp := &model.Samples{}
	step := [...]int64{1000, 15_000, 20_000, 5 * model.HourMs, 2000}[k%5]
	v := float64(k)
	for t := from + int64(k%7); t < from+span; t += step {
		if v += float64(s.rnd.IntN(3)); k%10 == 5 && t/model.DayMs%2 == 0 {
			v--
		}
		switch {
		case k%5 == 2 && s.rnd.IntN(4) == 0:
			smp.Append(t, 0, math.Float64frombits(value.StaleNaN), model.Histogram{})
		case k%5 == 2 && s.rnd.IntN(4) == 0:
			smp.Append(t, 0, 0, model.Histogram{Int: &histogram.Histogram{Schema: 1, Count: 3, Sum: 2, ZeroThreshold: 0.1, ZeroCount: 1,
				PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}}, PositiveBuckets: []int64{2}}})
		case k%5 == 2 && s.rnd.IntN(4) == 0:
			smp.Append(t, t-1000, math.Inf(1), model.Histogram{})
		case k%5 == 4 && s.rnd.IntN(20) == 0:
			v = 0
			smp.Append(t, 0, v, model.Histogram{})
		default:
			smp.Append(t, 0, v, model.Histogram{})
		}
	}
	return smp
}

// cut writes samples as an L0.
func (s *store) cut(add contents) error {
	s.gen = max(s.gen, s.m.State().HighGen) + 1
	w, err := block.Create(s.set.Store(), block.Meta{Key: block.SpanningKey(block.L0), MinGen: s.gen, MaxGen: s.gen}, block.WriterOptions{})
	if err != nil {
		return err
	}
	order := slices.SortedFunc(maps.Keys(add), func(a, b int) int { return compareSeries(series(a), series(b)) })
	for _, k := range order {
		e := series(k)
		if err := errors.Join(w.Series(e.Tenant, e.ID, e.Labels), w.Samples(add[k])); err != nil {
			w.Abort()
			return err
		}
	}
	info, err := w.Finish()
	if err != nil {
		return err
	}
	low := s.gen + 1
	if err := s.publish(manifest.Edit{Add: []block.Info{info}, WALLow: &low}); err != nil {
		return err
	}
	for k, smp := range add {
		merged := &model.Samples{}
		if s.want[k] == nil {
			s.want[k] = &model.Samples{}
		}
		model.Merge(merged, s.want[k], smp)
		s.want[k] = merged
	}
	return nil
}

// fill cuts samples of all series for hours from the start of a day on.
func (s *store) fill(day int64, hours int64, numbers ...int) {
	s.t.Helper()
	add := contents{}
	for _, k := range numbers {
		add[k] = s.samplesOf(k, day0+day*model.DayMs, hours*model.HourMs)
	}
	must(s.t, s.cut(add))
}

// delete removes a range of the metric of a number.
func (s *store) delete(metric int, tr model.TimeRange) error {
	s.gen = max(s.gen, s.m.State().HighGen) + 1
	for _, c := range s.m.State().Coverage {
		s.ids = max(s.ids, c.Tombstone)
	}
	for _, t := range s.m.State().Tombstones {
		s.ids = max(s.ids, t.ID)
	}
	s.ids++
	name := fmt.Sprintf("metric_%d", metric)
	low := s.gen + 1
	err := s.publish(manifest.Edit{WALLow: &low, HighGen: s.gen, AddTombstones: []manifest.Tombstone{{ID: s.ids, Gen: s.gen, Range: tr,
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", name)}}}})
	if err != nil {
		return err
	}
	for k, smp := range s.want {
		if e := series(k); e.Labels.Get("__name__") == name && e.Tenant == 0 {
			block.DeletedRanges{tr}.Remove(smp, 0)
		}
	}
	return nil
}

// merged does the merges that a plan finds.
func (s *store) merged(plan func([]compaction.Candidate, compaction.PlanOptions) (compaction.Plan, bool)) error {
	for {
		more, err := s.mergeNext(plan)
		if err != nil || !more {
			return err
		}
	}
}

func (s *store) mergeNext(plan func([]compaction.Candidate, compaction.PlanOptions) (compaction.Plan, bool)) (bool, error) {
	v := s.set.Acquire()
	defer v.Release()
	st := v.State()
	p, ok := plan(compaction.Candidates(v, nil), compaction.PlanOptions{NowMs: s.nowMs, FreeBytes: math.MaxUint64, WALLow: st.WALLow,
		Tombstones: st.Tombstones, Concerns: v.Concerns(context.Background())})
	if !ok {
		return false, nil
	}
	out, err := compaction.Merge(context.Background(), v, p, st.Tombstones, s.merge)
	if err != nil {
		return false, err
	}
	return true, s.publish(out.Edit(s.nowMs))
}

// planned returns the next step.
func (s *store) planned(v *blockset.Version, force bool) (Step, bool) {
	return Plan(v.State(), PlanOptions{NowMs: s.nowMs, FreeBytes: math.MaxUint64, Tiers: s.tiers, Force: force,
		Quarantined: func(name string) bool { e := v.Find(name); return e != nil && e.Err() != nil },
		Concerns:    v.Concerns(context.Background()), InDay: InDay(context.Background(), v)})
}

// step does the next step. A block that it cannot read is quarantined.
func (s *store) step(force bool) (string, error) {
	v := s.set.Acquire()
	defer v.Release()
	next, ok := s.planned(v, force)
	if !ok {
		return "none", nil
	}
	r, err := Run(context.Background(), v, next, s.o)
	if err != nil {
		var bad *SourceError
		if errors.As(err, &bad) {
			s.set.Quarantine(bad.Block, bad.Err)
			s.skip[bad.Block] = true
			return "quarantine", nil
		}
		return "", err
	}
	if err := s.publish(r.Edit(s.m.State())); err != nil {
		return "", err
	}
	return stepString(next, true), nil
}

// rolled does all steps and returns them.
func (s *store) rolled(force bool) ([]string, error) {
	var steps []string
	for range 1000 {
		step, err := s.step(force)
		if err != nil || step == "none" {
			return steps, err
		}
		steps = append(steps, step)
	}
	return steps, errors.New("no end")
}

func (s *store) roll(force bool, want ...string) {
	s.t.Helper()
	got, err := s.rolled(force)
	must(s.t, err)
	if want != nil && !slices.Equal(got, want) {
		s.t.Errorf("steps %q, want %q", got, want)
	}
}

// retire moves the floor of the samples.
func (s *store) retire(day int64) error {
	floor := day0 + day*model.DayMs
	e, ok := compaction.PlanRetention(s.m.State(), compaction.RetentionOptions{Raw: floor, HeadMin: math.MaxInt64})
	if !ok {
		return nil
	}
	if err := s.publish(e); err != nil {
		return err
	}
	s.floor = max(s.floor, floor)
	return nil
}

// sweep deletes the files of blocks that were dropped.
func (s *store) sweep() error {
	s.sweeps++
	_, err := s.set.Sweep(context.Background(), time.Unix(0, 0).Add(time.Duration(s.sweeps)*time.Hour), func(edit uint64) error {
		s.named = max(s.named, edit)
		return nil
	})
	return err
}

// damageAt flips a byte in the file of a block.
func (s *store) damageAt(name string, off int64) {
	s.t.Helper()
	f, err := s.fs.OpenReadWrite("d/" + name)
	must(s.t, err)
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	must(s.t, err)
	b[0] ^= 0x40
	_, err = f.WriteAt(b[:], off)
	must(s.t, errors.Join(err, f.Close()))
}

// blocksOf returns the names of the listed blocks of a tier, sorted.
func (s *store) blocksOf(tier block.Tier, level block.Level) []string {
	var names []string
	for _, b := range s.m.State().Blocks {
		if b.Tier == tier && b.Level == level {
			names = append(names, b.Name)
		}
	}
	slices.Sort(names)
	return names
}

// keys returns the files of all blocks.
func (s *store) keys() []string {
	keys, err := block.ListKeys(context.Background(), s.set.Store())
	must(s.t, err)
	return keys
}
