package manifest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testDay is the first millisecond of the partition most tests write to.
var testDay = block.Raw.PartitionStart(1_795_000_000_000)

// cutBlock describes an L0 that nothing is in.
func cutBlock(lo, hi uint64) block.Info {
	m := block.Meta{Key: block.SpanningKey(block.L0), MinGen: lo, MaxGen: hi}
	return block.Info{Name: block.FileName(m), Meta: m, Size: 1000, FooterLen: 90, CRC: 0xabcd, Series: 3, Samples: 30,
		MinTime: testDay, MaxTime: testDay + 1000}
}

// mergedBlock describes an L1 or L2 made of others.
func mergedBlock(level block.Level, day int64, inputs ...block.Info) block.Info {
	lo, hi := Generations(inputs)
	m := block.Meta{Key: block.Key{Partition: day, Level: level}, MinGen: lo, MaxGen: hi}
	b := block.Info{FooterLen: 90, CRC: 0xabcd, Series: 3, MinTime: day, MaxTime: day + 1000}
	for _, in := range inputs {
		m.Inputs = append(m.Inputs, in.Name)
		b.Size += in.Size
		b.Samples += in.Samples
	}
	b.Meta, b.Name = m, block.FileName(m)
	return b
}

func ptr[T any](v T) *T { return &v }

func cutEdit(b block.Info) Edit {
	return Edit{WallMs: 1_795_000_000_000, Add: []block.Info{b}, WALLow: ptr(b.MaxGen + 1)}
}

func mergeEdit(out block.Info) Edit {
	return Edit{WallMs: 1_795_000_100_000, Add: []block.Info{out}, Drop: out.Inputs,
		Keys: map[string]KeyRange{out.Name: {First: "a", Last: "z"}}}
}

func testTombstone(id, gen uint64) Tombstone {
	return Tombstone{
		ID: id, Tenant: 7, Gen: gen, Range: model.TimeRange{Min: testDay, Max: testDay + 500},
		Matchers: []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"),
			labels.MustNewMatcher(labels.MatchRegexp, "job", "a.*|b"),
		},
	}
}

func mustApply(t *testing.T, m *Manifest, e Edit) *State {
	t.Helper()
	s, err := m.Apply(e)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return s
}

func createManifest(t *testing.T, fsys vfs.FS) *Manifest {
	t.Helper()
	m, err := Create(fsys, "d", 0x1234, 1_795_000_000_000)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// sameState compares states by what a snapshot of them would hold.
func sameState(t *testing.T, what string, got, want *State) {
	t.Helper()
	g, w := snapshotOf(got), snapshotOf(want)
	if got.Number != want.Number || !bytes.Equal(appendRecord(nil, &g), appendRecord(nil, &w)) {
		t.Fatalf("%s: state\n%+v\nwant\n%+v", what, got, want)
	}
}

// someEdits applies edits of every kind.
func someEdits(t *testing.T, m *Manifest) *State {
	t.Helper()
	a, b, c := cutBlock(1, 1), cutBlock(2, 4), cutBlock(5, 5)
	mustApply(t, m, cutEdit(a))
	e := cutEdit(b)
	e.HighLSN, e.HighSegment, e.Offsets = 77, 3, map[string]int64{"kafka/0": 12, "kafka/1": 9}
	mustApply(t, m, e)
	e = cutEdit(c)
	e.AddTombstones = []Tombstone{testTombstone(1, 5), testTombstone(2, 5)}
	mustApply(t, m, e)
	mustApply(t, m, mergeEdit(mergedBlock(block.L1, testDay, a, b)))
	mustApply(t, m, Edit{WallMs: 5, DropTombstones: []uint64{1}})
	return mustApply(t, m, Edit{WallMs: 6, Floor: ptr(testDay), Offsets: map[string]int64{"kafka/1": 10}})
}

// inDoubt reports whether the last edit failed and the next Open may find
// it.
func inDoubt(m *Manifest) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.log == nil
}

