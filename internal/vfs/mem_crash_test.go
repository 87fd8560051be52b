package vfs

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand"
	"strings"
	"syscall"
	"testing"
)

func create(t *testing.T, m FS, name string) File {
	t.Helper()
	f, err := m.Create(name)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func writeAt(t *testing.T, f File, off int64, data string) {
	t.Helper()
	_, err := f.WriteAt([]byte(data), off)
	must(t, err)
}

// tree returns all files with their contents, one a line.
func tree(t *testing.T, m FS, dir string) string {
	t.Helper()
	var b strings.Builder
	names, err := m.List(dir)
	must(t, err)
	for _, n := range names {
		name := strings.TrimPrefix(dir+"/"+n, "/")
		info, err := m.Stat(name)
		must(t, err)
		if info.IsDir {
			fmt.Fprintf(&b, "%s/\n%s", name, tree(t, m, name))
		} else {
			fmt.Fprintf(&b, "%s %q\n", name, read(t, m, name))
		}
	}
	return b.String()
}

func wantTree(t *testing.T, m FS, want ...string) {
	t.Helper()
	got := tree(t, m, "")
	if w := strings.Join(append(want, ""), "\n"); got != w {
		t.Fatalf("got files\n%swant\n%s", got, w)
	}
}

func TestAPowerCutTakesUnsyncedBytes(t *testing.T) {
	m := NewMem()
	f := create(t, m, "a")
	must(t, m.SyncDir("/"))
	writeAt(t, f, 0, "durable")
	must(t, f.Sync())
	writeAt(t, f, 3, "XXXXXXXX")
	wantTree(t, m, `a "durXXXXXXXX"`)
	c := m.CrashClone(CrashOptions{})
	wantTree(t, c, `a "durable"`)
	wantTree(t, c.CrashClone(CrashOptions{}), `a "durable"`)
	must(t, f.Sync())
	wantTree(t, m.CrashClone(CrashOptions{}), `a "durXXXXXXXX"`)
	must(t, f.Truncate(2))
	wantTree(t, m.CrashClone(CrashOptions{}), `a "durXXXXXXXX"`)
	must(t, f.Sync())
	must(t, f.Truncate(4))
	must(t, f.Sync())
	wantTree(t, m.CrashClone(CrashOptions{}), `a "du\x00\x00"`)
	wantTree(t, c, `a "durable"`)
}

func TestAPowerCutTakesUnsyncedNames(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("d/e"))
	f := create(t, m, "d/a")
	writeAt(t, f, 0, "1")
	must(t, f.Sync())
	wantTree(t, m.CrashClone(CrashOptions{})) // not even the directory
	must(t, m.SyncDir("d"))
	wantTree(t, m.CrashClone(CrashOptions{}))
	must(t, m.SyncDir(""))
	wantTree(t, m.CrashClone(CrashOptions{}), "d/", `d/a "1"`, "d/e/")

	must(t, m.Rename("d/a", "d/b"))
	wantTree(t, m.CrashClone(CrashOptions{}), "d/", `d/a "1"`, "d/e/")
	must(t, m.SyncDir("d"))
	wantTree(t, m.CrashClone(CrashOptions{}), "d/", `d/b "1"`, "d/e/")

	must(t, m.Link("d/b", "d/c"))
	must(t, m.Remove("d/b"))
	wantTree(t, m.CrashClone(CrashOptions{}), "d/", `d/b "1"`, "d/e/")
	must(t, m.SyncDir("d"))
	wantTree(t, m.CrashClone(CrashOptions{}), "d/", `d/c "1"`, "d/e/")
}

