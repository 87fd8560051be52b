package partition

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

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// testStore is a manifest and a set of real, tiny blocks, with a model beside
// them that says what they must hold: a cut writes an L0 of random samples, a
// deletion makes a tombstone, merges and retention run as the planner says.
type testStore struct {
	sweeps int // calls of sweep
	t      testing.TB
	fs     vfs.FS
	rnd    *rand.Rand
	set    *Set
	m      *Manifest
	nowMs  int64
	gen    uint64 // last generation that was cut
	named  uint64 // edit that the WAL names

	want  contents
	maybe []contents // what else may be found, while an operation is under way
	ids   uint64     // last tombstone
	opts  MergeOptions
	small bool    // no chunks that are worth copying
	last  *Merged // of the last merge
}

// contents are the samples of every series, by number.
type contents map[int]*model.Samples

func (c contents) clone() contents {
	n := contents{}
	for k, s := range c {
		n[k] = &model.Samples{}
		n[k].AppendRange(s, 0, s.Len())
	}
	return n
}

// write returns the contents with newer samples written over them.
func (c contents) write(newer contents) contents {
	n := c.clone()
	for k, s := range newer {
		var merged model.Samples
		if n[k] == nil {
			n[k] = &model.Samples{}
		}
		model.Merge(&merged, n[k], s)
		n[k] = &merged
	}
	return n
}

// remove returns the contents without the samples a tombstone deletes.
func (c contents) remove(t Tombstone) contents {
	n := c.clone()
	for k, s := range n {
		e := storeSeries(k)
		matches := e.Tenant == t.Tenant
		for _, m := range t.Matchers {
			matches = matches && m.Matches(e.Labels.Get(m.Name))
		}
		if matches {
			DeletedRanges{t.Range}.Remove(s, 0)
		}
	}
	return n
}

// above returns what is kept with a retention floor.
func (c contents) above(floor int64) contents {
	n := c.clone()
	kept := keptAbove(floor)
	for k, s := range n {
		i := s.Search(kept.Min)
		inside := s.Slice(i, max(i, s.Search(kept.Max)))
		n[k] = &inside
	}
	return n
}

func (c contents) diff(want contents) string {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		got := c[k]
		if got == nil {
			got = &model.Samples{}
		}
		if d := diffSamples(got, want[k]); d != "" {
			return fmt.Sprintf("series %d: %s", k, d)
		}
	}
	for k, s := range c {
		if want[k] == nil && s.Len() > 0 {
			return fmt.Sprintf("series %d was never written", k)
		}
	}
	return ""
}

const storeSeriesMax = 14

// storeSeries returns the series of a number.
func storeSeries(k int) SeriesEntry {
	e := SeriesEntry{Tenant: uint32(k / 12)}
	e.Labels = labels.FromStrings("__name__", fmt.Sprintf("metric_%d_total", k%3), "instance", fmt.Sprint(k/3), "job", fmt.Sprint(k%2))
	e.ID, _ = model.IdentityOf(idSeed, e.Tenant, e.Labels, nil)
	return e
}

// seriesNumbers finds the number of a series.
var seriesNumbers = func() map[model.Identity]int {
	m := map[model.Identity]int{}
	for k := range storeSeriesMax {
		m[storeSeries(k).ID] = k
	}
	return m
}()

func newTestStore(t testing.TB, fsys vfs.FS, seed uint64) *testStore {
	s := &testStore{t: t, fs: fsys, rnd: rand.New(rand.NewPCG(seed, 2)), want: contents{}, nowMs: testDay}
	s.opts = MergeOptions{BlockSeries: 1 + s.rnd.IntN(5), Outputs: 1 + s.rnd.IntN(3)}
	return s
}

