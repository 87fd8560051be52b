package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// ErrName is returned for a name that no snapshot can have.
var ErrName = errors.New("invalid name of a snapshot")

const (
	timeLayout = "20060102T150405Z"
	nameBytes  = len(timeLayout) + 1 + 8
)

// Name returns the name of a snapshot taken at a time. random distinguishes those of one
// second.
func Name(at time.Time, random uint32) string {
	return fmt.Sprintf("%s-%08x", at.UTC().Format(timeLayout), random)
}

// CheckName returns ErrName unless Name can return the name. So a name has no slash
// and no dot.
func CheckName(name string) error {
	if at, err := nameTime(name); err != nil || at.IsZero() {
		return fmt.Errorf("%w: %.64q", ErrName, name)
	}
	return nil
}

// nameTime returns the time in a name.
func nameTime(name string) (time.Time, error) {
	if len(name) != nameBytes || name[len(timeLayout)] != '-' || strings.Trim(name[len(timeLayout)+1:], "0123456789abcdef") != "" {
		return time.Time{}, ErrName
	}
	return time.Parse(timeLayout, name[:len(timeLayout)])
}

// Dir returns the directory of a snapshot of the database in dir.
func Dir(dir, name string) string { return path.Join(dir, format.SnapshotsDir, name) }

// Content is what a snapshot is made of.
type Content struct {
	Marker Marker
	State  *manifest.State // of the MANIFEST; lists the blocks
	// Log makes the log in the directory wal and the list of its segments, before all
	// else; nil = an empty one.
	Log func(wal, list string) error
	// Missing reports whether a block is known to be missing, so that the snapshot
	// lacks it too.
	Missing func(block string) bool
}

// Create makes the snapshot name of the database in dir. When it returns nil the
// snapshot is complete and durable, otherwise there is none of that name.
func Create(ctx context.Context, fsys vfs.FS, dir, name string, c Content) (err error) {
	if err := CheckName(name); err != nil {
		return err
	}
	root := path.Join(dir, format.SnapshotsDir)
	if err := errors.Join(fsys.MkdirAll(root), fsys.SyncDir(dir)); err != nil {
		return fmt.Errorf("make snapshot: %w", err)
	}
	if _, err := fsys.Stat(path.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make snapshot %s: %w", name, errors.Join(err, fs.ErrExist))
	}
	temp := path.Join(root, name+format.TempSuffix)
	if err := vfs.RemoveAll(fsys, temp); err != nil {
		return fmt.Errorf("make snapshot: %w", err)
	}
	defer func() {
		if err != nil {
			_ = vfs.RemoveAll(fsys, temp) // otherwise the next start does
			err = fmt.Errorf("make snapshot %s: %w", name, err)
		}
	}()
	if err := fill(ctx, fsys, dir, temp, c); err != nil {
		return err
	}
	if err := fsys.Rename(temp, path.Join(root, name)); err != nil {
		return err
	}
	if err := fsys.SyncDir(root); err != nil {
		return errors.Join(err, Remove(fsys, dir, name))
	}
	return nil
}

// fill makes the files of a snapshot in temp and syncs them.
func fill(ctx context.Context, fsys vfs.FS, dir, temp string, c Content) error {
	dirs := map[string]bool{}
	mkdir := func(rel string) error {
		for d := rel; d != "."; d = path.Dir(d) {
			dirs[d] = true
		}
		return fsys.MkdirAll(path.Join(temp, rel))
	}
	for _, d := range []string{format.WALDir, format.L0Dir, format.RawDir} {
		if err := mkdir(d); err != nil {
			return err
		}
	}
	if c.Log != nil {
		if err := c.Log(path.Join(temp, format.WALDir), path.Join(temp, format.SegmentsName)); err != nil {
			return err
		}
	}
	for _, b := range c.State.Sorted() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !dirs[path.Dir(b.Name)] {
			if err := mkdir(path.Dir(b.Name)); err != nil {
				return err
			}
		}
		_, err := vfs.LinkOrCopy(fsys, path.Join(dir, b.Name), path.Join(temp, b.Name))
		if errors.Is(err, fs.ErrNotExist) && c.Missing != nil && c.Missing(b.Name) {
			continue
		}
		if err != nil {
			return err
		}
	}
	for _, base := range manifest.CopyNames {
		if err := manifest.WriteCopy(fsys, temp, base, c.State); err != nil {
			return err
		}
	}
	if err := writeMarker(fsys, temp, c.Marker); err != nil {
		return err
	}
	// The deepest directories first, though any order would do: the rename comes last.
	deepest := slices.Sorted(maps.Keys(dirs))
	slices.Reverse(deepest)
	for _, d := range append(deepest, ".") {
		if err := fsys.SyncDir(path.Join(temp, d)); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes a snapshot. A server that has it open keeps it: the error is
// vfs.ErrLocked.
func Remove(fsys vfs.FS, dir, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	at := Dir(dir, name)
	if _, err := fsys.Stat(at); err != nil {
		return err
	}
	lock, err := fsys.Lock(path.Join(at, format.LockName), "")
	if err != nil {
		return fmt.Errorf("remove snapshot %s: %w", name, err)
	}
	temp := at + format.TempSuffix
	err = vfs.RemoveAll(fsys, temp)
	if err == nil {
		err = fsys.Rename(at, temp)
	}
	err = errors.Join(err, lock.Close())
	if err == nil {
		err = fsys.SyncDir(path.Dir(at))
	}
	if err == nil {
		err = vfs.RemoveAll(fsys, temp)
	}
	if err != nil {
		return fmt.Errorf("remove snapshot %s: %w", name, err)
	}
	return nil
}

// Clean removes what a crash has left of the making and removing of snapshots of the
// database in dir.
func Clean(fsys vfs.FS, dir string) error {
	root := path.Join(dir, format.SnapshotsDir)
	names, err := fsys.List(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	var errs []error
	for _, n := range names {
		if base, temp := strings.CutSuffix(n, format.TempSuffix); temp && CheckName(base) == nil {
			errs = append(errs, vfs.RemoveAll(fsys, path.Join(root, n)))
		}
	}
	return errors.Join(errs...)
}