func TestManifestReopenedHoldsWhatWasApplied(t *testing.T) {
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	want := someEdits(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from a snapshot
		m, err := Open(fsys, "d", want.Number)
		if err != nil {
			t.Fatal(err)
		}
		sameState(t, "reopened", m.State(), want)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files left open", n)
	}
}

func TestManifestGrowsIntoFreshSnapshots(t *testing.T) {
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	largest := int64(0)
	var s *State
	for i := range 3 * maxLogEdits {
		s = mustApply(t, m, Edit{WallMs: int64(i), Offsets: map[string]int64{strings.Repeat("x", 2000): int64(i)}})
		info, err := fsys.Stat("d/MANIFEST")
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size)
	}
	if largest > maxLogBytes+10_000 {
		t.Errorf("the file grew to %d bytes", largest)
	}
	got, _, err := Read(fsys, "d")
	if err != nil {
		t.Fatal(err)
	}
	sameState(t, "read", got, s)
}

func TestManifestRefusesToBeOlderThanTheWAL(t *testing.T) {
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	s := someEdits(t, m)
	if _, err := Open(fsys, "d", s.Number+1); !errors.Is(err, ErrBehind) {
		t.Errorf("MANIFEST below the WAL: %v", err)
	}
	if _, err := Open(fsys, "elsewhere", 1); !errors.Is(err, ErrBehind) {
		t.Errorf("no MANIFEST, WAL names an edit: %v", err)
	}
	if _, err := Open(fsys, "elsewhere", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no MANIFEST: %v", err)
	}
}

func TestManifestIsNotCreatedOverADatabase(t *testing.T) {
	fsys := vfs.NewMem()
	createManifest(t, fsys)
	if _, err := Create(fsys, "d", 1, 1); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a MANIFEST: %v", err)
	}
	putFile(t, fsys, "e/l0/000000000001-000000000001.tsb", []byte("block"))
	if _, err := Create(fsys, "e", 1, 1); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("over blocks: %v", err)
	}
}

