package manifest

import (
	"errors"
	"fmt"
	"path"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// logFile is an open copy of the MANIFEST. Records are appended at size; the
// bytes before size are durable.
type logFile struct {
	file         vfs.File
	size         int64
	snapshotSize int64 // bytes up to the end of the snapshot
	edits        int   // number of edits after the snapshot
	version      uint32
}

// holds reports whether records of the given version may be appended.
func (l *logFile) holds(version uint32) bool { return l != nil && l.version >= version }

// long reports whether a fresh snapshot should replace the file instead of
// appending an edit of n bytes: the edits would outgrow the snapshot, or are so
// numerous that they take long to read.
func (l *logFile) long(n int) bool {
	return l.size+int64(n)-l.snapshotSize > max(maxLogBytes, l.snapshotSize) || l.edits >= maxLogEdits
}

// append writes a record after the last one and syncs it. After an error the end
// of the file is unknown, and l must not be used again.
func (l *logFile) append(name string, framed []byte) error {
	if _, err := l.file.WriteAt(framed, l.size); err != nil {
		return fmt.Errorf("append to %s@%d: %w", name, l.size, err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	l.size += int64(len(framed))
	l.edits++
	return nil
}

// writeSnapshot replaces the copy of the MANIFEST named base in dir with a
// snapshot of s: it writes and syncs a temporary file, renames it over the copy
// and syncs the directory. renamed reports whether the old file may be gone; if
// it is false, an error changed nothing.
func writeSnapshot(fsys vfs.FS, dir, base string, s *State) (_ *logFile, renamed bool, err error) {
	name := path.Join(dir, base)
	r := snapshotOf(s)
	version := r.version()
	b, err := appendFramed(manifestHeader(version), kindSnapshot, &r)
	if err != nil {
		return nil, false, err
	}
	f, temp, err := vfs.CreateTemp(fsys, name, format.TempSuffix)
	if err != nil {
		return nil, false, fmt.Errorf("create a file beside %s: %w", name, err)
	}
	defer func() {
		if err == nil {
			return
		}
		err = errors.Join(err, f.Close())
		if !renamed {
			// A leftover only wastes space, and the next snapshot removes it.
			_ = fsys.Remove(temp)
		}
	}()
	if _, err := f.WriteAt(b, 0); err != nil {
		return nil, false, fmt.Errorf("write %s: %w", temp, err)
	}
	if err := f.Sync(); err != nil {
		return nil, false, fmt.Errorf("sync %s: %w", temp, err)
	}
	if err := fsys.Rename(temp, name); err != nil {
		return nil, true, fmt.Errorf("rename %s: %w", temp, err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return nil, true, fmt.Errorf("sync %s: %w", dir, err)
	}
	return &logFile{file: f, size: int64(len(b)), snapshotSize: int64(len(b)), version: version}, true, nil
}

// Encode returns the bytes of a MANIFEST that holds a state and no edits.
func Encode(s *State) ([]byte, error) {
	r := snapshotOf(s)
	return appendFramed(manifestHeader(r.version()), kindSnapshot, &r)
}

// Decode returns the state in the bytes of a MANIFEST, which may be anything.
func Decode(b []byte) (*State, error) {
	records, torn, err := parseManifest(b)
	if err != nil {
		return nil, err
	}
	if torn.Bytes > 0 {
		return nil, damage(torn.Offset, "%d bytes after the last edit", torn.Bytes)
	}
	return replay(records)
}

// WriteCopy replaces the copy of the MANIFEST named base in dir with a snapshot
// of s.
func WriteCopy(fsys vfs.FS, dir, base string, s *State) error {
	log, _, err := writeSnapshot(fsys, dir, base, s)
	if err != nil {
		return err
	}
	if err := log.file.Close(); err != nil {
		return fmt.Errorf("close %s: %w", base, err)
	}
	return nil
}
