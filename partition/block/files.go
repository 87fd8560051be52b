package block

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// ListFiles returns the paths, relative to dir and sorted, of all files
// in its block directories, temporary ones included.
func ListFiles(fsys vfs.FS, dir string) ([]string, error) {
	var found []string
	list := func(sub string) ([]string, error) {
		names, err := fsys.List(path.Join(dir, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list %s: %w", path.Join(dir, sub), err)
		}
		return names, nil
	}
	files := func(sub string) error {
		names, err := list(sub)
		for _, name := range names {
			if strings.HasSuffix(name, format.BlockSuffix) || strings.HasSuffix(name, format.TempSuffix) {
				found = append(found, path.Join(sub, name))
			}
		}
		return err
	}
	if err := files(format.L0Dir); err != nil {
		return nil, err
	}
	days, err := list(format.RawDir)
	if err != nil {
		return nil, err
	}
	for _, day := range days {
		if err := files(path.Join(format.RawDir, day)); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// IsLost reports whether an error of opening a block will stay.
func IsLost(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, format.ErrCorrupt) || errors.Is(err, format.ErrVersion) || errors.Is(err, syscall.EIO)
}