func putFile(t *testing.T, fsys vfs.FS, name string, b []byte) {
	t.Helper()
	if err := fsys.MkdirAll(filepath.Dir(name)); err != nil {
		t.Fatal(err)
	}
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	f, err := fsys.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestManifestVersionIsNeverGuessed(t *testing.T) {
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	someEdits(t, m)
	b, err := readFile(fsys, "d/MANIFEST", MaxManifestBytes)
	if err != nil {
		t.Fatal(err)
	}
	must(t, fsys.Remove("d/MANIFEST.2"))
	newer := bytes.Clone(b)
	newer[8] = manifestVersion + 1
	copy(newer[12:], littleEndian32(checksumOf(newer[:12])))
	putFile(t, fsys, "d/MANIFEST", newer)
	_, err = Open(fsys, "d", 0)
	if !errors.Is(err, format.ErrVersion) || errors.Is(err, format.ErrCorrupt) || !strings.Contains(err.Error(), "newer version of tsdb") {
		t.Errorf("newer version: %v", err)
	}
	newer[12]++
	putFile(t, fsys, "d/MANIFEST", newer)
	if _, err = Open(fsys, "d", 0); !errors.Is(err, format.ErrCorrupt) {
		t.Errorf("damaged header: %v", err)
	}
	s := m.State().Clone()
	s.Format.Shards = 32
	if _, _, err := writeSnapshot(fsys, "d", format.ManifestName, s); err != nil {
		t.Fatal(err)
	}
	if _, err = Open(fsys, "d", 0); !errors.Is(err, format.ErrVersion) {
		t.Errorf("other options: %v", err)
	}
}

// The last edit may be cut at any byte, or any of its bytes damaged: it is
// taken off. The same to any other record refuses the file, or, if nothing of
// it is left to be recognised, is a tear at an earlier edit, which the WAL's
// number tells.
func TestManifestTornEditIsCutAndDamageRefused(t *testing.T) {
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	want := someEdits(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := readFile(fsys, "d/MANIFEST", MaxManifestBytes)
	if err != nil {
		t.Fatal(err)
	}
	records, _, err := parseManifest(b)
	if err != nil {
		t.Fatal(err)
	}
	last := records[len(records)-1]
	before, err := replay(records[:len(records)-1])
	if err != nil {
		t.Fatal(err)
	}
	open := func(b []byte) (*State, Torn, error) {
		putFile(t, fsys, "x/MANIFEST", b)
		if err := fsys.Remove("x/MANIFEST.2"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		_, torn, _ := Read(fsys, "x")
		m, err := Open(fsys, "x", 0)
		if err != nil {
			return nil, Torn{}, err
		}
		return m.State(), torn, m.Close()
	}
	for n := last.off; n < int64(len(b)); n++ {
		s, torn, err := open(b[:n])
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		sameState(t, "cut", s, before)
		if torn != (Torn{Offset: last.off, Bytes: n - last.off}) {
			t.Errorf("cut at %d: torn %+v", n, torn)
		}
	}
	for i := range b {
		damaged := bytes.Clone(b)
		damaged[i] ^= 0x41
		s, _, err := open(damaged)
		switch {
		case int64(i) >= last.off:
			if err != nil {
				t.Fatalf("last edit damaged at %d: %v", i, err)
			}
			sameState(t, "damaged", s, before)
		case err == nil:
			t.Fatalf("damage at %d of %d was not seen", i, len(b))
		case !errors.Is(err, format.ErrCorrupt) && !errors.Is(err, format.ErrVersion):
			t.Fatalf("damage at %d: %v", i, err)
		}
	}
	s, _, err := open(append(bytes.Clone(b), make([]byte, 3000)...))
	if err != nil {
		t.Fatal(err)
	}
	sameState(t, "zeros behind", s, want)
}

func TestManifestOnAFullDiskGoesOnInAFreshFile(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpWrite, vfs.OpSync, vfs.OpCreate, vfs.OpRename, vfs.OpSyncDir} {
		t.Run(kind.String(), func(t *testing.T) {
			mem := vfs.NewMem()
			fsys := vfs.NewFault(mem)
			m := createManifest(t, fsys)
			someEdits(t, m)
			if kind == vfs.OpCreate || kind == vfs.OpRename || kind == vfs.OpSyncDir {
				m.mu.log.edits = maxLogEdits // a snapshot is due
			}
			full := true
			fsys.SetHook(func(o vfs.Op) error {
				if full && o.Kind == kind {
					return syscall.ENOSPC
				}
				return nil
			})
			e := Edit{WallMs: 9, Floor: ptr(testDay + model.DayMs)}
			before := m.State()
			_, err := m.Apply(e)
			if kind == vfs.OpCreate {
				if err != nil {
					t.Fatalf("a snapshot that cannot begin fails the edit: %v", err)
				}
				return
			}
			if !isNoSpace(err) || !inDoubt(m) || m.Err() != nil {
				t.Fatalf("full disk: %v, in doubt %v, stopped %v", err, inDoubt(m), m.Err())
			}
			sameState(t, "after the error", m.State(), before)
			full = false
			fsys.Record(true)
			s := mustApply(t, m, e)
			if !strings.Contains(fsys.Transcript(), "rename d/MANIFEST.tmp") {
				t.Errorf("the next edit did not open a fresh file:\n%s", fsys.Transcript())
			}
			if inDoubt(m) || s.Number != before.Number+2 {
				t.Errorf("in doubt %v, edit %d after %d", inDoubt(m), s.Number, before.Number)
			}
			got, _, err := Read(mem.CrashClone(vfs.CrashOptions{}), "d")
			if err != nil {
				t.Fatal(err)
			}
			sameState(t, "after a crash", got, s)
		})
	}
}

func TestManifestStopsAfterAnyOtherError(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpWrite, vfs.OpSync} {
		fsys := vfs.NewFault(vfs.NewMem())
		m := createManifest(t, fsys)
		before := someEdits(t, m)
		fsys.SetHook(func(o vfs.Op) error {
			if o.Kind == kind {
				return syscall.EIO
			}
			return nil
		})
		if _, err := m.Apply(Edit{WallMs: 9}); !errors.Is(err, ErrStopped) || !errors.Is(err, syscall.EIO) {
			t.Errorf("%v: %v", kind, err)
		}
		fsys.SetHook(nil)
		fsys.Record(true)
		if _, err := m.Apply(Edit{WallMs: 10}); !errors.Is(err, ErrStopped) {
			t.Errorf("next edit: %v", err)
		}
		if err := m.Settle(); !errors.Is(err, ErrStopped) {
			t.Errorf("settle: %v", err)
		}
		if s := fsys.Transcript(); s != "" {
			t.Errorf("a stopped MANIFEST was touched:\n%s", s)
		}
		sameState(t, "stopped", m.State(), before)
	}
}

func TestManifestSettleMakesADoubtfulEditVoid(t *testing.T) {
	mem := vfs.NewMem()
	fsys := vfs.NewFault(mem)
	m := createManifest(t, fsys)
	before := someEdits(t, m)
	// The sync fails, yet a crash may keep all that was written.
	fsys.SetHook(func(o vfs.Op) error {
		if o.Kind == vfs.OpSync {
			return syscall.ENOSPC
		}
		return nil
	})
	if _, err := m.Apply(Edit{WallMs: 9, Floor: ptr(testDay + model.DayMs)}); !isNoSpace(err) {
		t.Fatal(err)
	}
	fsys.SetHook(nil)
	if err := m.Settle(); err != nil || inDoubt(m) {
		t.Fatalf("settle: %v, in doubt %v", err, inDoubt(m))
	}
	got, _, err := Read(mem.Clone(), "d")
	if err != nil {
		t.Fatal(err)
	}
	if got.Floor != before.Floor || got.Number != before.Number+1 {
		t.Errorf("floor %d, edit %d after %d", got.Floor, got.Number, before.Number)
	}
}

var update = flag.Bool("update", false, "rewrite the golden files")

func TestManifestDescribedIsGolden(t *testing.T) {
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	someEdits(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Describe(&out, fsys, "d/MANIFEST"); err != nil {
		t.Fatal(err)
	}
	m, err := Open(fsys, "d", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	out.WriteString("\nthe same as a snapshot\n\n")
	if err := Describe(&out, fsys, "d/MANIFEST"); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "manifest.txt")
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the format changed (-update rewrites the golden file):\n%s", out.String())
	}
}

func FuzzManifestRecord(f *testing.F) {
	m, err := Create(vfs.NewMem(), "d", 1, 2)
	if err != nil {
		f.Fatal(err)
	}
	a := cutBlock(1, 3)
	s := m.State().Apply(cutEdit(a)).Apply(Edit{AddTombstones: []Tombstone{testTombstone(1, 5)}, Floor: ptr(testDay)})
	for _, r := range []record{snapshotOf(s), {Edit: cutEdit(a)}, {Edit: mergeEdit(mergedBlock(block.L2, testDay, a))},
		{Edit: Edit{AddTombstones: []Tombstone{testTombstone(9, 1)}, DropTombstones: []uint64{1, 2}, Offsets: map[string]int64{"x": -1}}},
		{Edit: Edit{Incarnation: &Incarnation{ID: 7, Losses: 1, AcceptedMs: 3, FromMs: 1, ToMs: 2}}},
		snapshotOf(newRolledState(f).State), snapshotOf(rollupEdits(f, m)),
		{Edit: Edit{Uncover: []CoverKey{{block.Minute, testDay}}, TierFloors: map[block.Tier]int64{block.Hour: testDay}}},
		{Edit: Edit{RuleLists: []RuleList{testRules(4, floors{block.Raw: testDay}, floors{block.Hour: testDay})}, DropRules: []uint64{3}}}} {
		f.Add(appendRecord(nil, &r))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := decodeRecord(src)
		if err != nil {
			if !errors.Is(err, format.ErrCorrupt) {
				t.Fatalf("error is not ErrCorrupt: %v", err)
			}
			return
		}
		b := appendRecord(nil, r)
		again, err := decodeRecord(b)
		if err != nil {
			t.Fatalf("what was decoded cannot be: %v", err)
		}
		if !bytes.Equal(appendRecord(nil, again), b) {
			t.Fatal("decoding and encoding again changed the record")
		}
	})
}

