package archive_test

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"testing"

	"tsdb/internal/vfs"
	"tsdb/partition/manifest"
	"tsdb/storage"
	"tsdb/storage/archive"
	"tsdb/storage/snapshot"
)

// damagedWorld is a world with two L0s and a snapshot in which one of them is damaged.
func damagedWorld(t *testing.T, damage func(w *world, file string, size int64)) (w *world, dir, name string) {
	t.Helper()
	w = newWorld(t, 0)
	for range 2 {
		w.write()
		_, err := w.db.Flush(t.Context())
		w.must(err)
	}
	snap, err := w.db.Snapshot(t.Context(), storage.SnapshotOptions{})
	w.must(err)
	dir = snapshot.Dir("data", snap)
	st, _, err := manifest.Read(w.fs, dir)
	w.must(err)
	first := st.Sorted()[0]
	// A snapshot shares its files: the damaged one gets another inode.
	file := path.Join(dir, first.Name)
	copied := file + ".copy"
	w.must(vfs.Copy(w.fs, file, copied, first.Size))
	w.must(w.fs.Rename(copied, file))
	damage(w, file, first.Size)
	return w, dir, first.Name
}

// One damaged block does not keep the others from being archived, and the backup says
// that it is not complete. A restore refuses the moment, unless told to accept the damage.
// A later backup archives the block if it can be read again.
func TestADamagedBlockDoesNotStopABackup(t *testing.T) {
	for name, damage := range map[string]func(w *world, file string, size int64){
		"missing": func(w *world, file string, _ int64) { w.must(w.fs.Remove(file)) },
		"short": func(w *world, file string, size int64) {
			w.must(vfs.Copy(w.fs, file, file+".x", size-100))
			w.must(w.fs.Rename(file+".x", file))
		},
		"unlike it": func(w *world, file string, size int64) { flip(w, file, size-40) },
	} {
		t.Run(name, func(t *testing.T) {
			w, dir, lost := damagedWorld(t, damage)
			o := archive.BackupOptions{FS: w.fs, Dir: dir, Store: w.store, Clock: w.clock}
			r, err := archive.Backup(t.Context(), o)
			w.must(err)
			if len(r.Damaged) != 1 || r.Damaged[0].Name != lost || r.Blocks != 2 {
				t.Fatalf("%+v", r)
			}
			again, err := archive.Backup(t.Context(), o)
			w.must(err)
			if len(again.Damaged) != 1 || again.Written != 0 {
				t.Errorf("again: %+v", again)
			}
			to := vfs.NewMem()
			ro := archive.RestoreOptions{Store: w.store, Incarnation: r.Incarnation, FS: to, Dir: "restored", NewIncarnation: 99, Clock: w.clock}
			if _, err := archive.Restore(t.Context(), ro); !errors.Is(err, archive.ErrDamaged) || !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("restore of a moment that is not complete: %v", err)
			}
			ro.AcceptDamage = true
			got, err := archive.Restore(t.Context(), ro)
			w.must(err)
			if len(got.Damaged) != 1 || got.Damaged[0].Name != lost {
				t.Errorf("%+v", got)
			}
			db := w.open(to, "restored")
			if q := db.Quarantined(); len(q) != 1 {
				t.Errorf("quarantined: %v", q)
			}
			if w.answer(db) == "" {
				t.Error("the other block has left")
			}
			w.abandon(db)

			w.clock.Advance(1e9) // The block of the database itself is sound.
			r = w.backup()
			if len(r.Damaged) != 0 {
				t.Errorf("%+v", r)
			}
			whole, _, err := w.restore(r.Incarnation, archive.Target{})
			w.must(err)
			if whole != w.answer(w.db) {
				t.Error("the newest moment is not complete")
			}
		})
	}
}

// A snapshot that is given up is not taken for damage, nor is an archive that fails.
func TestAMissingSnapshotIsNotDamage(t *testing.T) {
	w := newWorld(t, 0)
	w.write()
	_, err := w.db.Flush(t.Context())
	w.must(err)
	name, err := w.db.Snapshot(t.Context(), storage.SnapshotOptions{SkipHead: true}) // no log fails besides
	w.must(err)
	dir := snapshot.Dir("data", name)
	fault := vfs.NewFault(w.fs)
	fault.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpOpen && path.Ext(op.Name) == ".tsb" {
			return errors.Join(vfs.RemoveAll(w.fs, dir), fs.ErrNotExist)
		}
		return nil
	})
	if r, err := archive.Backup(t.Context(), archive.BackupOptions{FS: fault, Dir: dir, Store: w.store, Clock: w.clock}); err == nil {
		t.Errorf("a backup of a snapshot that has gone: %+v", r)
	}
	list, err := archive.List(t.Context(), w.store)
	if err != nil || len(list) > 0 {
		t.Errorf("it has left a moment: %+v, %v", list, err)
	}
}

// A block that is damaged in the archive is restored as far as it can be read.
func TestDamageInTheArchive(t *testing.T) {
	w := newWorld(t, 0)
	w.write()
	_, err := w.db.Flush(t.Context())
	w.must(err)
	w.write()
	r := w.backup()
	keys, err := w.store.List(t.Context(), "")
	w.must(err)
	i := slices.IndexFunc(keys, func(key string) bool { return path.Ext(key) == ".tsb" })
	flip(w, path.Join("archive", keys[i]), 40) // in a page
	o := archive.RestoreOptions{Store: w.store, Incarnation: r.Incarnation, FS: vfs.NewMem(), Dir: "restored", NewIncarnation: 99, Clock: w.clock}
	if _, err := archive.Restore(t.Context(), o); !errors.Is(err, archive.ErrDamaged) {
		t.Fatalf("restore of a damaged block: %v", err)
	}
	o.AcceptDamage = true
	got, err := archive.Restore(t.Context(), o)
	w.must(err)
	if len(got.Damaged) != 1 {
		t.Errorf("%+v", got)
	}
	db := w.open(o.FS, "restored")
	defer w.abandon(db)
	if q := db.Quarantined(); len(q) > 0 {
		t.Errorf("the block is not opened: %v", q)
	}
}

// flip changes a byte of a file.
func flip(w *world, file string, at int64) {
	w.t.Helper()
	f, err := w.fs.Open(file)
	w.must(err)
	size, err := f.Size()
	w.must(err)
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	w.must(errors.Join(err, f.Close()))
	b[at] ^= 0x55
	w.must(w.fs.Remove(file))
	out, err := w.fs.Create(file)
	w.must(err)
	_, err = out.WriteAt(b, 0)
	w.must(errors.Join(err, out.Sync(), out.Close()))
}
