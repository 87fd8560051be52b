package crash

import (
	"context"
	"fmt"
	"math/rand"
	"path"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"tsdb/internal/doctortest"
	"tsdb/internal/vfs"
	"tsdb/storage"
	"tsdb/storage/doctor"
	"tsdb/storage/snapshot"
)

// snapshots are the snapshots of a world and what each must hold.
type snapshots map[string]ledger

// snapshotSteps are writes, cuts and merges with snapshots made and removed in between.
// made is called with the name of a new one, removing before one is removed.
func (w *world) snapshotSteps(rounds int, made, removing func(name string)) []func() error {
	ctx := context.Background()
	var names []string
	var steps []func() error
	for i := range rounds {
		steps = append(steps, w.remoteWrite, func() error {
			w.clock.Advance(time.Duration(1+w.rand.Intn(200)) * time.Minute)
			name, err := w.db.Snapshot(ctx, storage.SnapshotOptions{})
			if err == nil {
				names = append(names, name)
				made(name)
			}
			return err
		}, w.influx)
		switch i % 3 {
		case 0:
			steps = append(steps, func() error { _, err := w.db.Flush(ctx); return err })
		case 1:
			steps = append(steps, func() error { _, err := w.db.Compact(ctx); return err })
		default:
			steps = append(steps, func() error {
				removing(names[0])
				name := names[0]
				names = names[1:]
				return w.db.RemoveSnapshot(name)
			})
		}
	}
	return steps
}

// reopenedWith is reopened for a database with snapshots: those in must are there after a
// start, others only as a whole. Each opens as a database that has what its ledger says.
func reopenedWith(fs vfs.FS, at time.Time, l ledger, must, may snapshots) error {
	if err := reopened(fs, at, l); err != nil {
		return err
	}
	infos, err := snapshot.List(fs, dataDir)
	if err != nil {
		return err
	}
	for name := range must {
		if !slices.ContainsFunc(infos, func(i snapshot.Info) bool { return i.Name == name }) {
			return fmt.Errorf("snapshot %s has left", name)
		}
	}
	for _, info := range infos {
		want, known := must[info.Name]
		if !known {
			want, known = may[info.Name]
		}
		if !known {
			continue // of a step that failed
		}
		if err := opensAs(fs, snapshot.Dir(dataDir, info.Name), at, want); err != nil {
			return fmt.Errorf("snapshot %s: %w", info.Name, err)
		}
	}
	return nil
}

// opensAs opens a snapshot and compares it with a ledger.
func opensAs(fs vfs.FS, dir string, at time.Time, l ledger) error {
	o := options(vfs.NewManualClock(at))
	db, err := storage.Open(context.Background(), fs, dir, o)
	if err != nil {
		return err
	}
	got, err := found(db)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = db.Close(ctx) // without a cut
	if err != nil {
		return err
	}
	if err := l.compare(got, at.UnixMilli()-retention); err != nil {
		return err
	}
	report, err := doctor.Check(context.Background(), fs, dir)
	if err == nil && len(report.Damage) > 0 {
		err = fmt.Errorf("check: %+v", report.Damage[0])
	}
	return err
}

