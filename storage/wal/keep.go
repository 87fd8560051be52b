package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"tsdb/internal/vfs"
)

// keptSuffix ends <id>.<ms>.kept: a segment that was released at the wall time ms and
// stays for Options.Keep, so that a backup can archive its frames.
const keptSuffix = ".kept"

// keptSegment is a released segment that is kept.
type keptSegment struct {
	name       string // without the directory
	id         uint64
	releasedMs int64
	size       int64
}

func keptName(id uint64, releasedMs int64) string {
	return idString(id) + "." + strconv.FormatInt(releasedMs, 10) + keptSuffix
}

// parseKept returns the numbers in the name of a kept segment.
func parseKept(name string) (s keptSegment, ok bool) {
	base, found := strings.CutSuffix(name, keptSuffix)
	digits, ms, cut := strings.Cut(base, ".")
	if !found || !cut {
		return s, false
	}
	id, err := strconv.ParseUint(digits, 10, 64)
	at, atErr := strconv.ParseInt(ms, 10, 64)
	if err != nil || atErr != nil || id == 0 || name != keptName(id, at) {
		return s, false
	}
	return keptSegment{name: name, id: id, releasedMs: at}, true
}

// listKept returns the kept segments in a directory, by rising id.
func listKept(fsys vfs.FS, dir string) ([]keptSegment, error) {
	names, err := fsys.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var kept []keptSegment
	for _, n := range names {
		s, ok := parseKept(n)
		if !ok {
			continue
		}
		info, err := fsys.Stat(path.Join(dir, n))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		s.size = info.Size
		kept = append(kept, s)
	}
	return kept, nil
}

// keep renames a released segment, so that it stays for Options.Keep. What is allocated
// after its frames is cut off unless the file has other links.
func (l *Log) keep(s closedSegment, links int) error {
	old := segmentName(l.dir, s.id)
	k := keptSegment{name: keptName(s.id, l.o.Clock.Now().UnixMilli()), id: s.id, size: s.size}
	k, _ = parseKept(k.name)
	k.size = s.size
	if links <= 1 && s.bytes < s.size {
		if f, err := l.fs.OpenReadWrite(old); err == nil {
			if f.Truncate(s.bytes) == nil {
				k.size = s.bytes
			}
			_ = f.Close() // the frames are durable; only space is at stake
		}
	}
	if err := l.fs.Rename(old, path.Join(l.dir, k.name)); err != nil {
		return err
	}
	l.mu.Lock()
	l.mu.kept = append(l.mu.kept, k)
	l.mu.Unlock()
	return nil
}

// expireKept removes the kept segments that were released before Options.Keep, or all.
// The caller holds release.
func (l *Log) expireKept(all bool) error {
	before := l.o.Clock.Now().Add(-l.o.Keep).UnixMilli()
	l.mu.Lock()
	kept := l.mu.kept
	l.mu.Unlock()
	var stay []keptSegment
	var errs []error
	for _, k := range kept {
		if !all && l.o.Keep > 0 && k.releasedMs > before {
			stay = append(stay, k)
			continue
		}
		if err := l.fs.Remove(path.Join(l.dir, k.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			stay = append(stay, k)
			errs = append(errs, err)
		}
	}
	if len(stay) < len(kept) {
		errs = append(errs, l.fs.SyncDir(l.dir))
	}
	l.mu.Lock()
	l.mu.kept = stay
	l.mu.Unlock()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove kept segments: %w", err)
	}
	return nil
}

// KeptBytes returns the bytes of released segments that are kept for backups.
func (l *Log) KeptBytes() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.mu.kept {
		n += k.size
	}
	return n
}
