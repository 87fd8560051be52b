package vfs

import (
	"errors"
	"fmt"
	"io/fs"
)

// maxTempNames bounds the names that CreateTemp tries.
const maxTempNames = 8

// CreateTemp creates a file to be renamed over name once it is whole, and returns
// its name: name followed by suffix. An older file of that name is removed first.
// If it cannot be removed, a number before the suffix gives another name, so that
// one undeletable file does not keep name from being replaced.
func CreateTemp(fsys FS, name, suffix string) (f File, temp string, err error) {
	for n := range maxTempNames {
		temp = name + suffix
		if n > 0 {
			temp = fmt.Sprintf("%s.%d%s", name, n, suffix)
		}
		removeErr := fsys.Remove(temp)
		if removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
			continue
		}
		f, createErr := fsys.Create(temp)
		if createErr != nil {
			return nil, "", createErr
		}
		return f, temp, nil
	}
	return nil, "", err
}
