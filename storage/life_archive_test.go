package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/storage"
	"tsdb/storage/archive"
	"tsdb/storage/snapshot"
)

// lifeArchive is an archive and what its moments hold.
type lifeArchive struct {
	store   *objstore.Dir
	moments []*lifeMoment // that may be restored, oldest first
	newest  *lifeMoment   // last backup of this incarnation; nil = none

	maxMs   int64 // highest time of this incarnation; clocks may be set back
	unclear bool  // what a moment restored from the last backup has: something came beside the log, or a floor fell
}

// lifeMoment is a moment and what the database held.
type lifeMoment struct {
	incarnation uint64
	atMs        int64
	backup      *lifeMoment // the one before; nil = this is one
	archived    bool        // a later backup has the log up to here
	model       *lifeModel
	floors      *lifeFloors // of the backup
}

// lifeMoments bounds the moments that are remembered: each holds a model.
const lifeMoments = 12

func newLifeArchive() *lifeArchive {
	return &lifeArchive{store: objstore.NewDir(vfs.NewMem(), "archive")}
}

// tick notes the time. A clock that is set back makes moments ambiguous.
func (a *lifeArchive) tick(now int64) {
	if now < a.maxMs && a.newest != nil {
		a.forget(a.newest.incarnation, now)
	}
	a.maxMs = max(a.maxMs, now)
}

// forget drops the moments of an incarnation from a time on.
func (a *lifeArchive) forget(incarnation uint64, from int64) {
	a.moments = slices.DeleteFunc(a.moments, func(m *lifeMoment) bool { return m.incarnation == incarnation && m.atMs >= from })
}

// begin begins a new incarnation.
func (a *lifeArchive) begin() {
	a.moments = slices.DeleteFunc(a.moments, func(m *lifeMoment) bool { return !m.archived })
	a.newest, a.maxMs, a.unclear = nil, 0, false
}

func (a *lifeArchive) add(m *lifeMoment) {
	if a.moments = append(a.moments, m); len(a.moments) > lifeMoments {
		a.moments = slices.Delete(a.moments, 0, 1)
	}
}

// backup archives the database.
func (w *lifeWorld) backup() error {
	name, err := w.db.Snapshot(w.ctx, storage.SnapshotOptions{Temporary: true})
	if err != nil {
		return err
	}
	a := w.archive
	r, err := archive.Backup(w.ctx, archive.BackupOptions{FS: w.fs, Dir: snapshot.Dir(w.dir, name), Store: a.store, Clock: w.clock})
	if err != nil {
		return err
	}
	w.counts.backups++
	for _, m := range a.moments {
		m.archived = m.archived || m.incarnation == r.Incarnation
	}
	a.forget(r.Incarnation, r.Mark.WallMs)
	a.newest = &lifeMoment{incarnation: r.Incarnation, atMs: r.Mark.WallMs, archived: true, model: w.model.clone(), floors: w.floors.clone()}
	a.add(a.newest)
	a.unclear = false
	a.tick(r.Mark.WallMs)
	w.clock.Advance(time.Millisecond)
	a.tick(w.now())
	return w.db.RemoveSnapshot(name)
}

// remember notes what the database holds now. A moment is of use if it can be told by
// its time, and if the log has all that came since the last backup.
func (w *lifeWorld) remember() error {
	a := w.archive
	if a.newest == nil || a.unclear || w.now() < a.maxMs {
		return nil
	}
	m := &lifeMoment{incarnation: a.newest.incarnation, atMs: w.now(), backup: a.newest, model: w.model.clone(), floors: a.newest.floors}
	for i := range m.model.series { // what has expired since the backup comes back
		s := &m.model.series[i]
		s.samples, s.expired = *s.ever(), model.Samples{}
		m.model.expire(i, m.floors.raw(i))
	}
	a.add(m)
	w.clock.Advance(time.Millisecond) // what comes now is later
	a.tick(w.now())
	w.counts.moments++
	return nil
}

// restoreBackup restores a moment into another directory and compares it. With flag,
// life goes on there.
func (w *lifeWorld) restoreBackup(o lifeOp) error {
	a := w.archive
	if len(a.moments) == 0 {
		return nil
	}
	m := a.moments[o.n%len(a.moments)]
	between := slices.DeleteFunc(slices.Clone(a.moments), func(m *lifeMoment) bool { return m.backup == nil || !m.archived })
	if n := len(between); n > 0 && o.n%4 > 0 {
		m = between[o.n%n]
	}
	to, dir := vfs.NewMem(), "some/where/restored"
	_, err := archive.Restore(w.ctx, archive.RestoreOptions{
		Store: a.store, Incarnation: m.incarnation, Target: archive.Target{AtMs: &m.atMs}, FS: to, Dir: dir, NewIncarnation: uint64(o.n) | 1<<40, Clock: w.clock,
	})
	if !m.archived {
		if !errors.Is(err, archive.ErrNotCovered) {
			return fmt.Errorf("restore %s, after the newest backup: %w", lifeTime(m.atMs), err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", lifeTime(m.atMs), err)
	}
	if m.backup != nil {
		w.counts.restoredMoments++
	}
	if !o.flag {
		other := &lifeWorld{ctx: w.ctx, fs: to, dir: dir, clock: w.clock, o: w.o, model: m.model, floors: m.floors, hadRollups: w.hadRollups, hadRules: w.hadRules, engine: w.engine, counts: w.counts}
		if err := other.open(); err != nil {
			return err
		}
		err := other.readAll()
		return errors.Join(err, other.db.Close(w.ctx), other.check(dir))
	}
	if err := errors.Join(w.db.Close(w.ctx), w.check(w.dir)); err != nil {
		return err
	}
	w.db, w.fs, w.dir, w.model, w.snapshots, w.floors = nil, to, dir, m.model.clone(), nil, m.floors.clone()
	if err := w.check(w.dir); err != nil {
		return err
	}
	if err := w.open(); err != nil {
		return err
	}
	a.begin()
	w.counts.restores++
	return w.readAll()
}
