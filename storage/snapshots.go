package storage

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/blockset"
	"tsdb/partition/manifest"
	"tsdb/storage/log"
	"tsdb/storage/snapshot"
)

// snapshotIdle is how long a temporary snapshot stays when nobody reads it.
const snapshotIdle = 6 * time.Hour

var (
	// ErrSnapshotInUse is returned by RemoveSnapshot for a snapshot on which another
	// server runs.
	ErrSnapshotInUse = errors.New("a server runs on the snapshot")
	// ErrSnapshotName is returned for a name that no snapshot can have.
	ErrSnapshotName = snapshot.ErrName
)

// snapshots makes and removes the snapshots of a database.
//
// Lock order: mu; then that of catalog.
type snapshots struct {
	*env
	catalog *catalog
	space   *space
	writer  *writer
	past    *past
	cut     func(context.Context) error // takes a mark, if history is kept

	mu sync.Mutex // one snapshot is made or removed at a time; held over I/O

	uses struct {
		sync.Mutex
		last map[string]time.Time // when a temporary snapshot was last read
	}
}

// SnapshotOptions are the options of a snapshot. The zero value is the default.
type SnapshotOptions struct {
	SkipHead bool // leave out what is in no block yet
	// Temporary has the server remove the snapshot when free space is short, or when
	// nobody has read it for six hours.
	Temporary bool
}

// Snapshot makes a complete data directory of all that is acknowledged now, in
// DATA/snapshots, and returns its name. It takes no space but that of the log's last
// segment and of the MANIFEST, until the files that it shares leave the database.
func (db *DB) Snapshot(ctx context.Context, o SnapshotOptions) (string, error) {
	return db.snapshots.create(ctx, o)
}

func (s *snapshots) create(ctx context.Context, o SnapshotOptions) (name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkSpace(); err != nil {
		return "", err
	}
	if s.past != nil && !o.SkipHead {
		if err := s.cut(ctx); err != nil {
			s.log.Warn("a snapshot is made without a mark in the history", "err", err)
		} else {
			s.past.markPresent(ctx, s.writer)
		}
	}
	version, image, err := s.moment()
	if err != nil {
		return "", err
	}
	defer version.Release()
	defer image.Close()
	c := s.content(version, image, o)
	name = snapshot.Name(time.UnixMilli(c.Marker.WallMs), s.random(c.Marker))
	if err := snapshot.Create(ctx, s.fs, s.dir, name, c); err != nil {
		return "", err
	}
	if o.Temporary {
		s.used(name)
	}
	s.log.Info("snapshot made", "name", name, "blocks", len(c.State.Blocks), "edit", c.Marker.Edit, "lsn", c.Marker.LSN)
	return name, nil
}

// checkSpace returns ErrBusy if a snapshot could take the space that the samples in
// memory need.
func (s *snapshots) checkSpace() error {
	free, err := s.fs.FreeBytes(s.dir)
	if err != nil {
		return fmt.Errorf("measure the free disk space: %w", err)
	}
	// Written are the last segment, two copies of the MANIFEST and directories.
	const blockBytes = 4 << 10
	need := s.space.needed() + s.opts.WALSegmentBytes + 1<<20 + blockBytes*int64(len(s.catalog.manifest.State().Blocks))
	if total, err := s.fs.TotalBytes(s.dir); err == nil {
		need = min(need, max(s.space.needed(), int64(total/8)))
	}
	if free < uint64(need) {
		needs, has := model.FormatBytesPair(need, int64(free))
		return Busy(fmt.Sprintf("a snapshot needs %s of free disk space, there are %s", needs, has))
	}
	return nil
}

// moment returns the blocks and the log at one position: no part of a batch is split, and
// no edit is made between the last frame of the image and the state of the version.
func (s *snapshots) moment() (*blockset.Version, log.Image, error) {
	c := s.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	image, err := c.wal.Image(s.writer.position())
	if err != nil {
		return nil, nil, fmt.Errorf("make snapshot: %w", walError(err))
	}
	return c.set.Acquire(), image, nil
}

