package archive_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tsdb/internal/doctortest"
	"tsdb/internal/objstore"
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

// damagedArchive is an archive with three moments, of which later tests damage an object.
type damagedArchive struct {
	*world
	mem   *vfs.Mem
	inc   uint64
	marks []archive.MarkRef
	next  string // a snapshot that is not archived yet
	want  string // what it answers
	truth map[uint64]string
}

func newDamagedArchive(t *testing.T) *damagedArchive {
	t.Helper()
	d := &damagedArchive{world: newWorld(t, 24*time.Hour), truth: map[uint64]string{}}
	d.mem = d.fs.(*vfs.Mem)
	step := func() {
		d.clock.Advance(time.Minute)
		d.write()
	}
	for range 3 {
		step()
		_, err := d.db.Flush(t.Context())
		d.must(err)
		step()
		step()
		r := d.backup()
		d.inc, d.marks = r.Incarnation, append(d.marks, r.Mark)
	}
	step()
	name, err := d.db.Snapshot(t.Context(), storage.SnapshotOptions{})
	d.must(err)
	d.next, d.want = snapshot.Dir("data", name), d.answer(d.db)
	return d
}

// objects returns the objects by their kind.
func (d *damagedArchive) objects() map[string]string {
	d.t.Helper()
	keys, err := d.store.List(d.t.Context(), "")
	d.must(err)
	all := map[string]string{}
	for _, key := range keys { // in ascending order: the first and the last of a kind
		kind := path.Ext(key)
		if _, known := all["first "+kind]; !known {
			all["first "+kind] = key
		}
		all["last "+kind] = key
	}
	return all
}

// restoreFrom restores a target, and what the error advises if it fails.
func (d *damagedArchive) restoreFrom(store objstore.Store, target archive.Target, accept bool) (string, *archive.RestoreReport, error) {
	d.t.Helper()
	to := vfs.NewMem()
	r, err := archive.Restore(d.t.Context(), archive.RestoreOptions{
		Store: store, Incarnation: d.inc, Target: target, FS: to, Dir: "restored", NewIncarnation: 99, Clock: d.clock, AcceptDamage: accept,
	})
	if err != nil {
		return "", nil, err
	}
	if len(r.Damaged) == 0 {
		doctortest.Check(d.t, to, "restored")
	}
	db := d.open(to, "restored")
	defer d.abandon(db)
	return d.answer(db), r, nil
}

var advice = regexp.MustCompile(`--at-lsn (\d+)|--at (\S+Z)`)

// wholeOrAdvice checks that a moment is restored as it was, or that the error says which one
// can be instead, and that this is true.
// inAll tells that all moments need the object that is damaged.
func (d *damagedArchive) wholeOrAdvice(store objstore.Store, lsn uint64, inAll bool) (whole bool) {
	d.t.Helper()
	got, _, err := d.restoreFrom(store, archive.Target{LSN: &lsn}, false)
	if err == nil {
		if got != d.truth[lsn] {
			d.t.Errorf("LSN %d is another moment:\n%s\nwant\n%s", lsn, got, d.truth[lsn])
		}
		return true
	}
	m := advice.FindStringSubmatch(err.Error())
	switch {
	case m == nil:
		if lsn != d.marks[0].LSN && !inAll || !strings.Contains(err.Error(), "no earlier moment that is whole") {
			d.t.Errorf("LSN %d: the error does not say what can be restored: %v", lsn, err)
		}
		return false
	case m[1] == "":
		d.t.Fatalf("marks have LSNs of their own: %v", err)
	}
	instead, numErr := strconv.ParseUint(m[1], 10, 64)
	d.must(numErr)
	if instead >= lsn {
		d.t.Errorf("LSN %d is advised instead of %d: %v", instead, lsn, err)
	}
	got, _, secondErr := d.restoreFrom(store, archive.Target{LSN: &instead}, false)
	if secondErr != nil || got != d.truth[instead] {
		d.t.Errorf("instead of LSN %d, LSN %d is not whole: %v\n%v\n%s", lsn, instead, err, secondErr, got)
	}
	return false
}

