package cardinality

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

var update = flag.Bool("update", false, "rewrite the golden file")

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dayWith returns the counts of a day with some rows.
func dayWith(number int64, rows ...Row) Day {
	d := Day{Info: Info{Day: number, Counted: number * 86_400, Basis: uint64(number) * 0x1234567}, Series: 7, Pairs: 9, New: 3, Gone: 1}
	for k := range d.Tables {
		d.Tables[k] = NewTable(nil, false)
	}
	d.Tables[ByMetric] = NewTable(rows, len(rows) > 2)
	return d
}

func newFS(t *testing.T) *vfs.Mem {
	t.Helper()
	mem := vfs.NewMem()
	must(t, mem.MkdirAll("data"))
	return mem
}

func TestDaysAreKeptAndReplaced(t *testing.T) {
	mem := newFS(t)
	open := func() *Store {
		s, err := Open(mem, "data")
		must(t, err)
		return s
	}
	s := open()
	must(t, s.Put(dayWith(20_002, Row{"up", 5}), nil))
	must(t, s.Put(dayWith(20_000, Row{"up", 4}, Row{"b", 4}, Row{"c", 1}), nil))
	must(t, s.Put(dayWith(20_001), nil))
	must(t, s.Put(dayWith(20_002, Row{"up", 6}), nil))
	want := []Day{dayWith(20_000, Row{"up", 4}, Row{"b", 4}, Row{"c", 1}), dayWith(20_001), dayWith(20_002, Row{"up", 6})}
	for range 2 {
		got, err := s.Read(nil)
		must(t, err)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if infos := s.Infos(); len(infos) != 3 || infos[2] != want[2].Info || s.Bytes() == 0 {
			t.Errorf("%+v, %d bytes", infos, s.Bytes())
		}
		s = open()
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	s, err := Open(newFS(t), "data")
	must(t, err)
	for i := range int64(MaxDays + 3) {
		must(t, s.Put(dayWith(20_000+i), nil))
	}
	if infos := s.Infos(); len(infos) != MaxDays || infos[0].Day != 20_003 {
		t.Errorf("%d days from %d", len(infos), infos[0].Day)
	}
	var rows []Row
	for i := range MaxRows + 2 {
		rows = append(rows, Row{fmt.Sprint(i), 1})
	}
	if tb := NewTable(rows, false); len(tb.Rows) != MaxRows || !tb.Cut {
		t.Errorf("%d rows, cut %t", len(tb.Rows), tb.Cut)
	}
	if tb := NewTable([]Row{{strings.Repeat("x", MaxNameBytes+1), 2}, {"y", 1}}, false); len(tb.Rows) != 1 || !tb.Cut || tb.Rows[0].Name != "y" {
		t.Errorf("%+v", tb)
	}
	// The longest names of a hundred days are longer than a file.
	for i := range int64(5) {
		d := dayWith(21_000 + i)
		for k := range d.Tables {
			long := make([]Row, MaxRows)
			for r := range long {
				long[r] = Row{fmt.Sprintf("%d-%d-%d%s", i, k, r, strings.Repeat("x", MaxNameBytes-20)), 1}
			}
			d.Tables[k] = NewTable(long, false)
		}
		must(t, s.Put(d, nil))
	}
	infos := s.Infos()
	if n := len(infos); n < 2 || n > 4 || infos[n-1].Day != 21_004 || s.Bytes() > maxBytes {
		t.Errorf("%d days, %d bytes", n, s.Bytes())
	}
}

// Whatever operation fails, the file has the days of before or the new ones, and the next
// Put writes them.
func TestAFailedPutIsRepeated(t *testing.T) {
	for k := 0; ; k++ {
		mem := newFS(t)
		fault, n, hit := vfs.NewFault(mem), 0, false
		s, err := Open(fault, "data")
		must(t, err)
		must(t, s.Put(dayWith(20_000), nil))
		fault.SetHook(func(vfs.Op) error {
			if n++; n == k+1 {
				hit = true
				return errors.New("fault")
			}
			return nil
		})
		err = s.Put(dayWith(20_001), nil)
		fault.SetHook(nil)
		if days, loadErr := s.Read(nil); loadErr != nil || len(days) < 1 || days[0].Day != 20_000 {
			t.Fatalf("fault %d: %v, %v", k, days, loadErr)
		}
		if err != nil {
			must(t, s.Put(dayWith(20_001), nil))
		}
		if days, err := s.Read(nil); err != nil || len(days) != 2 {
			t.Fatalf("after fault %d: %v, %v", k, days, err)
		}
		if !hit {
			return
		}
	}
}

// What was damaged, or is of another version, is counted again.
func TestALostFileIsReplaced(t *testing.T) {
	mem := newFS(t)
	s, err := Open(mem, "data")
	must(t, err)
	must(t, s.Put(dayWith(20_000), nil))
	for at, want := range map[int64]error{9: format.ErrVersion, 20: format.ErrCorrupt} {
		f, err := mem.OpenReadWrite("data/" + format.CountsName)
		must(t, err)
		_, err = f.WriteAt([]byte{77}, at)
		must(t, errors.Join(err, f.Close()))
		if _, _, err := Check(mem, "data"); !errors.Is(err, want) || !IsLost(err) {
			t.Errorf("byte %d: %v", at, err)
		}
		s, err := Open(mem, "data")
		if !errors.Is(err, want) || len(s.Infos()) != 0 {
			t.Errorf("byte %d: %v", at, err)
		}
		must(t, s.Put(dayWith(20_001), nil))
		if days, _, err := Check(mem, "data"); days != 1 || err != nil {
			t.Errorf("byte %d: %d days, %v", at, days, err)
		}
	}
}

func TestMemoryIsReservedBefore(t *testing.T) {
	s, err := Open(newFS(t), "data")
	must(t, err)
	must(t, s.Put(dayWith(20_000), nil))
	full := errors.New("full")
	refuse := func(int64) error { return full }
	if _, err := s.Read(refuse); !errors.Is(err, full) || len(s.Infos()) != 1 {
		t.Errorf("read: %v", err)
	}
	if err := s.Put(dayWith(20_001), refuse); !errors.Is(err, full) {
		t.Errorf("put: %v", err)
	}
	if _, err := NewReport([]Day{dayWith(1)}, 0, 1, BySize, 1, refuse); !errors.Is(err, full) {
		t.Errorf("report: %v", err)
	}
}

func TestTheFileIsGolden(t *testing.T) {
	mem := newFS(t)
	s, err := Open(mem, "data")
	must(t, err)
	day := dayWith(20_786, Row{"node_cpu_seconds_total", 640}, Row{"up", 20})
	day.Running, day.Deletion = true, 4
	day.Tables[ByPair] = NewTable([]Row{{"job=node", 660}}, true)
	must(t, s.Put(dayWith(20_785, Row{"up", 19}), nil))
	must(t, s.Put(day, nil))
	var out bytes.Buffer
	must(t, Describe(&out, mem, "data/"+format.CountsName))
	golden := filepath.Join("testdata", "counts.txt")
	if *update {
		must(t, os.WriteFile(golden, out.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("the file changed:\n%s", out.String())
	}
}

// FuzzDecode decodes any bytes, with a right checksum too. Invariants: no panic; what is
// decoded is within its bounds and is encoded to something that is decoded to the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendDays(nil, nil))
	f.Add(appendDays(nil, []Day{dayWith(1, Row{"a", 2}), dayWith(3, Row{"b", 5}, Row{"a", 2}, Row{"c", 1})}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 4 {
			b = sealed(b)
		}
		days, err := decodeDays(b, func(off, n int, _ string, _ ...any) {
			if off < 0 || n < 0 || off+n > len(b) {
				t.Fatalf("described %d bytes at %d of %d", n, off, len(b))
			}
		})
		if err != nil {
			return
		}
		if len(days) > MaxDays {
			t.Fatalf("%d days", len(days))
		}
		again, err := decodeDays(appendDays(nil, days), nil)
		if err != nil || len(days) > 0 && !reflect.DeepEqual(again, days) {
			t.Fatalf("%v: %+v, not %+v", err, again, days)
		}
		if _, err := NewReport(days, dayMin, dayMax, ByGrowth, MaxRows, nil); err != nil {
			t.Fatal(err)
		}
	})
}
