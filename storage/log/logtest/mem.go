package logtest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"tsdb/internal/model"
	"tsdb/storage/log"
)

// maxReserve is the largest reservation of a log in memory.
const maxReserve = 16 << 20

// Mem is a log.Store in memory. A process that stops without Close loses the frames
// nobody waited for. Its methods are safe for concurrent use.
type Mem struct {
	mu      sync.Mutex
	frames  []log.Frame // durable ones, by rising LSN
	highest log.Pos
	edit    uint64 // last manifest edit that is durable here
	low     uint64 // generations below it are released
	limit   int64  // bytes of frames, durable or not; 0 = none
	syncErr error  // of every sync from now on
	owner   *memLog
}

// NewMem returns an empty store.
func NewMem() *Mem { return &Mem{} }

// SetLimit bounds the bytes of frames: beyond it Reserve fails with ErrNoSpace;
// 0 = no bound. Deletions are not subject to it.
func (m *Mem) SetLimit(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = bytes
}

// FailSync makes every sync from now on fail with err, which poisons the log; nil =
// none.
func (m *Mem) FailSync(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.syncErr = err
}

// Frames returns the durable frames that clients appended, by rising LSN.
func (m *Mem) Frames() []log.Frame {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.frames), func(f log.Frame) bool { return f.Type.Internal() })
}

// Clone returns a store with the durable frames of m and no faults.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Mem{frames: slices.Clone(m.frames), highest: m.highest, edit: m.edit, low: m.low}
}

// Scan implements log.Store. A log that is open on the store is cut off from it, as
// when its process has stopped.
func (m *Mem) Scan() (log.Recovery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owner = nil
	return &memRecovery{store: m, frames: slices.Clone(m.frames), highest: m.highest, edit: m.edit}, nil
}

// memRecovery is the log.Recovery of a Mem.
type memRecovery struct {
	store   *Mem
	frames  []log.Frame
	highest log.Pos
	edit    uint64
}

func (r *memRecovery) Report() log.Report {
	rep := log.Report{Segments: min(len(r.frames), 1), Frames: uint64(len(r.frames)), Edit: r.edit}
	for _, f := range r.frames {
		rep.Bytes += frameBytes(f)
	}
	if n := len(r.frames); n > 0 {
		rep.FirstLSN, rep.LastLSN, rep.Synced = r.frames[0].LSN, r.frames[n-1].LSN, r.frames[n-1].LSN
	}
	return rep
}

func (r *memRecovery) Highest() log.Pos { return r.highest }

func (r *memRecovery) Generations() []uint64 {
	var gens []uint64
	for _, f := range r.frames {
		gens = append(gens, f.Generation)
	}
	return slices.Compact(gens)
}

// Holds implements log.Recovery: a generation has ended if a later one has begun.
func (r *memRecovery) Holds(lo, hi uint64) bool {
	gens := r.Generations()
	for gen := lo; gen <= hi; gen++ {
		if i, ok := slices.BinarySearch(gens, gen); !ok || i == len(gens)-1 {
			return false
		}
	}
	return lo <= hi
}

func (r *memRecovery) Deletions(gen uint64) map[uint64]bool {
	all := map[uint64]bool{}
	for _, f := range r.frames {
		if f.Generation == gen && f.Type == log.FrameDeletionEnd {
			if number, err := log.DecodeDeletionEnd(f.Payload); err == nil {
				all[number] = true
			}
		}
	}
	return all
}

func (r *memRecovery) Loss(uint64) *log.Loss { return nil }

func (r *memRecovery) Repair() error { return nil }

func (r *memRecovery) Replay(ctx context.Context, gen uint64, workers int, apply func(shard int, f log.Frame) error) error {
	workers = min(max(workers, 1), model.Shards)
	g, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error {
			for _, f := range r.frames {
				if f.Generation != gen || f.Type.Internal() || f.Shard%workers != w {
					continue
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := apply(f.Shard, f); err != nil {
					return fmt.Errorf("replay of LSN %d: %w", f.LSN, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (r *memRecovery) Open(start log.Pos) (log.Log, error) {
	m := r.store
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &memLog{store: m, deletes: make(chan struct{}, 1)}
	l.gen = max(start.Generation, m.highest.Generation) + 1
	l.lsn = max(start.LSN, m.highest.LSN)
	m.highest.Segment = max(start.Segment, m.highest.Segment)
	for _, f := range m.frames {
		l.bytes += frameBytes(f)
	}
	m.owner = l
	l.appendLocked(log.Frame{Type: log.FrameStart})
	if err := l.syncLocked(); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return l, nil
}

func frameBytes(f log.Frame) int64 { return int64(log.FrameBytes(len(f.Payload))) }
