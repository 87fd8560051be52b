package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/doctortest"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
)

// phases are the work of the tests below. What is written does not change while run
// runs, so that every state inside of it must have the same answers, or none where
// the retention is over.
func phases() []historyPhase {
	all := []int{0, 1, 2, 3}
	compact := func(h *history) error { _, err := h.db.Compact(context.Background()); return err }
	after := func(d time.Duration) func(h *history) error {
		return func(h *history) error {
			h.clock.Advance(d)
			return errors.Join(h.db.Retain(context.Background()), compact(h))
		}
	}
	nothing := func(*history) error { return nil }
	return []historyPhase{
		{"roll", func(h *history) error {
			h.clock.Advance(48 * time.Hour)
			return errors.Join(h.write(0, 3, all...), h.write(1, 3, all...), h.write(2, 3, all...))
		}, compact},
		{"roll again after late samples", func(h *history) error { return errors.Join(h.write(0, 9, 1), h.write(1, 9, 0, 2)) }, compact},
		{"samples expire", nothing, after(61 * time.Hour)},
		{"more samples expire", func(h *history) error { return errors.Join(h.write(4, 3, all...), h.write(5, 1, 3)) }, after(36 * time.Hour)},
		{"minutes expire", func(h *history) error { return h.write(5, 6, all...) }, after(30 * time.Hour)},
		{"tiers are off", func(h *history) error {
			h.abandon()
			h.tiers = map[block.Tier]int64{block.Hour: 0}
			return errors.Join(h.open(), h.write(5, 12, 0, 1))
		}, compact},
	}
}

// makeSixHours has the history make buckets of six hours too.
func (h *history) makeSixHours() {
	h.tiers = maps.Clone(options(nil).TierRetentionMs)
	h.tiers[block.Hours6], h.more = 0, []block.Tier{block.Hours6}
}

type historyPhase struct {
	name    string
	prepare func(h *history) error // without faults
	run     func(h *history) error
}

// isChange reports whether an operation is about blocks or the MANIFEST: others are
// those of the log, whose faults the other tests of this package enumerate.
func isChange(op vfs.Op) bool {
	return strings.HasSuffix(op.Name, ".tsb") || strings.Contains(op.Name, "MANIFEST") || op.Kind == vfs.OpSyncDir || op.Kind == vfs.OpRename
}

// After a power cut at any operation while days are rolled up, expire and lose a tier,
// every answer is complete or, where its retention is over, gone, and the work ends
// as it would have.
func TestPowerCutsWhileSamplesExpire(t *testing.T) {
	mem := doctortest.NewMem(t)
	fault := vfs.NewFault(mem)
	fault.Count(vfs.MutatingOps)
	h := &history{world: newWorld(fault, 1), samples: map[string]map[int64]float64{}}
	h.makeSixHours()
	must(t, h.open())
	defer func() { h.abandon() }()
	rnd := rand.New(rand.NewSource(1))
	states := 0
	type frame struct {
		op   vfs.Op
		fs   *vfs.Mem
		mode vfs.CrashMode
	}
	for _, phase := range phases() {
		must(t, phase.prepare(h))
		var mu sync.Mutex // operations come from several goroutines
		var frames []frame
		fault.SetHook(func(op vfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if !isChange(op) {
				return nil
			}
			mode := vfs.CrashOptions{Mode: vfs.CrashLose}
			if rnd.Intn(3) == 0 {
				mode = vfs.CrashOptions{Mode: vfs.CrashSectors, Keep: 0.5, Rand: rand.New(rand.NewSource(rnd.Int63()))}
			}
			if states++; testing.Short() && states%8 != 0 {
				return nil
			}
			frames = append(frames, frame{op, mem.CrashClone(mode), mode.Mode})
			return nil
		})
		err := phase.run(h)
		fault.SetHook(nil)
		must(t, err)
		must(t, h.rewritten())
		want, err := h.allAnswers()
		must(t, err)
		seen := distinct{}
		for _, f := range frames {
			if !seen.add(f.fs) {
				continue
			}
			if err := h.on(f.fs).settles(want); err != nil {
				t.Errorf("%s: power cut (%v) before %v: %v", phase.name, f.mode, f.op, err)
				return
			}
		}
		t.Logf("%s: %d states, %d of them distinct; days of series in the end: %v", phase.name, len(frames), len(seen), want)
	}
	if states < 200 {
		t.Errorf("%d states", states)
	}
}

// Each operation fails once while samples expire: the step fails or not, no answer is
// wrong, and after a restart the work is done.
func TestFaultsWhileSamplesExpire(t *testing.T) {
	mem := doctortest.NewMem(t)
	base := &history{world: newWorld(mem, 1), samples: map[string]map[int64]float64{}}
	base.makeSixHours()
	must(t, base.open())
	stride := 3
	if testing.Short() {
		stride = 17
	}
	faults := 0
	for _, phase := range phases() {
		must(t, phase.prepare(base))
		before := mem.CrashClone(vfs.CrashOptions{})
		at := base.clock.Now()
		must(t, phase.run(base))
		want, err := base.allAnswers()
		must(t, err)
		for k := 1 + faults%stride; ; k += stride {
			after := before.CrashClone(vfs.CrashOptions{})
			fault := vfs.NewFault(after)
			h := base.on(fault)
			h.clock = vfs.NewManualClock(at)
			must(t, h.open())
			var n int
			var failed vfs.Op
			var mu sync.Mutex
			fault.SetHook(func(op vfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if !isChange(op) {
					return nil
				}
				if n++; n != k {
					return nil
				}
				failed = op
				return syscall.EIO
			})
			runErr := phase.run(h)
			fault.SetHook(nil)
			what := fmt.Sprintf("%s: operation %d (%v) fails, and so the step: %v", phase.name, k, failed, runErr)
			if failed.Name == "" {
				h.abandon()
				must(t, runErr)
				break
			}
			faults++
			if _, err := h.allAnswers(); err != nil && !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: %v", what, err)
			}
			h.abandon()
			if err := base.on(after.CrashClone(vfs.CrashOptions{})).settles(want); err != nil {
				t.Errorf("%s: after the next start: %v", what, err)
			}
			if t.Failed() {
				return
			}
		}
	}
	base.abandon()
	t.Logf("%d faults", faults)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