func TestARenameBetweenDirectoriesNeedsBothSynced(t *testing.T) {
	setup := func() *Mem {
		m := NewMem()
		must(t, m.MkdirAll("d"))
		must(t, m.MkdirAll("e"))
		create(t, m, "d/a")
		for _, dir := range []string{"", "d", "e"} {
			must(t, m.SyncDir(dir))
		}
		must(t, m.Rename("d/a", "e/b"))
		return m
	}
	m := setup()
	wantTree(t, m.CrashClone(CrashOptions{}), "d/", `d/a ""`, "e/")
	must(t, m.SyncDir("e"))
	wantTree(t, m.CrashClone(CrashOptions{}), "d/", `d/a ""`, "e/", `e/b ""`)
	must(t, m.SyncDir("d"))
	wantTree(t, m.CrashClone(CrashOptions{}), "d/", "e/", `e/b ""`)
	m = setup()
	must(t, m.SyncDir("d"))
	wantTree(t, m.CrashClone(CrashOptions{}), "d/", "e/")
}

func TestAReplacedFileComesBackWhenTheRenameIsLost(t *testing.T) {
	m := NewMem()
	writeAt(t, create(t, m, "a"), 0, "old")
	old, err := m.Open("a")
	must(t, err)
	must(t, old.Sync())
	must(t, m.SyncDir(""))
	f := create(t, m, "tmp")
	writeAt(t, f, 0, "new")
	must(t, f.Sync())
	must(t, m.Rename("tmp", "a"))
	wantTree(t, m, `a "new"`)
	wantTree(t, m.CrashClone(CrashOptions{}), `a "old"`)
	seen := map[string]bool{}
	for seed := range int64(100) {
		c := m.CrashClone(CrashOptions{Mode: CrashSectors, Keep: 0.5, Rand: rand.New(rand.NewSource(seed))})
		seen[tree(t, c, "")] = true
	}
	want := map[string]bool{
		"a \"old\"\n":              true,
		"a \"old\"\ntmp \"new\"\n": true,
		"a \"new\"\n":              true,
	}
	for s := range want {
		if !seen[s] {
			t.Errorf("never saw\n%s", s)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("saw %v", seen)
	}
}

func TestSectorsComeBackInOneOfTheirStates(t *testing.T) {
	m := NewMem()
	f := create(t, m, "a")
	must(t, m.SyncDir(""))
	fill := func(c byte, off, n int) { writeAt(t, f, int64(off), strings.Repeat(string(c), n)) }
	fill('a', 0, 2048)
	must(t, f.Sync())
	fill('b', 0, 1024)  // sectors 0, 1
	fill('c', 512, 600) // sector 1, a part of 2
	states := []map[string]bool{{}, {}, {}, {}}
	for seed := range int64(200) {
		c := m.CrashClone(CrashOptions{Mode: CrashSectors, Keep: 0.5, Rand: rand.New(rand.NewSource(seed))})
		got := read(t, c, "a")
		if len(got) != 2048 {
			t.Fatalf("size %d", len(got))
		}
		for i := range states {
			states[i][got[i*512:(i+1)*512]] = true
		}
	}
	all := func(c string) string { return strings.Repeat(c, 512) }
	for i, want := range [][]string{
		{all("a"), all("b")},
		{all("a"), all("b"), all("c")},
		{all("a"), strings.Repeat("c", 88) + strings.Repeat("a", 424)},
		{all("a")},
	} {
		if len(states[i]) != len(want) {
			t.Errorf("sector %d has %d states, want %d", i, len(states[i]), len(want))
		}
		for _, w := range want {
			if !states[i][w] {
				t.Errorf("sector %d was never %.8q…", i, w)
			}
		}
	}
}

func TestKeepingEverythingIsWhatProcessesSee(t *testing.T) {
	m := NewMem()
	f := create(t, m, "a")
	writeAt(t, f, 700, strings.Repeat("x", 3000))
	must(t, f.Truncate(2000))
	must(t, f.Truncate(5000))
	writeAt(t, f, 4000, "end")
	must(t, m.Link("a", "b"))
	must(t, m.Remove("a"))
	c := m.CrashClone(CrashOptions{Mode: CrashSectors, Keep: 1, Rand: rand.New(rand.NewSource(1))})
	wantTree(t, c, strings.TrimSuffix(tree(t, m, ""), "\n"))
	if c.Used() != m.Used() {
		t.Fatalf("used %d, want %d", c.Used(), m.Used())
	}
}

func TestATornCrashLeavesAPrefixOfTheWrites(t *testing.T) {
	m := NewMem()
	f := create(t, m, "a")
	must(t, m.SyncDir(""))
	writeAt(t, f, 0, "aaaa")
	must(t, f.Sync())
	writeAt(t, f, 2, "bbbb")
	writeAt(t, f, 4, "cccc")
	want := map[string]bool{
		"aaaa": true, "aaba": true, "aabb": true, "aabbb": true, "aabbbb": true,
		"aabbcb": true, "aabbcc": true, "aabbccc": true, "aabbcccc": true,
	}
	seen := map[string]bool{}
	for seed := range int64(300) {
		c := m.CrashClone(CrashOptions{Mode: CrashTorn, Rand: rand.New(rand.NewSource(seed))})
		got := read(t, c, "a")
		if !want[got] {
			t.Fatalf("seed %d: %q is no prefix", seed, got)
		}
		seen[got] = true
	}
	if len(seen) != len(want) {
		t.Errorf("saw only %v", seen)
	}
}

func TestAKilledProcessLeavesUnsyncedBytesUnsynced(t *testing.T) {
	m := NewMem()
	f := create(t, m, "a")
	must(t, m.SyncDir(""))
	writeAt(t, f, 0, "12345678")
	must(t, f.Sync())
	writeAt(t, f, 4, "abcdefgh")
	create(t, m, "b")
	_, err := m.Lock("LOCK", "x")
	must(t, err)
	c := m.Clone()
	wantTree(t, c, `LOCK "x\n"`, `a "1234abcdefgh"`, `b ""`)
	wantTree(t, c.CrashClone(CrashOptions{}), `a "12345678"`)
	l, err := c.Lock("LOCK", "")
	must(t, err)
	must(t, l.Close())
	g, err := c.OpenReadWrite("a")
	must(t, err)
	must(t, g.Sync())
	must(t, g.Close())
	must(t, c.SyncDir(""))
	wantTree(t, c.CrashClone(CrashOptions{}), `LOCK ""`, `a "1234abcdefgh"`, `b ""`)
	wantTree(t, m.CrashClone(CrashOptions{}), `a "12345678"`)
	if c.Used() != m.Used() || c.OpenFiles() != 0 {
		t.Fatalf("used %d, want %d; %d open files", c.Used(), m.Used(), c.OpenFiles())
	}
}

func TestAFullDiskTakesWhatFits(t *testing.T) {
	m := NewMem()
	m.SetCapacity(100)
	f := create(t, m, "a")
	n, err := f.WriteAt(make([]byte, 150), 0)
	wantErr(t, err, syscall.ENOSPC)
	if n != 100 {
		t.Fatalf("wrote %d bytes", n)
	}
	if free, _ := m.FreeBytes(""); free != 0 {
		t.Fatalf("%d bytes free", free)
	}
	writeAt(t, f, 10, "overwriting needs no space")
	wantErr(t, f.Truncate(101), syscall.ENOSPC)
	must(t, f.Truncate(60))
	g := create(t, m, "b")
	writeAt(t, g, 0, strings.Repeat("x", 40))
	must(t, m.Remove("a"))
	if free, _ := m.FreeBytes(""); free != 0 {
		t.Fatalf("%d bytes free while the removed file is open", free)
	}
	must(t, f.Close())
	if free, _ := m.FreeBytes(""); free != 60 {
		t.Fatalf("%d bytes free", free)
	}
	m.SetCapacity(10)
	if free, _ := m.FreeBytes(""); free != 0 {
		t.Fatalf("%d bytes free", free)
	}
	m.SetCapacity(-1)
	writeAt(t, g, 40, strings.Repeat("x", 400))
}

func TestDirectoriesMoveButNeverIntoThemselves(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("d"))
	write(t, m, "d/a", "1")
	wantErr(t, m.Rename("d", "d/e"), fs.ErrInvalid)
	must(t, m.Rename("d", "e"))
	wantTree(t, m, "e/", `e/a "1"`)
}

