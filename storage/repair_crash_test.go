package storage

import (
	"fmt"
	"math/rand"
	"syscall"
	"testing"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/storage/doctor"
)

// Strategy: the power is cut before each operation of a repair, and each operation fails
// once, on directories whose retention rules only the footers of blocks, or records that
// are left of the MANIFEST, still tell. Invariants: a repeated repair succeeds, what the
// rules hid stays hidden, all else is there, and the directory passes the check.
func TestRepairStandsPowerCutsAndFaults(t *testing.T) {
	w := newFileWorld(t)
	w.opts.RetentionMs = 30 * model.DayMs
	w.restart()
	for i := range 4 {
		w.write(i, every(dayAt(5)+7, 1000, []int{200, 5, 5, 5}[i]), every(dayAt(1)+7, 1000, 10))
	}
	w.compact()
	must(t, w.db.SetRetention(w.ctx, Retention{RawMs: 30 * model.DayMs, Rules: []RetentionRule{only(1, 3*model.DayMs, 0)}}))
	must(t, w.db.SetRetention(w.ctx, Retention{RawMs: 30 * model.DayMs}))
	w.roll(dayAt(1), rollForm{}, block.Hour) // a footer after the rules
	const hidden = "[0:210 1:10 2:15 3:15] [0 1 2 3]"
	if got := w.counts(); got != hidden {
		t.Fatalf("with rules %s, want %s", got, hidden)
	}
	closeUncut(w.db)
	whole := w.mem.Clone()
	w.open()
	rng := rand.New(rand.NewSource(1))
	repair := func(fs vfs.FS) error {
		_, err := doctor.Repair(t.Context(), fs, "data", doctor.RepairOptions{Apply: true, Clock: w.clock, AssumeNoDeletes: true})
		return err
	}
	settles := func(mem *vfs.Mem, what string) {
		t.Helper()
		if err := repair(mem); err != nil {
			t.Fatalf("%s: a repeated repair: %v", what, err)
		}
		n := &tieredWorld{t: t, ctx: t.Context(), mem: mem, clock: w.clock, opts: w.opts}
		doctortest.Check(t, mem, "data")
		n.open()
		got := n.counts()
		closeUncut(n.db)
		if got != hidden || t.Failed() {
			t.Fatalf("%s: %s, want %s", what, got, hidden)
		}
	}
	for name, damage := range map[string]func(files [][]byte) [][]byte{
		"both copies gone":      func([][]byte) [][]byte { return [][]byte{nil, nil} },
		"both copies cut off":   func(f [][]byte) [][]byte { return [][]byte{f[0][:len(f[0])/2], f[1][:len(f[1])/3]} },
		"a byte of one changed": func(f [][]byte) [][]byte { f[0][len(f[0])/2] ^= 1; return f },
	} {
		lost := whole.Clone()
		damageManifest(t, lost, rng, func(_ *rand.Rand, f [][]byte) [][]byte { return damage(f) })
		lost = lost.CrashClone(vfs.CrashOptions{Mode: vfs.CrashSectors, Keep: 1, Rand: rng}) // all of it is durable
		settles(lost.Clone(), name)

		mem := lost.Clone()
		fault := vfs.NewFault(mem)
		fault.Count(vfs.MutatingOps)
		type state struct {
			op string
			fs *vfs.Mem
		}
		var states []state
		fault.SetHook(func(op vfs.Op) error {
			for _, mode := range []vfs.CrashOptions{{}, {Mode: vfs.CrashSectors, Keep: 0.5, Rand: rng}, {Mode: vfs.CrashTorn, Rand: rng}} {
				states = append(states, state{op.String(), mem.CrashClone(mode)})
			}
			return nil
		})
		must(t, repair(fault))
		fault.SetHook(nil)
		for i, s := range states {
			if i%unlessShort(1, 4) == 0 {
				settles(s.fs, name+", power cut before "+s.op)
			}
		}
		faults := 0
		for k := 1; ; k += unlessShort(1, 5) {
			mem := lost.Clone()
			fault := vfs.NewFault(mem)
			fault.FailAt(k, []error{syscall.EIO, vfs.ErrShortWrite}[k%2])
			err := repair(fault)
			done := fault.N() < k
			fault.SetHook(nil)
			if done && err != nil {
				t.Fatalf("%s, without a fault: %v", name, err)
			}
			settles(mem, fmt.Sprintf("%s, operation %d fails, and so the repair: %v", name, k, err))
			if faults++; done {
				break
			}
		}
		if t.Logf("%s: %d states, %d faults", name, len(states), faults); len(states) < 20 {
			t.Errorf("%s: %d states, %d faults", name, len(states), faults)
		}
	}
	if _, err := whole.Stat("data/" + format.ManifestName); err != nil {
		t.Error(err)
	}
}