func FuzzManifest(f *testing.F) {
	fsys := vfs.NewMem()
	m, err := Create(fsys, "d", 1, 2)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range []Edit{cutEdit(cutBlock(1, 3)), cutEdit(cutBlock(4, 4)), coverEdit(nil, cover(block.Minute, 3, "", 4))} {
		if _, err := m.Apply(e); err != nil {
			f.Fatal(err)
		}
	}
	b, err := readFile(fsys, "d/MANIFEST", MaxManifestBytes)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-5])
	f.Fuzz(func(t *testing.T, src []byte) {
		records, torn, err := parseManifest(src)
		if err != nil {
			return
		}
		if torn.Offset+torn.Bytes != int64(len(src)) {
			t.Fatalf("torn %+v of %d bytes", torn, len(src))
		}
		if _, err := replay(records); err != nil && !errors.Is(err, format.ErrCorrupt) && !errors.Is(err, format.ErrVersion) {
			t.Fatal(err)
		}
	})
}

func TestSeriesKeysCompareAsSeriesDo(t *testing.T) {
	rising := []struct {
		tenant uint32
		ls     labels.Labels
	}{
		{0, labels.EmptyLabels()},
		{0, labels.FromStrings("a", "1")},
		{0, labels.FromStrings("__name__", "a")},
		{0, labels.FromStrings("__name__", "a", "A", "2")},
		{0, labels.FromStrings("__name__", "a", "b", "1")},
		{0, labels.FromStrings("__name__", "a", "b", "1", "c", "1")},
		{0, labels.FromStrings("__name__", "a", "b", "1\x00")},
		{0, labels.FromStrings("__name__", "a", "b", "1\x01")},
		{0, labels.FromStrings("__name__", "a", "b", "10")},
		{0, labels.FromStrings("__name__", "a", "bc", "0")},
		{0, labels.FromStrings("__name__", "a\x00")},
		{0, labels.FromStrings("__name__", "ab")},
		{1, labels.EmptyLabels()},
		{256, labels.EmptyLabels()},
	}
	for i := 1; i < len(rising); i++ {
		a, b := SeriesKey(rising[i-1].tenant, rising[i-1].ls), SeriesKey(rising[i].tenant, rising[i].ls)
		if a >= b {
			t.Errorf("%v has key %q, %v %q", rising[i-1], a, rising[i], b)
		}
	}
	long := SeriesKey(0, labels.FromStrings("__name__", strings.Repeat("x", 1000)))
	if len(long) != maxKeyBytes {
		t.Errorf("key of %d bytes", len(long))
	}
	a, b := KeyRange{First: "\x00", Last: long}, KeyRange{First: long, Last: "z"}
	if a.Disjoint(b) || a.collides(b) {
		t.Error("ranges that meet in a cut key are neither known to be disjoint nor to collide")
	}
}

