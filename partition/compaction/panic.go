package compaction

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"tsdb/internal/panics"
	"tsdb/internal/vfs"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// blame finds the input that makes a merge panic: the last one of the fewest,
// from the oldest on, whose merge does. The merges by which it is found write
// nothing. It returns nil if none of them panics, as one that ran into broken
// memory might not again.
func blame(ctx context.Context, v *blockset.Version, plan Plan, tombstones []manifest.Tombstone, o Options, p *panics.Error) error {
	var stopped error
	n := sort.Search(len(plan.Inputs)+1, func(n int) bool {
		if n == 0 || stopped != nil {
			return false
		}
		part := plan
		part.Inputs = plan.Inputs[:n]
		_, err := merge(ctx, v, trialFS{v.Set().FS()}, part, tombstones, o)
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

// trialFS is a file system whose changes are not made: files can be written, and
// are gone.
type trialFS struct{ vfs.FS }

func (trialFS) Create(name string) (vfs.File, error) { return trialFile{name: name}, nil }
func (trialFS) Remove(string) error                  { return nil }
func (trialFS) MkdirAll(string) error                { return nil }
func (trialFS) SyncDir(string) error                 { return nil }

// trialFile takes what is written. It is never read.
type trialFile struct {
	vfs.File
	name string
}

func (f trialFile) Name() string                         { return f.name }
func (trialFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (trialFile) Sync() error                            { return nil }
func (trialFile) Close() error                           { return nil }
