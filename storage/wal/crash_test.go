package wal

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// ledger records the appends, acknowledgements and releases of a client.
type ledger struct {
	mu       sync.Mutex
	appended []entry // in the order of their LSNs
	acked    uint64  // LSNs up to this one were acknowledged
	low      uint64  // generations below it were released
}

func (g *ledger) append(e entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.appended = append(g.appended, e)
}

func (g *ledger) ack(lsn uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acked = max(g.acked, lsn)
}

func (g *ledger) release(low uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.low = max(g.low, low)
}

func (g *ledger) state() (acked, low uint64, appended []entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.acked, g.low, g.appended[:len(g.appended):len(g.appended)]
}

// check compares the frames of a recovery with the ledgers before and after the
// crash: all frames acknowledged and not released are present, and apart from
// released generations the frames are a prefix of the appended ones.
func check(fs vfs.FS, acked, low uint64, after []entry, lowAfter uint64) (*Recovery, []entry, error) {
	r, err := Scan(fs, testDir, listed())
	if err != nil {
		return nil, nil, err
	}
	if loss := r.Loss(0); loss != nil || r.Report().ListErr != nil {
		return nil, nil, fmt.Errorf("loss where there is none: %w, %w", loss, r.Report().ListErr)
	}
	if rep := r.Report(); rep.Damages != 0 {
		return nil, nil, fmt.Errorf("damage where there is none: %+v", rep.Damage)
	}
	got, err := readAll(r)
	if err != nil {
		return nil, nil, err
	}
	last := uint64(0)
	if n := len(got); n > 0 {
		last = got[n-1].lsn
	}
	for _, e := range after {
		switch {
		case len(got) > 0 && got[0] == e:
			got = got[1:]
		case e.gen < lowAfter:
		case e.lsn > acked && e.lsn > last:
		case e.lsn <= acked && e.gen >= low:
			return nil, nil, fmt.Errorf("acknowledged frame %v is missing", e)
		default:
			return nil, nil, fmt.Errorf("frame %v is missing before LSN %d", e, last)
		}
	}
	if len(got) > 0 {
		return nil, nil, fmt.Errorf("frames nobody appended: %v", got)
	}
	all, err := readAll(r)
	return r, all, err
}

// readAll is replayAll for use outside the test's goroutine.
func readAll(r *Recovery) (all []entry, err error) {
	for _, gen := range r.Generations() {
		var shards [model.Shards][]entry
		err := r.Replay(context.Background(), gen, 2, func(shard int, f log.Frame) error {
			shards[shard] = append(shards[shard], entry{f.LSN, f.Generation, f.Shard, string(f.Payload)})
			return nil
		})
		if err != nil {
			return nil, err
		}
		for more := true; more; {
			best := -1
			for i, s := range shards {
				if len(s) > 0 && (best < 0 || s[0].lsn < shards[best][0].lsn) {
					best = i
				}
			}
			if more = best >= 0; more {
				all = append(all, shards[best][0])
				shards[best] = shards[best][1:]
			}
		}
	}
	for i := 1; i < len(all); i++ {
		if all[i-1].lsn >= all[i].lsn {
			return nil, fmt.Errorf("%v before %v", all[i-1], all[i])
		}
	}
	return all, nil
}

// workload runs a log through appends, rotations, releases and restarts until
// n frames are appended, or until an operation fails, possibly an injected fault.
func workload(fs vfs.FS, g *ledger, rng *rand.Rand, o Options, n int) error {
	ctx := context.Background()
	if err := errors.Join(fs.MkdirAll("data"), fs.SyncDir("")); err != nil {
		return err
	}
	for edit := uint64(1); ; {
		r, err := Scan(fs, testDir, o)
		if err != nil {
			return err
		}
		l, err := Open(fs, testDir, o, log.Pos{}, r)
		if err != nil {
			return err
		}
		restart := false
		for !restart && err == nil {
			_, _, done := g.state()
			if len(done) >= n {
				return l.Close()
			}
			switch k := rng.Intn(60); {
			case k == 0:
				restart = true
			case k <= 2:
				if err = l.PrepareRotate(ctx); err == nil {
					_, _, err = l.Rotate()
				}
			case k == 3:
				low := l.Generation() - uint64(rng.Intn(2))
				g.release(low)
				err = l.Release(low, edit)
				edit++
			case k <= 30:
				lsn := l.LastLSN()
				if err = l.Wait(ctx, lsn); err == nil {
					g.ack(lsn)
				}
			default:
				p := strings.Repeat(fmt.Sprintf("%d,", len(done)), rng.Intn(150))
				if err = l.Reserve(ctx, log.FrameBytes(len(p))); err == nil {
					shard := rng.Intn(model.Shards)
					g.append(entry{l.Append(shard, 7, log.FrameSamples, []byte(p)), l.Generation(), shard, p})
				}
			}
			if errors.Is(err, log.ErrBusy) || errors.Is(err, log.ErrNoSpace) {
				err = nil // the clock may be faster than the disk
			}
		}
		if err = errors.Join(err, l.Close()); err != nil {
			return err
		}
	}
}

