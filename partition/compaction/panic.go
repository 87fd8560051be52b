package compaction

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"tsdb/internal/objstore"
	"tsdb/internal/panics"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// blame finds the input that makes a merge panic: the last one of the shortest
// prefix of the inputs whose merge panics. Its trial merges write nothing. It
// returns nil if none of them panics, as after a memory fault.
func blame(ctx context.Context, v *blockset.Version, plan Plan, tombstones []manifest.Tombstone, o Options, p *panics.Error) error {
	var stopped error
	n := sort.Search(len(plan.Inputs)+1, func(n int) bool {
		if n == 0 || stopped != nil {
			return false
		}
		part := plan
		part.Inputs = plan.Inputs[:n]
		_, err := merge(ctx, v, trialStore{v.Set().Store()}, part, tombstones, o)
		var again *panics.Error
		if !errors.As(err, &again) && ctx.Err() != nil {
			stopped = ctx.Err()
		}
		return again != nil
	})
	if stopped != nil || n > len(plan.Inputs) {
		return nil
	}
	return &format.DamageError{Path: plan.Inputs[n-1].Name, What: fmt.Sprintf("merging it fails: %v", p)}
}

// trialStore is a store that discards new objects.
type trialStore struct{ objstore.Store }

// Create implements objstore.Store.
func (trialStore) Create(context.Context, string) (objstore.Writer, error) {
	return &trialWriter{}, nil
}

// Delete implements objstore.Store.
func (trialStore) Delete(context.Context, ...string) []error { return nil }

// trialWriter counts the bytes that are written to it.
type trialWriter struct{ size int64 }

// Write implements objstore.Writer.
func (w *trialWriter) Write(p []byte) (int, error) {
	w.size += int64(len(p))
	return len(p), nil
}

// Commit implements objstore.Writer.
func (w *trialWriter) Commit(context.Context) (objstore.Identity, error) {
	return objstore.Identity{Size: w.size}, nil
}

// Abort implements objstore.Writer.
func (*trialWriter) Abort() error { return nil }
