package blockset

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"tsdb/internal/match"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// maxResolved bounds the tombstones for which an entry caches the series; there are
// fewer, and combined ones replace others.
const maxResolved = 2 << 10

// Entry is a block in a version. It is safe for concurrent use.
type Entry struct {
	manifest.Listed
	block *block.Block // nil if it cannot be opened
	bad   atomic.Pointer[error]

	versions int    // number of versions that hold it; guarded by the set's mu
	dropped  uint64 // number of the edit that dropped it, 0 = none; guarded by the set's mu

	resolved struct {
		sync.Mutex
		series map[uint64]*roaring.Bitmap // by ID of the tombstone

		standIns standIns                   // of a rollup block
		kept     map[string]*roaring.Bitmap // of an L1 or L2: see standingIn, by rollup block

		rules   map[string][]*roaring.Bitmap // see ruleSeries, by RuleList.Key
		counted *countedHidden               // the last result of countHidden
	}
}

// Block returns the open block, or nil if it cannot be opened, see Err. It is valid
// while the version is held.
func (e *Entry) Block() *block.Block { return e.block }

// Err returns the reason the block is quarantined, or nil if it is not.
func (e *Entry) Err() error {
	if err := e.bad.Load(); err != nil {
		return *err
	}
	return nil
}

// quarantine quarantines the block. The first reason is kept.
func (e *Entry) quarantine(err error) {
	err = fmt.Errorf("%w: %s: %w", ErrQuarantined, e.Name, err)
	e.bad.CompareAndSwap(nil, &err)
}

// Deletions returns the tombstones resolved to the series of the block, or nil if
// they match none. The series of each tombstone are looked up once. Readers of raw
// blocks use Version.Deletions. Whether a tombstone concerns a day of a rollup block
// is said by the Coverage of the day.
func (e *Entry) Deletions(ctx context.Context, ts []manifest.Tombstone) (*block.Deletions, error) {
	if e.block == nil {
		return nil, nil
	}
	parts, err := e.deletions(ctx, ts)
	if err != nil {
		return nil, err
	}
	return block.NewDeletions(parts), nil
}

// deletions returns the parts of Deletions.
func (e *Entry) deletions(ctx context.Context, ts []manifest.Tombstone) (parts []block.Deletion, err error) {
	for i := range ts {
		t := &ts[i]
		if !t.Covers(e.Info) {
			continue
		}
		series, err := e.Matches(ctx, t)
		if err != nil {
			return nil, err
		}
		if !series.IsEmpty() {
			parts = append(parts, block.Deletion{Series: series, Range: t.Range, Gen: t.Gen})
		}
	}
	return parts, nil
}

// Matches returns the series of the block, which must be open, that a tombstone
// matches. The caller must not change the bitmap.
func (e *Entry) Matches(ctx context.Context, t *manifest.Tombstone) (*roaring.Bitmap, error) {
	e.resolved.Lock()
	bm := e.resolved.series[t.ID]
	e.resolved.Unlock()
	if bm != nil {
		return bm, nil
	}
	bm, err := e.block.Postings(ctx, t.Tenant, match.New(t.Matchers))
	if err != nil {
		return nil, fmt.Errorf("find series of tombstone %d in %s: %w", t.ID, e.Name, err)
	}
	e.resolved.Lock()
	defer e.resolved.Unlock()
	if e.resolved.series == nil || len(e.resolved.series) >= maxResolved {
		e.resolved.series = map[uint64]*roaring.Bitmap{}
	}
	e.resolved.series[t.ID] = bm
	return bm, nil
}

// Concerns returns a function for manifest.SpentTombstones and
// compaction.PlanOptions. It reports whether a tombstone may match a series of a
// block of the version, and true for a block that cannot be read.
func (v *Version) Concerns(ctx context.Context) func(t *manifest.Tombstone, block string) bool {
	return func(t *manifest.Tombstone, block string) bool {
		e := v.Find(block)
		if e == nil || e.block == nil {
			return true
		}
		bm, err := e.Matches(ctx, t)
		return err != nil || !bm.IsEmpty()
	}
}
