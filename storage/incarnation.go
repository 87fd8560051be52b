package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"

	"tsdb/encoding"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// ensureIncarnation gives the database a new incarnation if it has none yet, or is a
// snapshot that is opened for the first time: from then on it has a history of its
// own, and backups must not mix it with that of its origin. A database without
// room for the edit goes on without.
func (e *env) ensureIncarnation(m *manifest.Manifest) error {
	marker := path.Join(e.dir, format.SnapshotName)
	_, err := e.fs.Stat(marker)
	isSnapshot := err == nil
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return fmt.Errorf("look for %s: %w", format.SnapshotName, err)
	}
	st := m.State()
	if st.Incarnation.ID != 0 && !isSnapshot {
		return nil
	}
	next := st.Incarnation
	next.ID = e.newIncarnation(st)
	edit := manifest.Edit{WallMs: e.now(), Incarnation: &next}
	_, err = m.Apply(edit)
	if err != nil && isNoSpace(err) && e.giveReserveUp() {
		_, err = m.Apply(edit)
	}
	switch {
	case err != nil && isNoSpace(err):
		e.log.Warn("the database gets its incarnation with a later start: the disk is full", "err", err)
		return nil
	case err != nil:
		return fmt.Errorf("record the incarnation: %w", err)
	}
	if !isSnapshot {
		return nil
	}
	if err := errors.Join(e.fs.Remove(marker), e.fs.SyncDir(e.dir)); err != nil {
		return fmt.Errorf("remove %s: %w", format.SnapshotName, err) // the next start makes another incarnation
	}
	return nil
}

// newIncarnation returns a random number, or with Options.Seed a function of it, of
// the time and of the state.
func (e *env) newIncarnation(st *manifest.State) (id uint64) {
	if e.opts.Seed == 0 {
		return newSeed(0)
	}
	b := binary.LittleEndian.AppendUint64(nil, e.opts.Seed)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.now()))
	b = binary.LittleEndian.AppendUint64(b, st.Number)
	b = binary.LittleEndian.AppendUint64(b, st.Incarnation.ID)
	hi := encoding.Checksum(b)
	return uint64(hi)<<32 | uint64(encoding.ChecksumSeeded(hi, b)) | 1
}