// After a power cut at any operation beside snapshots the database has lost nothing, and
// every snapshot that was made and not removed is there and holds its moment.
func TestPowerCutsBesideSnapshots(t *testing.T) {
	mem := doctortest.NewMem(t)
	fault := vfs.NewFault(mem)
	fault.Count(vfs.MutatingOps)
	w := newWorld(fault, 7)
	rng := rand.New(rand.NewSource(7))
	type frame struct {
		op string
		fs *vfs.Mem
	}
	var mu sync.Mutex
	var frames []frame
	fault.SetHook(func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		mode := vfs.CrashOptions{Mode: vfs.CrashLose}
		if len(frames)%3 == 0 {
			mode = vfs.CrashOptions{Mode: vfs.CrashSectors, Keep: 0.5, Rand: rand.New(rand.NewSource(rng.Int63()))}
		}
		frames = append(frames, frame{op.String(), mem.CrashClone(mode)})
		return nil
	})
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	states, kept := 0, snapshots{}
	drain := func(promised ledger, may snapshots) {
		mu.Lock()
		list := frames
		frames = nil
		mu.Unlock()
		states += len(list)
		at, must, seen := w.clock.Now(), cloneOf(kept, may), distinct{}
		for _, f := range list {
			if !seen.add(f.fs) {
				continue
			}
			g.Go(func() error {
				if err := reopenedWith(f.fs, at, promised, must, may); err != nil {
					return fmt.Errorf("power cut before %s: %w", f.op, err)
				}
				return nil
			})
		}
	}
	must(t, w.open())
	drain(ledger{}, nil)
	may := snapshots{}
	made := func(name string) { may[name] = w.ledger.clone(); kept[name] = may[name] }
	removing := func(name string) { may[name] = kept[name]; delete(kept, name) }
	for _, step := range w.snapshotSteps(6, made, removing) {
		promised := w.ledger.clone()
		must(t, step())
		promised.doubtful(w.lastSent)
		w.lastSent = nil
		drain(promised, may)
		may = snapshots{}
	}
	w.abandon()
	fault.SetHook(nil)
	must(t, g.Wait())
	if states < 200 || len(kept) < 3 {
		t.Errorf("%d states, %d snapshots", states, len(kept))
	}
}

// cloneOf returns the snapshots that must be there: all but those of the present step.
func cloneOf(all, but snapshots) snapshots {
	c := snapshots{}
	for name, l := range all {
		if _, new := but[name]; !new {
			c[name] = l
		}
	}
	return c
}

// Every operation of a snapshot fails once. The database goes on, the next snapshot is
// made, and no remains are left.
func TestFaultsBesideSnapshots(t *testing.T) {
	run := func(k int) (ops int, err error) {
		fault := vfs.NewFault(vfs.NewMem())
		fault.Count(vfs.MutatingOps)
		w := newWorld(fault, 9)
		if err := w.open(); err != nil {
			return 0, err
		}
		for range 2 {
			if err := w.remoteWrite(); err != nil {
				return 0, err
			}
			if _, err := w.db.Flush(context.Background()); err != nil {
				return 0, err
			}
		}
		defer w.runClock()() // not before: on a busy machine a flush would wait for too long
		var mu sync.Mutex
		fault.SetHook(func(op vfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if ops++; ops == k {
				return syscall.EIO
			}
			return nil
		})
		if k > 0 { // on a slow machine a running clock ends waits of the log that nothing made fail
			defer w.runClock()()
		}
		_, failed := w.db.Snapshot(context.Background(), storage.SnapshotOptions{})
		fault.SetHook(nil)
		if k == 0 && failed != nil {
			return ops, failed
		}
		if err := w.resumes(); err != nil && w.db.Health() == nil {
			return ops, fmt.Errorf("healthy, but writes fail: %w", err)
		}
		w.clock.Advance(time.Second)
		var name string
		err = w.retry(func() (err error) {
			name, err = w.db.Snapshot(context.Background(), storage.SnapshotOptions{})
			return err
		})
		if err != nil && w.db.Health() == nil {
			return ops, fmt.Errorf("the next snapshot, after %w: %w", failed, err)
		}
		if err == nil {
			if err := opensAs(fault, path.Join(dataDir, "snapshots", name), w.clock.Now(), w.ledger); err != nil {
				return ops, fmt.Errorf("snapshot after a failure: %w", err)
			}
		}
		w.abandon()
		return ops, reopened(fault, w.clock.Now(), w.ledger)
	}
	ops, err := run(0)
	must(t, err)
	for k := 1; k <= ops; k++ {
		if _, err := run(k); err != nil {
			t.Errorf("operation %d of %d fails: %v", k, ops, err)
		}
	}
	t.Logf("%d operations", ops)
}
