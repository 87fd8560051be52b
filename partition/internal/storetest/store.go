package storetest

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
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/compaction"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

// Store is a manifest and a set of real, tiny blocks, with a model beside
// them that says what they must hold: a cut writes an L0 of random samples, a
// deletion makes a tombstone, merges and retention run as the planner says, and days
// are rolled up.
type Store struct {
	sweeps int // calls of sweep
	T      testing.TB
	Fs     vfs.FS
	Rnd    *rand.Rand
	Set    *blockset.Set
	M      *manifest.Manifest
	NowMs  int64
	gen    uint64 // last generation that was cut
	Named  uint64 // edit that the WAL names

	Want  Contents
	Maybe []Contents // what else may be found, while an operation is under way
	ids   uint64     // last tombstone
	Opts  compaction.Options
	Small bool // no chunks that are worth copying
	// Obsolete is called when Sweep has something to do, if set before open.
	Obsolete func()
	Last     *compaction.Merged // of the last merge
}

// Contents are the samples of every series, by number.
type Contents map[int]*model.Samples

func (c Contents) clone() Contents {
	n := Contents{}
	for k, s := range c {
		n[k] = &model.Samples{}
		n[k].AppendRange(s, 0, s.Len())
	}
	return n
}

// write returns the contents with newer samples written over them.
func (c Contents) write(newer Contents) Contents {
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

// Remove returns the contents without the samples a tombstone deletes.
func (c Contents) Remove(t manifest.Tombstone) Contents {
	n := c.clone()
	for k, s := range n {
		e := Series(k)
		matches := e.Tenant == t.Tenant
		for _, m := range t.Matchers {
			matches = matches && m.Matches(e.Labels.Get(m.Name))
		}
		if matches {
			block.DeletedRanges{t.Range}.Remove(s, 0)
		}
	}
	return n
}

// Above returns what is kept with a retention floor.
func (c Contents) Above(floor int64) Contents {
	n := c.clone()
	kept := manifest.KeptAbove(floor)
	for k, s := range n {
		i := s.Search(kept.Min)
		inside := s.Slice(i, max(i, s.Search(kept.Max)))
		n[k] = &inside
	}
	return n
}

func (c Contents) Diff(want Contents) string {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		got := c[k]
		if got == nil {
			got = &model.Samples{}
		}
		if d := partitiontest.DiffSamples(got, want[k]); d != "" {
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

const SeriesMax = 14

// Series returns the series of a number.
func Series(k int) block.SeriesEntry {
	e := block.SeriesEntry{Tenant: uint32(k / 12)}
	e.Labels = labels.FromStrings("__name__", fmt.Sprintf("metric_%d_total", k%3), "instance", fmt.Sprint(k/3), "job", fmt.Sprint(k%2))
	e.ID, _ = model.IdentityOf(partitiontest.IDSeed, e.Tenant, e.Labels, nil)
	return e
}

// SeriesNumbers finds the number of a series.
var SeriesNumbers = func() map[model.Identity]int {
	m := map[model.Identity]int{}
	for k := range SeriesMax {
		m[Series(k).ID] = k
	}
	return m
}()

func New(t testing.TB, fsys vfs.FS, seed uint64) *Store {
	s := &Store{T: t, Fs: fsys, Rnd: rand.New(rand.NewPCG(seed, 2)), Want: Contents{}, NowMs: partitiontest.TestDay}
	s.Opts = compaction.Options{BlockSeries: 1 + s.Rnd.IntN(5), Outputs: 1 + s.Rnd.IntN(3)}
	return s
}

// Open makes or opens the database, as a program would at its start.
func (s *Store) Open() error {
	m, err := manifest.Open(s.Fs, "d", s.Named)
	if errors.Is(err, fs.ErrNotExist) {
		m, err = manifest.Create(s.Fs, "d", partitiontest.IDSeed, s.NowMs)
	}
	if err != nil {
		return err
	}
	set, err := blockset.Open(objstore.NewDir(s.Fs, "d"), m, blockset.Options{Obsolete: s.Obsolete})
	if err != nil {
		return errors.Join(err, m.Close())
	}
	s.M, s.Set = m, set
	left, err := set.CleanUp(func(lo, hi uint64) bool { return lo >= m.State().WALLow })
	if err != nil {
		return errors.Join(err, s.Close())
	}
	for _, l := range left {
		if l.MovedTo != "" {
			return errors.Join(fmt.Errorf("%s was moved to %s: %s", l.Name, l.MovedTo, l.Reason), s.Close())
		}
	}
	return nil
}

func (s *Store) Close() error {
	if s.Set == nil {
		return nil
	}
	err := errors.Join(s.Set.Close(), s.M.Close())
	s.Set, s.M = nil, nil
	return err
}

// Done makes the last of what may be found what must be.
func (s *Store) Done() {
	s.Want, s.Maybe = s.Maybe[len(s.Maybe)-1], nil
}

// randomContents makes samples of some series, most of them at or behind now.
func (s *Store) randomContents() Contents {
	c := Contents{}
	for k := range SeriesMax {
		if s.Rnd.IntN(3) == 0 {
			continue
		}
		smp := &model.Samples{}
		at := s.NowMs - int64(s.Rnd.IntN(3))*model.DayMs*int64(s.Rnd.IntN(2)) + int64(s.Rnd.IntN(1000))
		n := 1 + s.Rnd.IntN(12)
		if !s.Small && s.Rnd.IntN(12) == 0 {
			n = 3000 + s.Rnd.IntN(4000) // chunks worth copying
		}
		step := int64(1 + s.Rnd.IntN(20)*s.Rnd.IntN(500))
		kind := s.Rnd.IntN(8)
		for i := range n {
			v := float64(i * s.Rnd.IntN(4))
			var h model.Histogram
			st := int64(0)
			switch {
			case s.Rnd.IntN(20) == 0:
				v = math.Float64frombits(value.StaleNaN)
			case kind == 0 && n < 100 && s.Rnd.IntN(2) == 0:
				v, h = 0, partitiontest.RandomHistogram(s.Rnd)
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

// NextGen ends a generation. Its number is not given out again even if the edit
// fails, because that edit may be found to have happened.
func (s *Store) NextGen() uint64 {
	s.gen = max(s.gen, s.M.State().HighGen) + 1
	return s.gen
}

// Cut writes an L0 of random samples and publishes it.
func (s *Store) Cut() error { return s.CutOf(s.randomContents()) }

// CutOf writes an L0 of new samples and publishes it. Every series gets an
// exemplar at its first sample, every metric a text, that name the generation.
func (s *Store) CutOf(add Contents) error {
	if len(add) == 0 {
		return nil
	}
	gen := s.NextGen()
	w, err := block.Create(objstore.NewDir(s.Fs, "d"), block.Meta{Key: block.SpanningKey(block.L0), MinGen: gen, MaxGen: gen}, block.WriterOptions{})
	if err != nil {
		return err
	}
	order := slices.Collect(maps.Keys(add))
	slices.SortFunc(order, func(a, b int) int {
		x, y := Series(a), Series(b)
		return block.Compare(x.Tenant, x.Labels, y.Tenant, y.Labels)
	})
	for _, k := range order {
		e := Series(k)
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
	s.Maybe = append(s.Maybe, s.Want.write(add.Above(s.M.State().Floor)))
	if err := s.Publish(manifest.Edit{Add: []block.Info{info}, WALLow: partitiontest.Ptr(gen + 1)}); err != nil {
		return err
	}
	s.Done()
	return nil
}

func (s *Store) Publish(e manifest.Edit) error {
	e.WallMs = s.NowMs
	v, err := s.Set.Publish(e)
	if err != nil {
		names := make([]string, len(e.Add))
		for i, b := range e.Add {
			names[i] = b.Name
		}
		s.Set.Discard(names...)
		return err
	}
	v.Release()
	return nil
}

// delete adds a tombstone, as the edit of the cut that ends the generation does.
func (s *Store) delete() error {
	s.ids++
	gen := s.NextGen()
	from := s.NowMs - int64(s.Rnd.IntN(3))*model.DayMs + int64(s.Rnd.IntN(2000))
	t := manifest.Tombstone{
		ID: s.M.State().Number + 1000*s.ids, Tenant: uint32(s.Rnd.IntN(2)), Gen: gen,
		Range:    model.TimeRange{Min: from, Max: from + int64(1+s.Rnd.IntN(int(model.DayMs)))},
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", fmt.Sprintf("metric_%d_total", s.Rnd.IntN(3)))},
	}
	s.Maybe = append(s.Maybe, s.Want.Remove(t))
	if err := s.Publish(manifest.Edit{AddTombstones: []manifest.Tombstone{t}, WALLow: partitiontest.Ptr(gen + 1), HighGen: gen}); err != nil {
		return err
	}
	s.Done()
	return nil
}

// Merge does the next merge the planner wants.
func (s *Store) Merge(planNext func([]compaction.Candidate, compaction.PlanOptions) (compaction.Plan, bool)) (bool, error) {
	ctx := context.Background()
	v := s.Set.Acquire()
	defer v.Release()
	plan, ok := planNext(compaction.Candidates(v, nil), compaction.PlanOptions{
		NowMs: s.NowMs, FreeBytes: math.MaxUint64, WALLow: v.State().WALLow,
		Tombstones: v.State().Tombstones, Concerns: v.Concerns(ctx), Floor: v.State().Floor, Expired: v.Expired(ctx),
	})
	if !ok {
		return false, nil
	}
	out, err := compaction.Merge(ctx, v, plan, v.State().Tombstones, s.Opts)
	if err != nil {
		return false, err
	}
	s.Last = out
	return true, s.Publish(out.Edit(s.NowMs))
}

// MergeAll brings everything to its final form.
func (s *Store) MergeAll() error {
	for {
		if more, err := s.Merge(compaction.PlanFinal); !more || err != nil {
			return err
		}
	}
}

// Retire moves the retention floor and drops what nothing needs any more.
func (s *Store) Retire() error {
	v := s.Set.Acquire()
	defer v.Release()
	ctx := context.Background()
	e, ok := compaction.PlanRetention(s.M.State(), compaction.RetentionOptions{
		Raw: compaction.RetentionTarget(s.NowMs, rawRetentionMs), HeadMin: math.MaxInt64, Concerns: v.Concerns(ctx), StandsIn: v.StandsIn(ctx),
		Tiers: map[block.Tier]int64{block.Minute: compaction.RetentionTarget(s.NowMs, minuteRetentionMs), block.Hour: manifest.NoFloor},
	})
	if ok {
		s.Maybe = append(s.Maybe, s.kept(s.M.State().Apply(e)))
		if err := s.Publish(e); err != nil {
			return err
		}
		s.Done()
	}
	now := s.Set.Acquire()
	defer now.Release()
	if spent := manifest.SpentTombstones(now.State(), now.Concerns(ctx)); len(spent) > 0 {
		return s.Publish(manifest.Edit{DropTombstones: spent})
	}
	return nil
}

// Sweep removes files; the WAL names an edit before they go.
func (s *Store) Sweep() error {
	s.sweeps++
	now := time.Unix(0, 0).Add(time.Duration(s.sweeps) * time.Hour) // what failed before is tried again
	_, err := s.Set.Sweep(context.Background(), now, func(edit uint64) error {
		s.Named = max(s.Named, edit)
		return nil
	})
	return err
}

// Step does something at random.
func (s *Store) Step() error {
	s.NowMs += int64(s.Rnd.IntN(int(6 * model.HourMs)))
	if err := s.M.Err(); err != nil {
		return err // as the database does: a block that no edit can list is not written
	}
	switch s.Rnd.IntN(14) {
	case 0, 1, 2, 3, 4:
		return s.Cut()
	case 5:
		return s.delete()
	case 6:
		return s.Retire()
	case 7:
		return s.Sweep()
	case 8, 9:
		return s.MergeAll()
	case 10:
		return s.RollUp()
	default:
		_, err := s.Merge(compaction.PlanMerge)
		return err
	}
}

// read returns what the blocks hold, as a query would see it.
func (s *Store) read(v *blockset.Version) (Contents, error) {
	c := Contents{}
	ctx := context.Background()
	for _, e := range v.Raw() {
		if e.Err() != nil {
			return nil, e.Err()
		}
		var damage error
		err := e.Block().Check(ctx, func(off int64, what string) { damage = fmt.Errorf("%s@%d: %s", e.Name, off, what) })
		if err = errors.Join(err, damage); err != nil {
			return nil, err
		}
		dead, err := v.Deletions(ctx, e, v.State().Tombstones)
		if err != nil {
			return nil, err
		}
		for ord := range uint32(e.Series) {
			se, err := e.Block().Series(ord)
			if err != nil {
				return nil, err
			}
			k, ok := SeriesNumbers[se.ID]
			if !ok {
				return nil, fmt.Errorf("unknown series %v", se.Labels)
			}
			var smp, merged model.Samples
			if err := partitiontest.SamplesOf(ctx, e.Block(), ord, v.State().Kept(), &smp); err != nil {
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

// Check holds what the blocks hold against the model.
func (s *Store) Check() error {
	v := s.Set.Acquire()
	defer v.Release()
	if err := v.State().Check(); err != nil {
		return err
	}
	got, err := s.read(v)
	if err != nil {
		return err
	}
	why := got.Diff(s.Want)
	for _, m := range s.Maybe {
		if why != "" && got.Diff(m) == "" {
			return nil
		}
	}
	if why != "" {
		return errors.New(why)
	}
	return nil
}

// Open returns an empty store with default options.
func Open(t testing.TB, fsys vfs.FS) *Store {
	s := New(t, fsys, 1)
	s.Opts = compaction.Options{}
	partitiontest.Must(t, s.Open())
	t.Cleanup(func() { partitiontest.Must(t, s.Close()) })
	return s
}

// Ticks returns n samples from a time on, step apart, whose values follow from
// their times and v.
func Ticks(from, step int64, n int, v float64) *model.Samples {
	s := &model.Samples{}
	for i := range int64(n) {
		s.Append(from+i*step, 0, v+float64(i%17), model.Histogram{})
	}
	return s
}
