package rollup

import (
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"syscall"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
)

// The workload of these tests makes rollups of every kind: days that are rolled up,
// rolled up again, and folded; a day that a tier gives up; rows that a deletion takes
// after the samples have left. The samples change between its parts only, so that
// every state inside of a part must hold the same.
type rollPart struct {
	name    string
	prepare func(s *store) error // without faults
	run     func(s *store) error
}

func rollParts() []rollPart {
	final := func(s *store) error { return s.merged(compaction.PlanFinal) }
	all := func(s *store) error { _, err := s.rolled(true); return errors.Join(err, s.sweep()) }
	small := func(s *store, day int64, numbers ...int) error {
		add := contents{}
		for _, k := range numbers {
			add[k] = s.samplesOf(k, day0+day*model.DayMs+model.HourMs-5, 10*model.MinuteMs)
		}
		return s.cut(add)
	}
	return []rollPart{
		{"roll and fold", func(s *store) error {
			s.nowMs = day0 + 5*model.DayMs
			return errors.Join(small(s, 0, 0, 1, 2, 4), small(s, 1, 0, 3), small(s, 2, 1, 3), final(s))
		}, all},
		{"roll again", func(s *store) error {
			return errors.Join(small(s, 1, 1, 4), small(s, 2, 0), final(s),
				s.delete(0, model.TimeRange{Min: day0 + model.HourMs, Max: day0 + model.HourMs + 70_000}))
		}, all},
		{"uncover", func(*store) error { return nil }, func(s *store) error {
			st := s.m.State()
			key := manifest.CoverKey{Tier: block.Minute, Day: day0}
			if _, ok := st.Coverage[key]; !ok || st.TierFloor(block.Minute) > day0 {
				return nil
			}
			r := Result{Uncover: []manifest.CoverKey{key}}
			return errors.Join(s.publish(r.Edit(st)), s.sweep())
		}},
		{"roll what was uncovered", func(*store) error { return nil }, all},
		{"erase", func(s *store) error {
			return errors.Join(s.retire(1), s.delete(0, model.TimeRange{Min: day0, Max: day0 + model.HourMs + 90_000}))
		}, all},
	}
}

// reopenedStore returns a store on a file system that a crash has left.
func (s *store) reopenedStore(fs vfs.FS) *store {
	n := newStore(s.t, fs)
	n.nowMs, n.gen, n.ids, n.named, n.floor = s.nowMs, s.gen, s.ids, s.named, s.floor
	n.want = maps.Clone(s.want)
	return n
}

// settled opens the store and checks it before and after everything is made that is
// left to do; no file may be left then that no edit lists.
func (s *store) settled() (err error) {
	if err := s.open(); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.check(false); err != nil {
		return fmt.Errorf("after the start: %w", err)
	}
	if _, err := s.rolled(true); err != nil {
		return fmt.Errorf("continue: %w", err)
	}
	if err := errors.Join(s.check(true), s.sweep()); err != nil {
		return fmt.Errorf("in the end: %w", err)
	}
	if n := len(s.keys()); n != len(s.m.State().Blocks) {
		return fmt.Errorf("%d files of %d blocks: %v", n, len(s.m.State().Blocks), s.keys())
	}
	return nil
}

// After a power cut at any operation of a step the store opens, is right, and the work
// is done again.
func TestPowerCutsInRollups(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	fault.Count(vfs.MutatingOps)
	s := newStore(t, fault)
	must(t, s.open())
	defer func() { must(t, s.close()) }()
	rnd := rand.New(rand.NewSource(1))
	states := 0
	for _, part := range rollParts() {
		must(t, part.prepare(s))
		fault.SetHook(func(op vfs.Op) error {
			for _, mode := range []vfs.CrashOptions{
				{Mode: vfs.CrashLose},
				{Mode: vfs.CrashSectors, Keep: 0.5, Rand: rand.New(rand.NewSource(rnd.Int63()))},
			} {
				states++
				if testing.Short() && states%5 != 0 {
					continue
				}
				if err := s.reopenedStore(mem.CrashClone(mode)).settled(); err != nil {
					t.Errorf("%s: power cut (%v) before %v: %v", part.name, mode.Mode, op, err)
				}
			}
			return nil
		})
		err := part.run(s)
		fault.SetHook(nil)
		must(t, err)
		must(t, s.check(part.name != "uncover"))
	}
	if t.Logf("%d states", states); states < 100 {
		t.Errorf("%d states", states)
	}
}

// Every operation of a step fails once: the step fails or not, no state is wrong, and
// the work is done when it is tried again.
func TestFaultsInRollups(t *testing.T) {
	faults := 0
	mem := vfs.NewMem()
	base := newStore(t, mem)
	must(t, base.open())
	for _, part := range rollParts() {
		must(t, errors.Join(part.prepare(base), base.close()))
		for k, more := 1, true; more; k++ {
			more = false
			for _, fail := range []error{syscall.EIO, syscall.ENOSPC} {
				if testing.Short() && k%5 != 0 {
					more = k < 300
					continue
				}
				after := mem.CrashClone(vfs.CrashOptions{})
				fault := vfs.NewFault(after)
				s := base.reopenedStore(fault)
				must(t, s.open())
				n := 0
				var failed vfs.Op
				fault.SetHook(func(op vfs.Op) error {
					if n++; n != k || fail == syscall.ENOSPC && op.Kind != vfs.OpWrite && op.Kind != vfs.OpCreate {
						return nil
					}
					failed = op
					return fail
				})
				err := part.run(s)
				fault.SetHook(nil)
				if more = more || n >= k; failed.Name == "" {
					must(t, errors.Join(err, s.close()))
					continue
				}
				faults++
				what := fmt.Sprintf("%s: operation %d (%v) fails with %v", part.name, k, failed, fail)
				if s.m.Err() == nil {
					if _, again := s.rolled(true); again != nil {
						t.Errorf("%s: %v, then %v", what, err, again)
					}
					if err := s.check(part.name != "uncover"); err != nil {
						t.Errorf("%s: %v", what, err)
					}
				}
				_ = s.close() // an error of a file that could not be read
				if err := s.reopenedStore(after.CrashClone(vfs.CrashOptions{})).settled(); err != nil {
					t.Errorf("%s: after the next start: %v", what, err)
				}
			}
		}
		must(t, errors.Join(base.open(), part.run(base)))
	}
	must(t, base.close())
	if t.Logf("%d faults", faults); faults < 200 && !testing.Short() {
		t.Errorf("%d faults", faults)
	}
}