// Whichever object of an archive is damaged, and how: every moment is restored whole, or the
// error says which one can be, and with which flag. The next backup tells of damage, does
// not depend on it, and can be restored; the one after it finds none.
func TestEveryKindOfDamageInTheArchive(t *testing.T) {
	d := newDamagedArchive(t)
	for lsn := d.marks[0].LSN; lsn <= d.marks[2].LSN; lsn++ {
		var err error
		d.truth[lsn], _, err = d.restoreFrom(d.store, archive.Target{LSN: &lsn}, false)
		d.must(err)
	}
	objects := d.objects()
	if len(objects) != 8 {
		t.Fatalf("objects %v", objects)
	}
	for kind, key := range objects {
		file := path.Join("archive", key)
		size := fileSize(d.world, file)
		damages := map[string]func(w *world){
			"missing": func(w *world) { w.must(w.fs.Remove(file)) },
			"short":   func(w *world) { truncate(w, file, size/2) },
			"empty":   func(w *world) { truncate(w, file, 0) },
		}
		flips := []int64{0, 9, size / 3, size - 1}
		if testing.Short() {
			flips = flips[1:2]
		}
		for _, at := range flips {
			damages[fmt.Sprint("byte ", at)] = func(w *world) { flip(w, file, at) }
		}
		for how, damage := range damages {
			t.Run(kind+" "+how, func(t *testing.T) {
				c := *d
				w := *d.world
				w.t, w.fs = t, d.mem.Clone()
				w.store = objstore.NewDir(w.fs, "archive")
				c.world = &w
				damage(&w)
				list, err := archive.List(t.Context(), w.store)
				if err != nil || len(list) != 1 {
					t.Fatalf("list: %v, %v", list, err)
				}
				isHead, isMark, isBlock := path.Ext(key) == ".head", path.Ext(key) == ".mark", path.Ext(key) == ".tsb"
				if (list[0].Damage != nil) != isHead || isHead && len(list[0].Marks) != 3 {
					t.Errorf("list: %+v", list)
				}
				inAll := kind == "first .tsb"
				whole := 0
				for _, m := range c.marks {
					if c.wholeOrAdvice(w.store, m.LSN, inAll) {
						whole++
					}
				}
				if isHead && whole != 3 {
					t.Errorf("without the head %d moments are whole", whole)
				}
				newest, _, err := c.restoreFrom(w.store, archive.Target{}, false)
				if err == nil && newest != c.truth[c.marks[2].LSN] || err != nil && !inAll && advice.FindString(err.Error()) == "" {
					t.Errorf("the newest: %v\n%s", err, newest)
				}
				_, r, acceptErr := c.restoreFrom(w.store, archive.Target{}, true)
				if err != nil && !isMark && (acceptErr != nil || len(r.Damaged) == 0 && r.LogErr == nil) {
					t.Errorf("the rest of the newest: %+v, %v", r, acceptErr)
				}

				o := archive.BackupOptions{FS: w.fs, Dir: c.next, Store: w.store, Clock: w.clock}
				b, err := archive.Backup(t.Context(), o)
				if err != nil || (b.DamagedHead != nil) != isHead || (len(b.DamagedMarks) > 0) != isMark {
					t.Fatalf("backup: %+v, %v", b, err)
				}
				got, _, err := c.restoreFrom(w.store, archive.Target{}, false)
				switch {
				case err == nil && got != c.want:
					t.Errorf("the next backup:\n%s\nwant\n%s", got, c.want)
				case err != nil && (how == "missing" || !isBlock && path.Ext(key) != ".frames"):
					t.Errorf("the next backup: %v", err)
				case err != nil && !errors.Is(err, archive.ErrDamaged):
					t.Errorf("the next backup: %v", err)
				case err != nil: // what is removed is archived again
					w.must(w.fs.Remove(file))
					_, err := archive.Backup(t.Context(), o)
					w.must(err)
					if got, _, err := c.restoreFrom(w.store, archive.Target{}, false); err != nil || got != c.want {
						t.Errorf("after the object was removed: %v\n%s\nwant\n%s", err, got, c.want)
					}
				}
				if b, err = archive.Backup(t.Context(), o); err != nil || b.DamagedHead != nil || len(b.DamagedMarks) > 0 {
					t.Errorf("the backup after that: %+v, %v", b, err)
				}
			})
		}
	}
}

func fileSize(w *world, file string) int64 {
	w.t.Helper()
	info, err := w.fs.Stat(file)
	w.must(err)
	return info.Size
}

func truncate(w *world, file string, size int64) {
	w.t.Helper()
	f, err := w.fs.OpenReadWrite(file)
	w.must(err)
	w.must(errors.Join(f.Truncate(size), f.Sync(), f.Close()))
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