// crashEverywhere runs the workload and simulates several kinds of power cuts before
// each mutating operation. After each it recovers, checks, opens the log, appends to
// it, and checks again. It returns the number of states and the first failure.
func crashEverywhere(seed int64, frames int, skip func(vfs.Op) bool) (states int, found error) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	fault.Count(vfs.MutatingOps)
	fault.Skip(skip)
	var g ledger
	var mu sync.Mutex
	rng := rand.New(rand.NewSource(seed))
	fault.SetHook(func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if found != nil {
			return nil
		}
		for _, o := range []vfs.CrashOptions{
			{Mode: vfs.CrashLose},
			{Mode: vfs.CrashSectors, Keep: 0.5, Rand: rng},
			{Mode: vfs.CrashTorn, Rand: rng},
			{Mode: vfs.CrashSectors, Keep: 1, Rand: rng},
		} {
			acked, low, _ := g.state()
			clone := mem.CrashClone(o)
			_, lowAfter, after := g.state()
			states++
			if err := recoverTwice(clone, rng, acked, low, after, lowAfter, skip); err != nil {
				found = fmt.Errorf("seed %d, power cut (%v) before operation %d, %v: %w", seed, o.Mode, op.N, op, err)
				return nil
			}
		}
		acked, low, _ := g.state()
		clone := mem.Clone()
		_, lowAfter, after := g.state()
		states++
		if err := recoverTwice(clone, rng, acked, low, after, lowAfter, skip); err != nil {
			found = fmt.Errorf("seed %d, killed before operation %d, %v: %w", seed, op.N, op, err)
		}
		return nil
	})
	err := workload(fault, &g, rand.New(rand.NewSource(seed)), listed(), frames)
	fault.SetHook(nil)
	return states, errors.Join(found, err)
}

// recoverTwice checks a state, opens the log in it, sometimes with a power cut
// meanwhile, and checks that all its frames are still present after another one.
func recoverTwice(fs *vfs.Mem, rng *rand.Rand, acked, low uint64, after []entry, lowAfter uint64, skip func(vfs.Op) bool) error {
	if err := errors.Join(fs.MkdirAll("data"), fs.SyncDir("")); err != nil {
		return err
	}
	_, got, err := check(fs, acked, low, after, lowAfter)
	if err != nil {
		return err
	}
	fault := vfs.NewFault(fs)
	fault.Count(vfs.MutatingOps)
	fault.Skip(skip)
	crashAt := rng.Intn(60)
	var again *vfs.Mem
	fault.HookAt(crashAt, func(vfs.Op) {
		again = fs.CrashClone(vfs.CrashOptions{Mode: vfs.CrashSectors, Keep: 0.5, Rand: rng})
	})
	l, err := Open(fault, testDir, listed(), log.Pos{}, nil)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if err := l.Reserve(context.Background(), log.FrameBytes(4)); err != nil {
		return errors.Join(err, l.Close())
	}
	lsn := l.Append(3, 7, log.FrameSamples, []byte("more"))
	// What the torn tail held is gone for good. Released segments may
	// reappear if the frame that records the release was not durable.
	more := slices.DeleteFunc(slices.Clone(after), func(e entry) bool {
		return e.gen >= lowAfter && !slices.Contains(got, e)
	})
	more = append(more, entry{lsn, l.Generation(), 3, "more"})
	if err := errors.Join(l.Wait(context.Background(), lsn), l.Close()); err != nil {
		return err
	}
	if again != nil {
		if _, _, err := check(again, 0, low, more, lowAfter); err != nil {
			return fmt.Errorf("power cut at operation %d of the recovery: %w", crashAt, err)
		}
	}
	_, final, err := check(fs.CrashClone(vfs.CrashOptions{}), lsn, low, more, lowAfter)
	if err != nil {
		return fmt.Errorf("after the recovery: %w", err)
	}
	if len(final) != len(got)+1 {
		return fmt.Errorf("%d frames became %d", len(got)+1, len(final))
	}
	return nil
}

func TestAcknowledgedFramesSurviveAPowerCutAtAnyOperation(t *testing.T) {
	seeds, frames := 2, 150
	if testing.Short() {
		seeds, frames = 1, 80
	}
	total := 0
	for seed := range int64(seeds) {
		states, err := crashEverywhere(seed, frames, nil)
		must(t, err)
		total += states
	}
	t.Logf("%d states", total)
	if total < seeds*frames {
		t.Fatalf("only %d states", total)
	}
}

// The test above must fail when the log loses frames.
func TestCrashTestNoticesMissingFrames(t *testing.T) {
	inLog := func(o vfs.Op) bool { return path.Dir(o.Name) == testDir }
	for name, skip := range map[string]func(vfs.Op) bool{
		"sync of segments":      func(o vfs.Op) bool { return o.Kind == vfs.OpSync && inLog(o) },
		"sync of the directory": func(o vfs.Op) bool { return o.Kind == vfs.OpSyncDir && o.Name == testDir },
		"cut of the torn tail":  func(o vfs.Op) bool { return o.Kind == vfs.OpTruncate },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range int64(20) {
				if _, err := crashEverywhere(seed, 60, skip); err != nil {
					t.Log(err)
					return
				}
			}
			t.Fatal("nothing was wrong")
		})
	}
}
