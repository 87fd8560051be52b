package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// File is a file of a snapshot.
type File struct {
	Path string // relative to the snapshot
	Size int64
}

// Info describes a snapshot.
type Info struct {
	Name      string
	WallMs    int64 // when it was taken, Unix milliseconds
	Temporary bool
	Opened    bool   // a server has been started on it, so it may have changed
	Marker    Marker // zero if it was opened
	Files     []File
	Bytes     int64 // of all files
	// PinnedBytes are those of files that the origin has not, so that removing the
	// snapshots frees them. What several snapshots pin is counted in the first.
	PinnedBytes int64
}

// List returns the snapshots of the database in dir, the oldest first.
func List(fsys vfs.FS, dir string) ([]Info, error) {
	names, err := fsys.List(path.Join(dir, format.SnapshotsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var infos []Info
	counted := map[File]bool{}
	for _, name := range names {
		at, err := nameTime(name)
		if err != nil {
			continue
		}
		info := Info{Name: name, WallMs: at.UnixMilli()}
		switch info.Marker, err = ReadMarker(fsys, Dir(dir, name)); {
		case err == nil:
			info.WallMs, info.Temporary = info.Marker.WallMs, info.Marker.Temporary
		case errors.Is(err, fs.ErrNotExist):
			info.Opened = true
		case !errors.Is(err, format.ErrCorrupt):
			return nil, fmt.Errorf("list snapshots: %w", err)
		}
		if info.Files, err = Files(fsys, Dir(dir, name)); err != nil {
			return nil, fmt.Errorf("list snapshots: %w", err)
		}
		for _, f := range info.Files {
			info.Bytes += f.Size
			if counted[f] {
				continue
			}
			pinned, err := isPinned(fsys, dir, name, f)
			if err != nil {
				return nil, fmt.Errorf("list snapshots: %w", err)
			}
			if pinned {
				counted[f] = linked(f.Path)
				info.PinnedBytes += f.Size
			}
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// Temporary returns the names of the temporary snapshots of the database in dir.
func Temporary(fsys vfs.FS, dir string) ([]string, error) {
	names, err := fsys.List(path.Join(dir, format.SnapshotsDir))
	if err != nil {
		return nil, ignoreGone(err)
	}
	var temporary []string
	for _, name := range names {
		if CheckName(name) != nil {
			continue
		}
		m, err := ReadMarker(fsys, Dir(dir, name))
		if err == nil && m.Temporary {
			temporary = append(temporary, name)
		}
	}
	return temporary, nil
}

// linked reports whether a file of a snapshot may be a link.
func linked(name string) bool {
	return strings.HasSuffix(name, format.BlockSuffix) || path.Dir(name) == format.WALDir
}

// isPinned reports whether the origin does not have the file. Names of blocks and
// segments are not used twice, so a file of the same name and size that has two links is
// the same.
func isPinned(fsys vfs.FS, dir, name string, f File) (bool, error) {
	if !linked(f.Path) {
		return true, nil
	}
	own, err := fsys.Stat(path.Join(Dir(dir, name), f.Path))
	if err != nil {
		return false, ignoreGone(err)
	}
	origin, err := fsys.Stat(path.Join(dir, f.Path))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist), ignoreGone(err)
	}
	return own.Links < 2 || origin.Links < 2 || origin.Size != f.Size, nil
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Files returns the files below a directory, sorted. Names of locks and of unfinished files
// are left out.
func Files(fsys vfs.FS, dir string) ([]File, error) { return files(fsys, dir, "", nil) }

func files(fsys vfs.FS, dir, rel string, found []File) ([]File, error) {
	names, err := fsys.List(path.Join(dir, rel))
	if err != nil {
		return found, ignoreGone(err)
	}
	for _, n := range names {
		f := path.Join(rel, n)
		info, err := fsys.Stat(path.Join(dir, f))
		switch {
		case errors.Is(err, fs.ErrNotExist), f == format.LockName, strings.HasSuffix(n, format.TempSuffix):
		case err != nil:
			return found, err
		case info.IsDir && f == format.SnapshotsDir:
		case info.IsDir:
			if found, err = files(fsys, dir, f, found); err != nil {
				return found, err
			}
		default:
			found = append(found, File{Path: f, Size: info.Size})
		}
	}
	return found, nil
}

// Open opens a file of a snapshot for reading.
func Open(fsys vfs.FS, dir, name, file string) (vfs.File, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if !fs.ValidPath(file) || strings.ContainsAny(file, "\\\x00") || file == format.LockName {
		return nil, &fs.PathError{Op: "open", Path: file, Err: fs.ErrNotExist}
	}
	at := path.Join(Dir(dir, name), file)
	info, err := fsys.Stat(at)
	if err != nil {
		return nil, err
	}
	if info.IsDir {
		return nil, &fs.PathError{Op: "open", Path: file, Err: fs.ErrNotExist}
	}
	return fsys.Open(at)
}
