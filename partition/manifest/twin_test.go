package manifest

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// twoCopies returns both copies of a MANIFEST with edits of every kind.
func twoCopies(t *testing.T) (files map[string][]byte, want *State) {
	t.Helper()
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	want = someEdits(t, m)
	must(t, m.Close())
	files = map[string][]byte{}
	for _, base := range CopyNames {
		b, err := readFile(fsys, "d/"+base, MaxManifestBytes)
		must(t, err)
		files[base] = b
	}
	if !bytes.Equal(files[format.ManifestName], files[format.TwinName]) {
		t.Fatal("the copies differ")
	}
	return files, want
}

// openWith opens a directory with the given copies, nil for none, and closes it.
func openWith(t *testing.T, fsys vfs.FS, files map[string][]byte, minEdit uint64) (*Manifest, error) {
	t.Helper()
	for _, base := range CopyNames {
		if files[base] != nil {
			putFile(t, fsys, "d/"+base, files[base])
		} else if err := fsys.Remove("d/" + base); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	m, err := Open(fsys, "d", minEdit)
	if err == nil {
		must(t, m.Close())
	}
	return m, err
}

// Whatever byte of one copy is damaged, wherever it is cut off, and if it is
// gone: the other one holds, the damage is reported, and afterwards both are whole.
func TestManifestSurvivesTheLossOfOneCopy(t *testing.T) {
	whole, want := twoCopies(t)
	for i, base := range CopyNames {
		other := CopyNames[1-i]
		fsys := vfs.NewMem()
		records, _, err := parseManifest(whole[base])
		must(t, err)
		last := records[len(records)-1].off
		try := func(what string, at int64, b []byte) {
			t.Helper()
			m, err := openWith(t, fsys, map[string][]byte{base: b, other: whole[other]}, want.Number)
			if err != nil {
				t.Fatalf("%s at %d: %v", what, at, err)
			}
			sameState(t, what, m.State(), want)
			problems, fromTwin := m.Restored()
			if fromTwin != (base == format.ManifestName) {
				t.Fatalf("%s at %d: state of the second copy: %v", what, at, fromTwin)
			}
			// A second copy that lacks the last edits is what a crash or an error leaves.
			if told := len(problems) == 1 && strings.Contains(problems[0].Error(), base); !told && (fromTwin || what == "damage" && at < last) {
				t.Fatalf("%s at %d of %s: told %v", what, at, base, problems)
			}
			for _, c := range ReadCopies(fsys, "d") {
				if c.Err != nil {
					t.Fatalf("%s at %d: %s afterwards: %v", what, at, c.Name, c.Err)
				}
				sameState(t, c.Name, c.State, want)
			}
		}
		for at := range whole[base] {
			b := bytes.Clone(whole[base])
			b[at] ^= 0x41
			try("damage", int64(at), b)
			try("end", int64(at), whole[base][:at])
		}
		try("missing", 0, nil)
	}
}

// Without a copy that can be read nothing is opened, and above all nothing is
// begun anew.
func TestManifestIsRefusedWithoutAnyCopy(t *testing.T) {
	whole, want := twoCopies(t)
	damaged := bytes.Clone(whole[format.ManifestName])
	damaged[40] ^= 1
	for _, c := range []struct {
		first, twin []byte
		is          error
	}{
		{damaged, damaged, format.ErrCorrupt}, {damaged, nil, format.ErrCorrupt}, {nil, damaged, format.ErrCorrupt}, {nil, nil, fs.ErrNotExist},
	} {
		_, err := openWith(t, vfs.NewMem(), map[string][]byte{format.ManifestName: c.first, format.TwinName: c.twin}, 0)
		if !errors.Is(err, c.is) || (c.is == format.ErrCorrupt && errors.Is(err, fs.ErrNotExist)) {
			t.Errorf("first %d bytes, second %d: %v", len(c.first), len(c.twin), err)
		}
	}
	fsys := vfs.NewMem()
	putFile(t, fsys, "d/"+format.TwinName, damaged)
	if _, err := Create(fsys, "d", 1, 2); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created beside a second copy: %v", err)
	}
	// The second copy of another database.
	m, err := Create(fsys, "o", 0x999, 1)
	must(t, err)
	must(t, m.Close())
	foreign, err := readFile(fsys, "o/MANIFEST", MaxManifestBytes)
	must(t, err)
	if _, err := openWith(t, fsys, map[string][]byte{format.ManifestName: whole[format.ManifestName], format.TwinName: foreign}, 0); err == nil || !strings.Contains(err.Error(), "different databases") {
		t.Errorf("copies of two databases: %v", err)
	}
	// A second copy that lacks edits the WAL names.
	records, _, err := parseManifest(whole[format.TwinName])
	must(t, err)
	old := whole[format.TwinName][:records[len(records)-1].off]
	if _, err := openWith(t, fsys, map[string][]byte{format.ManifestName: damaged, format.TwinName: old}, want.Number); !errors.Is(err, ErrBehind) || !errors.Is(err, format.ErrCorrupt) {
		t.Errorf("stale second copy: %v", err)
	}
	if m, err := openWith(t, fsys, map[string][]byte{format.ManifestName: whole[format.ManifestName], format.TwinName: old}, want.Number); err != nil || m.State().Number != want.Number {
		t.Errorf("second copy one edit behind: %v", err)
	}
}

// A directory that has one copy only, as earlier versions left it, gets another.
func TestManifestWithoutASecondCopyGetsOne(t *testing.T) {
	whole, want := twoCopies(t)
	fsys := vfs.NewMem()
	m, err := openWith(t, fsys, map[string][]byte{format.ManifestName: whole[format.ManifestName]}, want.Number)
	must(t, err)
	if problems, fromTwin := m.Restored(); fromTwin || len(problems) != 0 {
		t.Errorf("told %v", problems)
	}
	s, _, err := readManifest(fsys, "d", format.TwinName)
	must(t, err)
	sameState(t, "second copy", s, want)
}

