package crash

import (
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"tsdb/internal/doctortest"
	"tsdb/internal/vfs"
)

// A crashState is the file system after a power cut and the ledger at that time.
type crashState struct {
	op     int
	what   string
	mode   vfs.CrashOptions
	fs     *vfs.Mem
	ledger ledger
	at     time.Time
}

// crashStates runs the workload once and clones, before every file operation that
// changes something, the state a power cut would leave: with everything unsynced lost,
// with half of its sectors kept, and torn. It calls visit with each distinct state of a
// step, until visit returns false.
func crashStates(t *testing.T, seed int64, skip func(vfs.Op) bool, visit func(crashState) bool) (ops, states int) {
	mem := doctortest.NewMem(t)
	fault := vfs.NewFault(mem)
	fault.Count(vfs.MutatingOps)
	w := newWorld(fault, seed)
	rng := rand.New(rand.NewSource(seed))
	type frame struct {
		op   vfs.Op
		fs   *vfs.Mem
		mode vfs.CrashOptions
	}
	var mu sync.Mutex // operations come from several goroutines
	var frames []frame
	fault.SetHook(func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		ops++
		for _, mode := range []vfs.CrashOptions{
			{Mode: vfs.CrashLose},
			{Mode: vfs.CrashSectors, Keep: 0.5, Rand: rand.New(rand.NewSource(rng.Int63()))},
			{Mode: vfs.CrashTorn, Rand: rand.New(rand.NewSource(rng.Int63()))},
		} {
			frames = append(frames, frame{op, mem.CrashClone(mode), mode})
		}
		return nil
	})
	if skip != nil {
		fault.Skip(skip)
	}
	// The states of one step share the acknowledgements made before it; writes of the
	// step itself may or may not be there.
	drain := func(promised ledger) bool {
		mu.Lock()
		list, n := frames, ops
		frames = nil
		mu.Unlock()
		seen := distinct{}
		for _, f := range list {
			if states++; !seen.add(f.fs) {
				continue
			}
			if !visit(crashState{op: n, what: f.op.String(), mode: f.mode, fs: f.fs, ledger: promised, at: w.clock.Now()}) {
				return false
			}
		}
		return true
	}
	if err := w.open(); err != nil {
		t.Fatalf("open: %v", err)
	}
	if !drain(ledger{}) {
		return ops, states
	}
	for i, step := range w.steps(36) {
		promised := w.ledger.clone()
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		// Whatever the step sent was in flight at some of its operations.
		promised.doubtful(w.lastSent)
		w.lastSent = nil
		if !drain(promised) {
			return ops, states
		}
	}
	w.abandon()
	fault.SetHook(nil)
	return ops, states
}

// After a power cut at any file operation every acknowledged sample is there once,
// with the same bits, and nothing else is; a second open finds the same.
func TestPowerCutAtEveryOperationLosesNothing(t *testing.T) {
	checked := 0
	ops, states := crashStates(t, 1, nil, func(s crashState) bool {
		checked++
		if err := reopened(s.fs, s.at, s.ledger); err != nil {
			t.Errorf("power cut (%v) before %s, operations so far %d: %v", s.mode.Mode, s.what, s.op, err)
			return false
		}
		return true
	})
	fmt.Printf("crash test: %d file operations, %d states, %d of them distinct\n", ops, states, checked)
	if ops < 400 || states < 1200 {
		t.Errorf("%d operations and %d states, want at least 400 and 1200", ops, states)
	}
}

// The test above must fail if a sync that durability depends on is missing.
func TestPowerCutTestSeesMissingSyncs(t *testing.T) {
	isWAL := func(o vfs.Op) bool { return strings.Contains(o.Name, "/wal/") }
	isBlock := func(o vfs.Op) bool { return strings.HasSuffix(o.Name, ".tsb") }
	for _, m := range []struct {
		name string
		skip func(vfs.Op) bool
	}{
		{"sync of the log before the reply", func(o vfs.Op) bool { return o.Kind == vfs.OpSync && isWAL(o) }},
		{"sync of directories", func(o vfs.Op) bool { return o.Kind == vfs.OpSyncDir }},
		{"sync of a block before the edit that lists it", func(o vfs.Op) bool { return o.Kind == vfs.OpSync && isBlock(o) }},
	} {
		t.Run(m.name, func(t *testing.T) {
			seen := false
			crashStates(t, 1, m.skip, func(s crashState) bool {
				seen = reopened(s.fs, s.at, s.ledger) != nil
				return !seen
			})
			if !seen {
				t.Errorf("left out: %s; no state of the crash test turned red", m.name)
			}
		})
	}
	t.Run("cut of a torn tail", func(t *testing.T) {
		seen := false
		crashStates(t, 1, nil, func(s crashState) bool {
			fault := vfs.NewFault(s.fs)
			fault.Skip(func(o vfs.Op) bool { return o.Kind == vfs.OpTruncate && isWAL(o) })
			seen = reopened(fault, s.at, s.ledger) != nil
			return !seen
		})
		if !seen {
			t.Error("left out: cut of a torn tail; no state of the crash test turned red")
		}
	})
}
