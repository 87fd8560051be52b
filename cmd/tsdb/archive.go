package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
)

// openArchive returns the store at a place. With make the directory is made if it is
// missing.
func openArchive(place string, make bool) (objstore.Conditional, error) {
	if scheme, _, ok := strings.Cut(place, "://"); ok {
		return nil, usageError{fmt.Errorf("%s:// is no place of an archive: give a directory", scheme)}
	}
	dir := filepath.ToSlash(filepath.Clean(place))
	if make {
		if err := errors.Join(vfs.OS.MkdirAll(dir), vfs.OS.SyncDir(filepath.ToSlash(filepath.Dir(dir)))); err != nil {
			return nil, err
		}
	} else if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	return objstore.NewDir(vfs.OS, dir), nil
}
