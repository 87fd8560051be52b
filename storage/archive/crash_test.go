package archive_test

import (
	"errors"
	"math/rand"
	"path"
	"strings"
	"testing"
	"time"

	"tsdb/internal/doctortest"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/storage"
	"tsdb/storage/archive"
	"tsdb/storage/snapshot"
)

// faultWorld is a world whose archive, with one mark and an object that is due to be
// deleted, lies on a file system of its own, and a snapshot that is to be backed up.
type faultWorld struct {
	*world
	mem    *vfs.Mem // of the archive
	first  *archive.BackupReport
	before string // what the first mark answers
	after  string // what the snapshot answers
	dir    string // the snapshot
}

func newFaultWorld(t *testing.T) *faultWorld {
	t.Helper()
	f := &faultWorld{world: newWorld(t, 0), mem: vfs.NewMem()}
	f.must(errors.Join(f.mem.MkdirAll("archive"), f.mem.SyncDir(".")))
	f.store = objstore.NewDir(f.mem, "archive")
	f.write()
	_, err := f.db.Flush(t.Context())
	f.must(err)
	f.write()
	f.first = f.backup()
	f.before = f.answer(f.db)
	inc := archive.IncarnationID(f.first.Incarnation)
	w, err := f.store.Create(t.Context(), inc+"/log/old.frames")
	f.must(err)
	_, err = w.Write([]byte("unreferenced"))
	f.must(err)
	_, err = w.Commit(t.Context())
	f.must(err)
	f.clock.Advance(time.Second)
	f.backup()
	f.clock.Advance(25 * time.Hour) // the grace of old.frames is over
	f.write()
	_, err = f.db.Flush(t.Context())
	f.must(err)
	f.write()
	f.after = f.answer(f.db)
	name, err := f.db.Snapshot(t.Context(), storage.SnapshotOptions{})
	f.must(err)
	f.dir = snapshot.Dir("data", name)
	return f
}

// backupTo backs the snapshot up to an archive.
func (f *faultWorld) backupTo(fsys vfs.FS) error {
	_, err := archive.Backup(f.t.Context(), archive.BackupOptions{FS: f.fs, Dir: f.dir, Store: objstore.NewDir(fsys, "archive"), Clock: f.clock})
	return err
}

// wantMarks restores the first mark, and the newest if it is there.
func (f *faultWorld) wantMarks(fsys vfs.FS, what string, newest bool) {
	f.t.Helper()
	f.store = objstore.NewDir(fsys, "archive")
	got, _, err := f.restore(f.first.Incarnation, archive.Target{LSN: &f.first.Mark.LSN})
	if err != nil || got != f.before {
		f.t.Fatalf("%s: the first mark: %v\n%s\nwant\n%s", what, err, got, f.before)
	}
	got, r, err := f.restore(f.first.Incarnation, archive.Target{})
	if err != nil {
		f.t.Fatalf("%s: the newest mark: %v", what, err)
	}
	if isNew := r.LSN > f.first.Mark.LSN+1 && got == f.after; !isNew && (newest || got != f.before) {
		f.t.Fatalf("%s: the newest mark answers\n%s\nwant\n%s", what, got, f.after)
	}
}

// After a power cut at any operation of a backup, the collection included, what was
// archived is still there, and a repeated backup succeeds.
func TestBackupAfterAPowerCut(t *testing.T) {
	f := newFaultWorld(t)
	fault := vfs.NewFault(f.mem)
	fault.Count(vfs.MutatingOps)
	rng := rand.New(rand.NewSource(3))
	type state struct {
		op vfs.Op
		fs *vfs.Mem
	}
	var states []state
	fault.SetHook(func(op vfs.Op) error {
		o := []vfs.CrashOptions{{}, {Mode: vfs.CrashSectors, Keep: 0.5, Rand: rng}, {Mode: vfs.CrashTorn, Rand: rng}}[rng.Intn(3)]
		states = append(states, state{op, f.mem.CrashClone(o)})
		return nil
	})
	f.must(f.backupTo(fault))
	fault.SetHook(nil)
	deleted := false
	for _, s := range states {
		deleted = deleted || s.op.Kind == vfs.OpRemove && path.Base(s.op.Name) == "old.frames"
		f.wantMarks(s.fs, "power cut before "+s.op.String(), false)
		if err := f.backupTo(s.fs); err != nil {
			t.Fatalf("backup after a power cut before %v: %v", s.op, err)
		}
		f.wantMarks(s.fs, "repeated after a power cut before "+s.op.String(), true)
	}
	t.Logf("%d states", len(states))
	if !deleted {
		t.Error("no object was deleted")
	}
}