// content returns what a snapshot of the moment is made of.
func (s *snapshots) content(version *blockset.Version, image log.Image, o SnapshotOptions) snapshot.Content {
	pos := image.Pos()
	st := version.State().Clone()
	st.HighGen, st.HighLSN, st.HighSegment = max(st.HighGen, pos.Generation), max(st.HighLSN, pos.LSN), max(st.HighSegment, pos.Segment)
	clear(st.Dropped)
	c := snapshot.Content{
		State: st,
		Marker: snapshot.Marker{
			Temporary: o.Temporary, WallMs: s.now(), Edit: st.Number, LSN: pos.LSN, Generation: pos.Generation, Incarnation: st.Incarnation.ID,
		},
		Missing: func(name string) bool {
			e := version.Find(name)
			return e == nil || e.Err() != nil
		},
	}
	if o.SkipHead {
		// The log has the newest deletions, of samples in blocks too.
		st.WALLow = st.HighGen + 1
		st.Tombstones = slices.DeleteFunc(s.catalog.tombstones.all(st.Tombstones), func(t manifest.Tombstone) bool { return t.Gen > st.HighGen })
		return c
	}
	c.Log = func(wal, list string) error {
		defer image.Close() // the log releases segments again
		_, err := image.CopyTo(st.WALLow, wal, list)
		return err
	}
	return c
}

// random returns a random number, or with Options.Seed a function of it and of m.
func (s *snapshots) random(m snapshot.Marker) uint32 {
	var b [32]byte
	if s.opts.Seed == 0 {
		_, _ = rand.Read(b[:]) // never fails
	} else {
		binary.LittleEndian.PutUint64(b[:], s.opts.Seed)
		binary.LittleEndian.PutUint64(b[8:], uint64(m.WallMs))
		binary.LittleEndian.PutUint64(b[16:], m.LSN)
		binary.LittleEndian.PutUint64(b[24:], m.Edit)
	}
	return encoding.Checksum(b[:])
}

// RemoveSnapshot removes a snapshot. A missing one is fs.ErrNotExist.
func (db *DB) RemoveSnapshot(name string) error { return db.snapshots.remove(name) }

func (s *snapshots) remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := snapshot.Remove(s.fs, s.dir, name)
	if errors.Is(err, vfs.ErrLocked) {
		return fmt.Errorf("%w: %w", ErrSnapshotInUse, err)
	}
	if err == nil {
		s.uses.Lock()
		delete(s.uses.last, name)
		s.uses.Unlock()
		s.log.Info("snapshot removed", "name", name)
	}
	return err
}

// OpenSnapshotFile opens a file of a snapshot for reading; file is relative to the
// snapshot. The reader keeps a temporary snapshot from expiring.
func (db *DB) OpenSnapshotFile(name, file string) (vfs.File, error) {
	f, err := snapshot.Open(db.fs, db.dir, name, file)
	if err == nil {
		db.snapshots.used(name)
	}
	return f, err
}

// used notes that a snapshot is read now.
func (s *snapshots) used(name string) {
	s.uses.Lock()
	defer s.uses.Unlock()
	if s.uses.last == nil {
		s.uses.last = map[string]time.Time{}
	}
	s.uses.last[name] = s.opts.Clock.Now()
}

// clean removes what a crash has left of snapshots.
func (s *snapshots) clean() {
	if err := snapshot.Clean(s.fs, s.dir); err != nil {
		s.log.Warn("the remains of a snapshot cannot be removed", "err", err)
	}
}

// expire removes temporary snapshots that nobody has read for a while.
func (s *snapshots) expire(context.Context) error {
	return s.removeTemporary(func(name string) bool {
		s.uses.Lock()
		last, ok := s.uses.last[name]
		s.uses.Unlock()
		if !ok { // made or last read by an earlier process
			s.used(name)
			return false
		}
		return s.opts.Clock.Now().Sub(last) >= snapshotIdle
	}, "nobody has read it")
}

// giveUp removes all temporary snapshots, because free space is short.
func (s *snapshots) giveUp(context.Context) error {
	return s.removeTemporary(func(string) bool { return true }, "free disk space is short")
}

func (s *snapshots) removeTemporary(which func(name string) bool, why string) error {
	names, err := snapshot.Temporary(s.fs, s.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if which(name) {
			s.log.Warn("temporary snapshot is given up", "name", name, "why", why)
			errs = append(errs, s.remove(name))
		}
	}
	return errors.Join(errs...)
}

// temporaryBytes returns the bytes that giveUp frees at least.
func (s *snapshots) temporaryBytes() (n int64) {
	s.uses.Lock()
	none := len(s.uses.last) == 0
	s.uses.Unlock()
	if none {
		return 0
	}
	infos, err := snapshot.List(s.fs, s.dir)
	if err != nil {
		return 0
	}
	for _, info := range infos {
		if info.Temporary {
			n += info.PinnedBytes
		}
	}
	return n
}
