package logtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"tsdb/internal/model"
	"tsdb/storage/log"
)

// TestStore checks that a kind of log keeps the contract of package log. Each call
// of newStore returns an empty store.
func TestStore(t *testing.T, newStore func(t *testing.T) log.Store) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s log.Store)
	}{
		{"frames come back in the order of each shard", framesComeBack},
		{"a rotation splits at an LSN", rotationSplits},
		{"a rotation reserves a generation", rotationReserves},
		{"released generations are gone", releaseDrops},
		{"reservations are bounded", reservations},
		{"one delete at a time", oneDelete},
		{"a deletion is listed once its end is durable", deletionsEnd},
		{"a failed log takes nothing", failedLog},
		{"a closed log takes nothing", closedLog},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newStore(t)) })
	}
}

// open opens the log of a store. The test ends with it closed.
func open(t *testing.T, s log.Store, start log.Pos) log.Log {
	t.Helper()
	l, err := scan(t, s).Open(start)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func scan(t *testing.T, s log.Store) log.Recovery {
	t.Helper()
	r, err := s.Scan()
	must(t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, l log.Log, shard int, payload string) (lsn uint64) {
	t.Helper()
	must(t, l.Reserve(context.Background(), log.FrameBytes(len(payload))))
	return l.Append(shard, 7, log.FrameSamples, []byte(payload))
}

// replayed returns the payloads of a generation by shard.
func replayed(t *testing.T, r log.Recovery, gen uint64) (shards [model.Shards][]string) {
	t.Helper()
	var mu sync.Mutex
	last := map[int]uint64{}
	must(t, r.Replay(context.Background(), gen, 3, func(shard int, f log.Frame) error {
		mu.Lock()
		defer mu.Unlock()
		if f.Shard != shard || f.Generation != gen || f.Tenant != 7 || f.Type != log.FrameSamples || f.LSN <= last[shard] {
			return fmt.Errorf("frame %+v after LSN %d in shard %d", f, last[shard], shard)
		}
		last[shard] = f.LSN
		shards[shard] = append(shards[shard], string(f.Payload))
		return nil
	}))
	return shards
}

func framesComeBack(t *testing.T, s log.Store) {
	l := open(t, s, log.Pos{Generation: 40, LSN: 1000})
	gen := l.Generation()
	if gen <= 40 || l.LastLSN() <= 1000 {
		t.Errorf("generation %d, LSN %d: not above those the log starts from", gen, l.LastLSN())
	}
	var want [model.Shards][]string
	prev := l.LastLSN()
	for i := range 200 {
		shard, payload := i*7%model.Shards, fmt.Sprint("payload ", i)
		lsn := put(t, l, shard, payload)
		if lsn <= prev || lsn != l.LastLSN() {
			t.Fatalf("LSN %d after %d, the last is %d", lsn, prev, l.LastLSN())
		}
		prev = lsn
		want[shard] = append(want[shard], payload)
	}
	must(t, l.Wait(context.Background(), prev))
	total, active := l.Bytes()
	if total < 200*int64(log.FrameBytes(9)) || active < 200*int64(log.FrameBytes(9)) {
		t.Errorf("%d bytes, %d of them in the generation", total, active)
	}
	must(t, l.Close())
	r := scan(t, s)
	if gens := r.Generations(); !slices.Equal(gens, []uint64{gen}) {
		t.Fatalf("generations %v, want %d", gens, gen)
	}
	if h := r.Highest(); h.Generation != gen || h.LSN < prev {
		t.Errorf("highest %+v, want generation %d and at least LSN %d", h, gen, prev)
	}
	if got := replayed(t, r, gen); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	refused := errors.New("refused")
	if err := r.Replay(context.Background(), gen, 3, func(int, log.Frame) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("replay ended with %v", err)
	}
	if next := open(t, s, log.Pos{}); next.Generation() <= gen || next.LastLSN() <= prev {
		t.Errorf("the next log begins at generation %d, LSN %d", next.Generation(), next.LastLSN())
	}
}

func rotationSplits(t *testing.T, s log.Store) {
	ctx := context.Background()
	l := open(t, s, log.Pos{})
	first := l.Generation()
	if !l.GenerationEmpty() {
		t.Error("a new generation has frames of clients")
	}
	last := put(t, l, 1, "before")
	if l.GenerationEmpty() {
		t.Error("a generation with a frame is empty")
	}
	must(t, l.PrepareRotate(ctx))
	gen, splitLSN, err := l.Rotate()
	must(t, err)
	if gen <= first || gen != l.Generation() || splitLSN != last || !l.GenerationEmpty() {
		t.Errorf("generation %d after %d, split at LSN %d, the last was %d", gen, first, splitLSN, last)
	}
	put(t, l, 1, "after")
	must(t, l.Wait(ctx, l.LastLSN()))
	must(t, l.Close())
	r := scan(t, s)
	for g, want := range map[uint64]string{first: "[before]", gen: "[after]"} {
		if got := fmt.Sprint(replayed(t, r, g)[1]); got != want {
			t.Errorf("generation %d has %s, want %s", g, got, want)
		}
	}
	if !r.Holds(first, first) || r.Holds(gen, gen) || r.Holds(first, gen) || r.Holds(first-1, first) {
		t.Error("only the generation that has ended is held")
	}
}

func rotationReserves(t *testing.T, s log.Store) {
	ctx := context.Background()
	l := open(t, s, log.Pos{})
	first := l.Generation()
	put(t, l, 1, "before")
	must(t, l.PrepareRotate(ctx))
	reserved, gen, err := l.RotateReserve()
	must(t, err)
	if first >= reserved || reserved >= gen || gen != l.Generation() || !l.GenerationEmpty() {
		t.Errorf("reserved generation %d between %d and %d", reserved, first, gen)
	}
	put(t, l, 1, "after")
	must(t, l.Wait(ctx, l.LastLSN()))
	must(t, l.Close())
	r := scan(t, s)
	for g, want := range map[uint64]string{first: "[before]", gen: "[after]"} {
		if got := fmt.Sprint(replayed(t, r, g)[1]); got != want {
			t.Errorf("generation %d has %s, want %s", g, got, want)
		}
	}
	if slices.Contains(r.Generations(), reserved) || r.Report().Damages > 0 || !r.Holds(first, first) {
		t.Error("a reserved generation has frames, or counts as damage")
	}
}

func releaseDrops(t *testing.T, s log.Store) {
	ctx := context.Background()
	l := open(t, s, log.Pos{})
	first := l.Generation()
	put(t, l, 1, "before")
	must(t, l.PrepareRotate(ctx))
	gen, _, err := l.Rotate()
	must(t, err)
	put(t, l, 1, "after")
	must(t, l.Wait(ctx, l.LastLSN()))
	must(t, l.Release(gen, 5))
	must(t, l.Close())
	r := scan(t, s)
	if gens := r.Generations(); slices.Contains(gens, first) || !slices.Contains(gens, gen) {
		t.Errorf("generations %v after the release of those below %d", gens, gen)
	}
	if e := r.Report().Edit; e != 5 {
		t.Errorf("the log names edit %d, want that of the release, 5", e)
	}
}

func reservations(t *testing.T, s log.Store) {
	ctx := context.Background()
	l := open(t, s, log.Pos{})
	if err := l.Reserve(ctx, l.MaxReserve()+1); !errors.Is(err, log.ErrTooLarge) {
		t.Errorf("a reservation above the largest: %v", err)
	}
	n := log.FrameBytes(l.MaxPayload())
	must(t, l.Reserve(ctx, n))
	l.Append(0, 0, log.FrameSamples, make([]byte, l.MaxPayload()))
	must(t, l.Reserve(ctx, 100))
	l.Unreserve(100)
	defer func() {
		if recover() == nil {
			t.Error("an append without a reservation does not panic")
		}
	}()
	l.Append(0, 0, log.FrameSamples, []byte("x"))
}

func oneDelete(t *testing.T, s log.Store) {
	l := open(t, s, log.Pos{})
	done, err := l.ReserveDelete(context.Background(), 2*log.FrameBytes(3))
	must(t, err)
	l.Append(0, 0, log.FrameTombstone, []byte("one"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.ReserveDelete(ctx, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("a second delete: %v, want to wait until its context ends", err)
	}
	done()
	done, err = l.ReserveDelete(context.Background(), 100)
	must(t, err)
	done()
}

// A deletion is listed once its end is durable.
func deletionsEnd(t *testing.T, s log.Store) {
	l := open(t, s, log.Pos{})
	gen := l.Generation()
	for number := range uint64(3) {
		payload, end := log.AppendDeletionEnd(nil, number), log.AppendDeletionEnd(nil, number) // the first is not looked into
		done, err := l.ReserveDelete(context.Background(), 2*log.FrameBytes(len(payload)))
		must(t, err)
		lsn := l.Append(3, 0, log.FrameDeletion, payload)
		if number != 1 {
			lsn = l.Append(0, 0, log.FrameDeletionEnd, end)
		}
		done()
		must(t, l.Wait(context.Background(), lsn))
	}
	must(t, l.Close())
	r := scan(t, s)
	if got := r.Deletions(gen); len(got) != 2 || !got[0] || !got[2] || len(r.Deletions(gen+1)) != 0 {
		t.Errorf("deletions %v, want 0 and 2", got)
	}
}

func failedLog(t *testing.T, s log.Store) {
	ctx := context.Background()
	l := open(t, s, log.Pos{})
	gen := l.Generation()
	must(t, l.Wait(ctx, put(t, l, 1, "durable")))
	cause := errors.New("the cause")
	l.Fail(cause)
	err := l.Reserve(ctx, log.FrameBytes(4))
	if err == nil { // the failure comes with the next write
		err = l.Wait(ctx, l.Append(1, 7, log.FrameSamples, []byte("lost")))
	}
	if !errors.Is(err, log.ErrPoisoned) || !errors.Is(err, cause) {
		t.Errorf("a write after a failure: %v", err)
	}
	for name, err := range map[string]error{"Err": l.Err(), "Reserve": l.Reserve(ctx, 100), "PrepareRotate": l.PrepareRotate(ctx), "Release": l.Release(gen, 1)} {
		if !errors.Is(err, log.ErrPoisoned) {
			t.Errorf("%s of a failed log: %v", name, err)
		}
	}
	if _, _, err := l.Rotate(); !errors.Is(err, log.ErrPoisoned) {
		t.Errorf("Rotate of a failed log: %v", err)
	}
	_ = l.Close()
	if got := fmt.Sprint(replayed(t, scan(t, s), gen)[1]); got != "[durable]" {
		t.Errorf("the failed log left %s, want what was durable", got)
	}
}

func closedLog(t *testing.T, s log.Store) {
	ctx := context.Background()
	l := open(t, s, log.Pos{})
	gen := l.Generation()
	put(t, l, 1, "not waited for")
	must(t, l.Close())
	must(t, l.Close())
	if err := l.Reserve(ctx, 10); !errors.Is(err, log.ErrClosed) {
		t.Errorf("a reservation after Close: %v", err)
	}
	if got := fmt.Sprint(replayed(t, scan(t, s), gen)[1]); got != "[not waited for]" {
		t.Errorf("the closed log left %s", got)
	}
}
