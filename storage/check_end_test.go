package storage

import (
	"context"
	"testing"

	"tsdb/internal/doctortest"
	"tsdb/internal/vfs"
)

// openChecked is Open for tests: the directory is checked when the test ends.
func openChecked(t testing.TB, ctx context.Context, fs vfs.FS, dir string, opts Options) (*DB, error) {
	doctortest.Opened(t, fs, dir)
	return Open(ctx, fs, dir, opts)
}