// The strategy: random operations on a few names, mirrored in maps of strings
// that say what processes see and what is durable. The invariants: the live
// tree equals the first map always, a crash that loses everything equals the
// second, a crash that keeps everything the first, and crashing is a function
// of the seed.
func TestMemAgreesWithAModel(t *testing.T) {
	for seed := range int64(30) {
		rng := rand.New(rand.NewSource(seed))
		m := NewMem()
		type file struct{ live, synced []byte }
		live, durable := map[string]*file{}, map[string]*file{}
		pick := func() string { return string(rune('a' + rng.Intn(4))) }
		for range 40 {
			name := pick()
			f := live[name]
			switch op := rng.Intn(8); {
			case f == nil:
				create(t, m, name)
				live[name] = &file{}
			case op == 0:
				must(t, m.Remove(name))
				delete(live, name)
			case op == 1:
				to := pick()
				if to != name {
					must(t, m.Rename(name, to))
					live[to] = f
					delete(live, name)
				}
			case op == 2:
				must(t, m.SyncDir(""))
				durable = map[string]*file{}
				for n, f := range live {
					durable[n] = f
				}
			default:
				h, err := m.OpenReadWrite(name)
				must(t, err)
				switch op {
				case 3:
					must(t, h.Sync())
					f.synced = bytes.Clone(f.live)
				case 4:
					size := rng.Intn(10000)
					must(t, h.Truncate(int64(size)))
					f.live = append(f.live, make([]byte, max(0, size-len(f.live)))...)[:size]
				default:
					data := bytes.Repeat([]byte{byte(rng.Intn(3))}, rng.Intn(6000)+1)
					off := rng.Intn(6000)
					_, err := h.WriteAt(data, int64(off))
					must(t, err)
					f.live = append(f.live, make([]byte, max(0, off+len(data)-len(f.live)))...)
					copy(f.live[off:], data)
				}
				must(t, h.Close())
			}
			check := func(what string, m *Mem, files map[string]*file, bytesOf func(*file) []byte) {
				names, err := m.List("")
				must(t, err)
				if len(names) != len(files) {
					t.Fatalf("seed %d: %s: files %q, want %d", seed, what, names, len(files))
				}
				for n, f := range files {
					if got := read(t, m, n); got != string(bytesOf(f)) {
						t.Fatalf("seed %d: %s: %s differs", seed, what, n)
					}
				}
			}
			isLive := func(f *file) []byte { return f.live }
			check("live", m, live, isLive)
			check("lose", m.CrashClone(CrashOptions{}), durable, func(f *file) []byte { return f.synced })
			check("clone, lose", m.Clone().CrashClone(CrashOptions{}), durable, func(f *file) []byte { return f.synced })
			keep := CrashOptions{Mode: CrashSectors, Keep: 1, Rand: rng}
			check("keep", m.CrashClone(keep), live, isLive)
			check("clone, keep", m.Clone().CrashClone(keep), live, isLive)
			for _, mode := range []CrashMode{CrashSectors, CrashTorn} {
				s := rng.Int63()
				crash := func(m *Mem) string {
					return tree(t, m.CrashClone(CrashOptions{Mode: mode, Keep: 0.5, Rand: rand.New(rand.NewSource(s))}), "")
				}
				one := crash(m)
				if two := crash(m); one != two {
					t.Fatalf("seed %d: crash %s is not deterministic", seed, mode)
				}
			}
		}
	}
}

func BenchmarkCrashClone(b *testing.B) {
	m := NewMem()
	for i := range 20 {
		f, err := m.Create(fmt.Sprintf("f%02d", i))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = f.WriteAt(bytes.Repeat([]byte("x"), 64<<10), 0)
		_ = f.Sync()
		_, _ = f.WriteAt([]byte("unsynced"), 100)
		_ = f.Close()
	}
	_ = m.SyncDir("")
	for _, mode := range []CrashMode{CrashLose, CrashSectors, CrashTorn} {
		b.Run("mode="+mode.String(), func(b *testing.B) {
			rng := rand.New(rand.NewSource(1))
			for b.Loop() {
				m.CrashClone(CrashOptions{Mode: mode, Keep: 0.5, Rand: rng})
			}
		})
	}
}