// open makes or opens the database, as a program would at its start.
func (s *testStore) open() error {
	m, err := OpenManifest(s.fs, "d", s.named)
	if errors.Is(err, fs.ErrNotExist) {
		m, err = CreateManifest(s.fs, "d", idSeed, s.nowMs)
	}
	if err != nil {
		return err
	}
	set, err := OpenSet(s.fs, "d", m, SetOptions{})
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

func (s *testStore) close() error {
	if s.set == nil {
		return nil
	}
	err := errors.Join(s.set.Close(), s.m.Close())
	s.set, s.m = nil, nil
	return err
}

// done makes the last of what may be found what must be.
func (s *testStore) done() {
	s.want, s.maybe = s.maybe[len(s.maybe)-1], nil
}

// randomContents makes samples of some series, most of them at or behind now.
func (s *testStore) randomContents() contents {
	c := contents{}
	for k := range storeSeriesMax {
		if s.rnd.IntN(3) == 0 {
			continue
		}
		smp := &model.Samples{}
		at := s.nowMs - int64(s.rnd.IntN(3))*model.DayMs*int64(s.rnd.IntN(2)) + int64(s.rnd.IntN(1000))
		n := 1 + s.rnd.IntN(12)
		if !s.small && s.rnd.IntN(12) == 0 {
			n = 3000 + s.rnd.IntN(4000) // chunks worth copying
		}
		step := int64(1 + s.rnd.IntN(20)*s.rnd.IntN(500))
		kind := s.rnd.IntN(8)
		for i := range n {
			v := float64(i * s.rnd.IntN(4))
			var h model.Histogram
			st := int64(0)
			switch {
			case s.rnd.IntN(20) == 0:
				v = math.Float64frombits(value.StaleNaN)
			case kind == 0 && n < 100 && s.rnd.IntN(2) == 0:
				v, h = 0, randomHistogram(s.rnd)
			case kind == 1:
				st = at - 1000
			}
			smp.Append(at, st, v, h)
			at += step
		}
		c[k] = smp
	}
	return c
}

// nextGen ends a generation. Its number is not given out again even if the edit
// fails, because that edit may be found to have happened.
func (s *testStore) nextGen() uint64 {
	s.gen = max(s.gen, s.m.State().HighGen) + 1
	return s.gen
}

// cut writes an L0 of random samples and publishes it.
func (s *testStore) cut() error { return s.cutOf(s.randomContents()) }

// cutOf writes an L0 of new samples and publishes it. Every series gets an
// exemplar at its first sample, every metric a text, that name the generation.
func (s *testStore) cutOf(add contents) error {
	if len(add) == 0 {
		return nil
	}
	gen := s.nextGen()
	w, err := Create(s.fs, "d", BlockMeta{Level: L0, MinGen: gen, MaxGen: gen, Partition: NoPartition}, WriterOptions{})
	if err != nil {
		return err
	}
	order := slices.Collect(maps.Keys(add))
	slices.SortFunc(order, func(a, b int) int {
		x, y := storeSeries(a), storeSeries(b)
		return Compare(x.Tenant, x.Labels, y.Tenant, y.Labels)
	})
	for _, k := range order {
		e := storeSeries(k)
		err = errors.Join(w.Series(e.Tenant, e.ID, e.Labels), w.Samples(add[k]),
			w.Exemplars([]model.Exemplar{{T: add[k].T[0], V: float64(gen)}}),
			w.Metadata(e.Tenant, e.Labels.Get("__name__"), model.Metadata{Help: fmt.Sprint(gen)}))
		if err != nil {
			w.Abort()
			return err
		}
	}
	info, err := w.Finish()
	if err != nil {
		return err
	}
	// The floor hides what is below it; the model forgets it at once.
	s.maybe = append(s.maybe, s.want.write(add.above(s.m.State().Floor)))
	if err := s.publish(Edit{Add: []BlockInfo{info}, WALLow: ptr(gen + 1)}); err != nil {
		return err
	}
	s.done()
	return nil
}

func (s *testStore) publish(e Edit) error {
	e.WallMs = s.nowMs
	v, err := s.set.Publish(e)
	if err != nil {
		names := make([]string, len(e.Add))
		for i, b := range e.Add {
			names[i] = b.Name
		}
		s.set.Discard(names...)
		return err
	}
	v.Release()
	return nil
}

// delete adds a tombstone, as the edit of the cut that ends the generation does.
func (s *testStore) delete() error {
	s.ids++
	gen := s.nextGen()
	from := s.nowMs - int64(s.rnd.IntN(3))*model.DayMs + int64(s.rnd.IntN(2000))
	t := Tombstone{
		ID: s.m.State().Number + 1000*s.ids, Tenant: uint32(s.rnd.IntN(2)), Gen: gen,
		Range:    model.TimeRange{Min: from, Max: from + int64(1+s.rnd.IntN(int(model.DayMs)))},
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", fmt.Sprintf("metric_%d_total", s.rnd.IntN(3)))},
	}
	s.maybe = append(s.maybe, s.want.remove(t))
	if err := s.publish(Edit{AddTombstones: []Tombstone{t}, WALLow: ptr(gen + 1), HighGen: gen}); err != nil {
		return err
	}
	s.done()
	return nil
}

// merge does the next merge the planner wants.
func (s *testStore) merge(planNext func([]PlanBlock, PlanOptions) (MergePlan, bool)) (bool, error) {
	ctx := context.Background()
	v := s.set.Acquire()
	defer v.Release()
	plan, ok := planNext(v.PlanBlocks(nil), PlanOptions{
		NowMs: s.nowMs, FreeBytes: math.MaxUint64, WALLow: v.State().WALLow,
		Tombstones: v.State().Tombstones, Concerns: v.Concerns(ctx),
	})
	if !ok {
		return false, nil
	}
	out, err := Merge(ctx, v, plan, v.State().Tombstones, s.opts)
	if err != nil {
		return false, err
	}
	s.last = out
	return true, s.publish(out.Edit(s.nowMs))
}

// mergeAll brings everything to its final form.
func (s *testStore) mergeAll() error {
	for {
		if more, err := s.merge(PlanFinal); !more || err != nil {
			return err
		}
	}
}

// retire moves the retention floor and drops what nothing needs any more.
func (s *testStore) retire() error {
	e, ok := PlanRetention(s.m.State(), RetentionTarget(s.nowMs, 4*model.DayMs), 0)
	if ok {
		next := s.want
		if e.Floor != nil {
			next = next.above(*e.Floor)
		}
		s.maybe = append(s.maybe, next)
		if err := s.publish(e); err != nil {
			return err
		}
		s.done()
	}
	v := s.set.Acquire()
	defer v.Release()
	if spent := SpentTombstones(v.State(), v.Concerns(context.Background())); len(spent) > 0 {
		return s.publish(Edit{DropTombstones: spent})
	}
	return nil
}

// sweep removes files; the WAL names an edit before they go.
func (s *testStore) sweep() error {
	s.sweeps++
	now := time.Unix(0, 0).Add(time.Duration(s.sweeps) * time.Hour) // what failed before is tried again
	_, err := s.set.Sweep(now, func(edit uint64) error {
		s.named = max(s.named, edit)
		return nil
	})
	return err
}

// step does something at random.
func (s *testStore) step() error {
	s.nowMs += int64(s.rnd.IntN(int(6 * model.HourMs)))
	if err := s.m.Err(); err != nil {
		return err // as the database does: a block that no edit can list is not written
	}
	switch s.rnd.IntN(12) {
	case 0, 1, 2, 3, 4:
		return s.cut()
	case 5:
		return s.delete()
	case 6:
		return s.retire()
	case 7:
		return s.sweep()
	case 8:
		return s.mergeAll()
	default:
		_, err := s.merge(PlanMerge)
		return err
	}
}

// read returns what the blocks hold, as a query would see it.
func (s *testStore) read(v *Version) (contents, error) {
	c := contents{}
	ctx := context.Background()
	for _, e := range v.Entries() {
		if e.Err() != nil {
			return nil, e.Err()
		}
		var damage error
		err := e.Block().Check(ctx, func(off int64, what string) { damage = fmt.Errorf("%s@%d: %s", e.Name, off, what) })
		if err = errors.Join(err, damage); err != nil {
			return nil, err
		}
		dead, err := e.Deletions(ctx, v.State().Tombstones)
		if err != nil {
			return nil, err
		}
		for ord := range uint32(e.Series) {
			se, err := e.Block().Series(ord)
			if err != nil {
				return nil, err
			}
			k, ok := seriesNumbers[se.ID]
			if !ok {
				return nil, fmt.Errorf("unknown series %v", se.Labels)
			}
			var smp, merged model.Samples
			if err := samplesOf(ctx, e.Block(), ord, v.State().Kept(), &smp); err != nil {
				return nil, err
			}
			dead.Ranges(ord, nil).Remove(&smp, 0)
			if c[k] == nil {
				c[k] = &model.Samples{}
			}
			model.Merge(&merged, c[k], &smp)
			c[k] = &merged
		}
	}
	return c, nil
}

// check holds what the blocks hold against the model.
func (s *testStore) check() error {
	v := s.set.Acquire()
	defer v.Release()
	if err := checkOrder(v.State()); err != nil {
		return err
	}
	got, err := s.read(v)
	if err != nil {
		return err
	}
	why := got.diff(s.want)
	for _, m := range s.maybe {
		if why != "" && got.diff(m) == "" {
			return nil
		}
	}
	if why != "" {
		return errors.New(why)
	}
	return nil
}