func TestStateOfASnapshotIsTheState(t *testing.T) {
	s := someEdits(t, createManifest(t, vfs.NewMem()))
	r := snapshotOf(s)
	decoded, err := decodeRecord(appendRecord(nil, &r))
	if err != nil {
		t.Fatal(err)
	}
	decoded.Number = s.Number
	got := decoded.state()
	for i := range got.Tombstones {
		got.Tombstones[i].Matchers, s.Tombstones[i].Matchers = nil, nil // they hold compiled programs
	}
	if !reflect.DeepEqual(got, s) {
		t.Errorf("got\n%+v\nwant\n%+v", got, s)
	}
}

func checksumOf(b []byte) uint32 { return encoding.Checksum(b) }

func littleEndian32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// The order in which an edit and a snapshot reach the disk is what they are
// durable by.
func TestManifestWritesInOrder(t *testing.T) {
	fsys := vfs.NewFault(vfs.NewMem())
	fsys.Count(vfs.MutatingOps)
	fsys.Record(true)
	m := createManifest(t, fsys)
	mustApply(t, m, cutEdit(cutBlock(1, 1)))
	m.mu.log.edits, m.mu.twin.edits = maxLogEdits, maxLogEdits
	mustApply(t, m, cutEdit(cutBlock(2, 2)))
	mustApply(t, m, cutEdit(cutBlock(3, 3)))
	const want = `mkdir d
sync-dir .
remove d/MANIFEST.tmp: remove d/MANIFEST.tmp: file does not exist
create d/MANIFEST.tmp
write d/MANIFEST.tmp @0+58
sync d/MANIFEST.tmp
rename d/MANIFEST.tmp -> d/MANIFEST
sync-dir d
remove d/MANIFEST.2.tmp: remove d/MANIFEST.2.tmp: file does not exist
create d/MANIFEST.2.tmp
write d/MANIFEST.2.tmp @0+58
sync d/MANIFEST.2.tmp
rename d/MANIFEST.2.tmp -> d/MANIFEST.2
sync-dir d
write d/MANIFEST.tmp @58+106
sync d/MANIFEST.tmp
write d/MANIFEST.2.tmp @58+106
sync d/MANIFEST.2.tmp
remove d/MANIFEST.tmp: remove d/MANIFEST.tmp: file does not exist
create d/MANIFEST.tmp
write d/MANIFEST.tmp @0+231
sync d/MANIFEST.tmp
rename d/MANIFEST.tmp -> d/MANIFEST
sync-dir d
remove d/MANIFEST.2.tmp: remove d/MANIFEST.2.tmp: file does not exist
create d/MANIFEST.2.tmp
write d/MANIFEST.2.tmp @0+231
sync d/MANIFEST.2.tmp
rename d/MANIFEST.2.tmp -> d/MANIFEST.2
sync-dir d
write d/MANIFEST.tmp @231+106
sync d/MANIFEST.tmp
write d/MANIFEST.2.tmp @231+106
sync d/MANIFEST.2.tmp
`
	if got := fsys.Transcript(); got != want {
		t.Errorf("operations\n%s\nwant\n%s", got, want)
	}
}

// A file that a crash left beside the MANIFEST and that cannot be deleted does
// not keep snapshots from being written.
func TestManifestGoesOnBesideAFileThatCannotBeDeleted(t *testing.T) {
	fsys := vfs.NewFault(vfs.NewMem())
	m := createManifest(t, fsys)
	left, err := fsys.Create("d/" + format.ManifestName + format.TempSuffix)
	must(t, err)
	must(t, left.Close())
	fsys.SetHook(func(o vfs.Op) error {
		if o.Kind == vfs.OpRemove && o.Name == "d/"+format.ManifestName+format.TempSuffix {
			return syscall.EPERM
		}
		return nil
	})
	m.mu.log.edits = maxLogEdits // the next edit is a snapshot
	s := mustApply(t, m, cutEdit(cutBlock(1, 1)))
	must(t, m.Close())
	again, err := Open(fsys, "d", s.Number)
	must(t, err)
	sameState(t, "beside the file", again.State(), s)
	must(t, again.Close())
}