// A failed operation fails the backup, not the archive; repeated it succeeds.
func TestBackupWithFailures(t *testing.T) {
	f := newFaultWorld(t)
	for _, cause := range []error{errors.New("injected"), vfs.ErrShortWrite} {
		for k := 1; ; k++ {
			mem := f.mem.Clone()
			fault := vfs.NewFault(mem)
			fault.FailAt(k, cause)
			err := f.backupTo(fault)
			done := fault.N() < k
			fault.SetHook(nil)
			if k%4 == 0 { // each restore takes a while
				f.wantMarks(mem, "failure", err == nil)
			}
			if err := f.backupTo(mem); err != nil {
				t.Fatalf("backup after a failure of operation %d: %v", k, err)
			}
			if k%4 == 1 {
				f.wantMarks(mem, "repeated", true)
			}
			if done {
				if err != nil {
					t.Errorf("without a failure: %v", err)
				}
				break
			}
		}
	}
}

// What does not read back as it was written fails the backup, and the archive stays as
// it was.
func TestBackupVerifiesWhatItWrote(t *testing.T) {
	f := newFaultWorld(t)
	for _, ext := range []string{".tsb", ".frames", ".mark"} {
		mem := f.mem.Clone()
		fault := vfs.NewFault(mem)
		fault.Skip(func(o vfs.Op) bool { return o.Kind == vfs.OpWrite && strings.Contains(o.Name, ext) })
		if err := f.backupTo(fault); err == nil {
			t.Errorf("lost writes of %s are not noticed", ext)
		}
		f.wantMarks(mem, "lost writes of "+ext, false)
		f.must(f.backupTo(mem))
		f.wantMarks(mem, "repeated", true)
	}
}

// After a power cut at any operation of a restore no server starts on what there is, or
// it is all there; a repeated restore succeeds.
func TestRestoreAfterAPowerCut(t *testing.T) {
	f := newFaultWorld(t)
	f.must(f.backupTo(f.mem))
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	fault.Count(vfs.MutatingOps)
	rng := rand.New(rand.NewSource(4))
	type state struct {
		op vfs.Op
		fs *vfs.Mem
	}
	var states []state
	fault.SetHook(func(op vfs.Op) error {
		o := []vfs.CrashOptions{{}, {Mode: vfs.CrashSectors, Keep: 0.5, Rand: rng}, {Mode: vfs.CrashTorn, Rand: rng}}[rng.Intn(3)]
		states = append(states, state{op, mem.CrashClone(o)})
		return nil
	})
	restore := func(to vfs.FS) error {
		_, err := archive.Restore(t.Context(), archive.RestoreOptions{
			Store: f.store, Incarnation: f.first.Incarnation, FS: to, Dir: "restored", NewIncarnation: 9, Clock: f.clock,
		})
		return err
	}
	f.must(restore(fault))
	refused := 0
	for _, s := range states {
		db, err := storage.Open(t.Context(), s.fs.Clone(), "restored", f.opts)
		switch {
		case errors.Is(err, storage.ErrRestoring):
			refused++
		case err != nil:
			t.Fatalf("start after a power cut before %v: %v", s.op, err)
		default:
			if got := f.answer(db); got != f.after && got != "" {
				t.Fatalf("start after a power cut before %v:\n%s\nwant\n%s", s.op, got, f.after)
			}
			f.abandon(db)
		}
		if err := restore(s.fs); err != nil && !strings.Contains(err.Error(), "not empty") {
			t.Fatalf("restore after a power cut before %v: %v", s.op, err)
		}
		doctortest.Check(t, s.fs, "restored")
		db = f.open(s.fs, "restored")
		if got := f.answer(db); got != f.after {
			t.Fatalf("repeated after a power cut before %v:\n%s\nwant\n%s", s.op, got, f.after)
		}
		f.abandon(db)
	}
	t.Logf("%d states, %d refused", len(states), refused)
	if refused == 0 {
		t.Error("no start was refused")
	}
}

// A failed operation fails the restore; repeated it succeeds.
func TestRestoreWithFailures(t *testing.T) {
	f := newFaultWorld(t)
	f.must(f.backupTo(f.mem))
	for k := 1; ; k++ {
		mem := vfs.NewMem()
		fault := vfs.NewFault(mem)
		fault.FailAt(k, vfs.ErrShortWrite)
		o := archive.RestoreOptions{Store: f.store, Incarnation: f.first.Incarnation, FS: fault, Dir: "restored", NewIncarnation: 9, Clock: f.clock}
		_, err := archive.Restore(t.Context(), o)
		done := fault.N() < k
		fault.SetHook(nil)
		if err != nil {
			if _, err := archive.Restore(t.Context(), o); err != nil && !strings.Contains(err.Error(), "not empty") {
				t.Fatalf("restore after a failure of operation %d: %v", k, err)
			}
		}
		doctortest.Check(t, mem, "restored")
		db := f.open(mem, "restored")
		if got := f.answer(db); got != f.after {
			t.Fatalf("after a failure of operation %d:\n%s\nwant\n%s", k, got, f.after)
		}
		f.abandon(db)
		if done {
			return
		}
	}
}