// Strategy: the machine stops at the k-th operation of a run of edits and
// snapshots, for every k, and then one of the copies is lost, or none. What was
// acknowledged is there, and at most the edit that was being written besides.
func TestManifestOfEitherCopyHoldsWhatWasAcknowledged(t *testing.T) {
	run := func(fsys vfs.FS, acked *[]*State) {
		m, err := Create(fsys, "d", 0x1234, 1)
		if err != nil {
			return
		}
		*acked = append(*acked, m.State())
		for i := range uint64(5) {
			if i == 3 {
				m.mu.log.edits, m.mu.twin.edits = maxLogEdits, maxLogEdits
			}
			s, err := m.Apply(cutEdit(cutBlock(i+1, i+1)))
			if err != nil {
				return
			}
			*acked = append(*acked, s)
		}
	}
	counted := vfs.NewFault(vfs.NewMem())
	counted.Count(vfs.MutatingOps)
	run(counted, new([]*State))
	for k := 1; k <= counted.N(); k++ {
		for _, lost := range []string{"", format.ManifestName, format.TwinName} {
			mem := vfs.NewMem()
			var crashed *vfs.Mem
			fault := vfs.NewFault(mem)
			fault.Count(vfs.MutatingOps)
			var acked []*State
			n := 0
			fault.HookAt(k, func(vfs.Op) { crashed, n = mem.CrashClone(vfs.CrashOptions{}), len(acked) })
			run(fault, &acked)
			if n == 0 && lost != "" {
				continue // the database was not yet made
			}
			if lost != "" {
				putFile(t, crashed, "d/"+lost, []byte("damaged"))
			}
			m, err := Open(crashed, "d", 0)
			if err != nil {
				if n == 0 && errors.Is(err, fs.ErrNotExist) {
					continue
				}
				t.Fatalf("operation %d, lost %q: %v", k, lost, err)
			}
			got := m.State().Number
			if n > 0 && (got < acked[n-1].Number || got > acked[n-1].Number+1) {
				t.Fatalf("operation %d, lost %q: edit %d, acknowledged %d", k, lost, got, acked[n-1].Number)
			}
			sameState(t, "after a crash", m.State(), acked[got])
			must(t, m.Close())
		}
	}
}

// A second copy that cannot be written costs nothing but itself: edits go on,
// the error is reported, and the next edit writes it anew once that is possible.
func TestManifestGoesOnWithoutItsSecondCopy(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpWrite, vfs.OpSync, vfs.OpCreate, vfs.OpRename} {
		for _, cause := range []error{syscall.EPERM, syscall.EIO, syscall.ENOSPC} {
			mem := vfs.NewMem()
			fsys := vfs.NewFault(mem)
			m := createManifest(t, fsys)
			mustApply(t, m, cutEdit(cutBlock(1, 1)))
			if kind == vfs.OpCreate || kind == vfs.OpRename {
				m.mu.twin.edits = maxLogEdits
			}
			fsys.SetHook(func(o vfs.Op) error {
				if o.Kind == kind && strings.Contains(o.Name, format.TwinName) {
					return cause
				}
				return nil
			})
			mustApply(t, m, cutEdit(cutBlock(2, 2)))
			s := mustApply(t, m, cutEdit(cutBlock(3, 3)))
			if err := m.TwinErr(); !errors.Is(err, cause) || m.Err() != nil || inDoubt(m) {
				t.Fatalf("%v of the second copy: told %v, stopped %v", kind, err, m.Err())
			}
			got, err := Open(mem.CrashClone(vfs.CrashOptions{}), "d", s.Number)
			must(t, err)
			sameState(t, "without the second copy", got.State(), s)
			must(t, got.Close())
			fsys.SetHook(nil)
			s = mustApply(t, m, Edit{WallMs: 9, Floor: ptr(testDay + model.DayMs)})
			if err := m.TwinErr(); err != nil {
				t.Fatal(err)
			}
			twin, _, err := readManifest(mem.CrashClone(vfs.CrashOptions{}), "d", format.TwinName)
			must(t, err)
			sameState(t, "second copy", twin, s)
		}
	}
}

// After a full disk both copies are written, by snapshots: numbers were used up
// meanwhile.
func TestManifestWritesBothCopiesAfterAFullDisk(t *testing.T) {
	mem := vfs.NewMem()
	fsys := vfs.NewFault(mem)
	m := createManifest(t, fsys)
	someEdits(t, m)
	fsys.SetHook(func(o vfs.Op) error {
		if o.Kind == vfs.OpWrite {
			return syscall.ENOSPC
		}
		return nil
	})
	if _, err := m.Apply(Edit{WallMs: 9}); !isNoSpace(err) {
		t.Fatal(err)
	}
	fsys.SetHook(nil)
	s := mustApply(t, m, Edit{WallMs: 10})
	for _, c := range ReadCopies(mem.CrashClone(vfs.CrashOptions{}), "d") {
		must(t, c.Err)
		sameState(t, c.Name, c.State, s)
	}
	// A deletion whose record would not fit any more is refused, not in doubt.
	if err := m.checkSizeLocked(s, 100, 200); !errors.Is(err, ErrEdit) || inDoubt(m) {
		t.Errorf("a state too large for a record: %v", err)
	}
	if err := m.checkSizeLocked(s, maxRecordBytes, maxRecordBytes); err != nil || m.mu.bound > 10_000 {
		t.Errorf("a bound that is only a guess: %v, %d bytes", err, m.mu.bound)
	}
}
