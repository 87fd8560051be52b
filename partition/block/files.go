package block

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"tsdb/internal/objstore"
	"tsdb/partition/format"
)

// ListKeys returns the sorted keys of all blocks in a store, including unfinished
// ones and ones that the MANIFEST does not list.
func ListKeys(ctx context.Context, store objstore.Store) ([]string, error) {
	var found []string
	dirs := []string{format.L0Dir, format.RawDir}
	for _, t := range Rollups {
		dirs = append(dirs, t.Dir())
	}
	for _, dir := range dirs {
		keys, err := store.List(ctx, dir+"/")
		if err != nil {
			return nil, err
		}
		found = append(found, keys...)
	}
	return slices.DeleteFunc(found, func(key string) bool {
		return !strings.HasSuffix(key, format.BlockSuffix) && !strings.HasSuffix(key, objstore.TempSuffix)
	}), nil
}

// IsLost reports whether an error from opening a block is permanent.
func IsLost(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, format.ErrCorrupt) || errors.Is(err, format.ErrVersion) || errors.Is(err, syscall.EIO)
}
