package namestats

import (
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"tsdb/internal/vfs"
)

var start = time.Unix(1_800_000_000, 0)

func TestCountsAreKeptAndForgotten(t *testing.T) {
	clock := vfs.NewManualClock(start)
	mem := vfs.NewMem()
	if err := mem.MkdirAll("data"); err != nil {
		t.Fatal(err)
	}
	open := func() *Tracker {
		tr := New(clock)
		if err := tr.Load(mem, "data"); err != nil {
			t.Fatal(err)
		}
		return tr
	}
	tr := open()
	if err := tr.Save(mem, "data"); err != nil {
		t.Fatal(err)
	}
	if names, _ := mem.List("data"); len(names) != 0 {
		t.Errorf("nothing was counted, yet there is %v", names)
	}
	tr.Count("b")
	clock.Advance(5 * time.Second)
	tr.Count("b")
	tr.Count("a")
	want := []Record{{Name: "never"}, {"a", 1, start.Unix() + 5}, {"b", 2, start.Unix() + 5}}
	for _, when := range []string{"counted", "loaded"} {
		if got := tr.Records([]string{"a", "never"}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
		if since, bytes := tr.Since(); since != start.Unix() || bytes != 2*(1+nameBytes) {
			t.Errorf("%s: since %d, %d bytes", when, since, bytes)
		}
		if err := tr.Save(mem, "data"); err != nil {
			t.Fatal(err)
		}
		tr = open()
	}
	tr.Reset()
	if err := tr.Save(mem, "data"); err != nil {
		t.Fatal(err)
	}
	tr = open()
	if since, _ := tr.Since(); since != start.Unix()+5 || len(tr.Records(nil)) != 0 {
		t.Errorf("after a reset: since %d, %v", since, tr.Records(nil))
	}
}

func TestTheTableIsBounded(t *testing.T) {
	tr := New(vfs.NewManualClock(start))
	for i := range MaxNames + 10 {
		tr.Count(fmt.Sprint(i))
	}
	tr.Count(string(make([]byte, MaxNameBytes+1)))
	tr.Count("0")
	if all := tr.Records(nil); len(all) != MaxNames || all[MaxNames-1].Requests != 2 {
		t.Errorf("%d names", len(all))
	}
}

// Whatever operation fails, the file has the old counts or the new ones, and the next Save
// writes them.
func TestAFailedSaveIsRepeated(t *testing.T) {
	for k := 0; ; k++ {
		mem := vfs.NewMem()
		if err := mem.MkdirAll("data"); err != nil {
			t.Fatal(err)
		}
		clock := vfs.NewManualClock(start)
		tr := New(clock)
		tr.Count("a")
		if err := tr.Save(mem, "data"); err != nil {
			t.Fatal(err)
		}
		tr.Count("a")
		fault, n, hit := vfs.NewFault(mem), 0, false
		fault.SetHook(func(op vfs.Op) error {
			if n++; n == k+1 {
				hit = true
				return errors.New("fault")
			}
			return nil
		})
		err := tr.Save(fault, "data")
		loaded := New(clock)
		if err := loaded.Load(mem, "data"); err != nil {
			t.Fatalf("fault %d: %v", k, err)
		}
		if all := loaded.Records(nil); len(all) != 1 || all[0].Requests < 1 {
			t.Fatalf("fault %d: %v", k, all)
		}
		if err != nil {
			fault.SetHook(nil)
			if err := tr.Save(fault, "data"); err != nil {
				t.Fatalf("after fault %d: %v", k, err)
			}
		}
		loaded = New(clock)
		if err := loaded.Load(mem, "data"); err != nil || loaded.Records(nil)[0].Requests != 2 {
			t.Fatalf("after fault %d: %v, %v", k, loaded.Records(nil), err)
		}
		if !hit {
			return
		}
	}
}

func TestFileFormat(t *testing.T) {
	b := appendTable(nil, table{since: 1_800_000_000, names: map[string]count{"up": {3, 1_800_000_005}, "a_total": {300, 1_800_000_001}}})
	const golden = "74736462716e616d0100000080c8ceb40d0207615f746f74616cac0282c8ceb40d027570038ac8ceb40d"
	if got := hex.EncodeToString(b[:len(b)-4]); got != golden {
		t.Errorf("got %s", got)
	}
	for i := range b {
		damaged := append([]byte(nil), b...)
		damaged[i] ^= 1
		if _, err := decodeTable(damaged); err == nil {
			t.Errorf("a flip of byte %d is not noticed", i)
		}
	}
}

func FuzzDecodeTable(f *testing.F) {
	f.Add(appendTable(nil, table{since: 5, names: map[string]count{"a": {1, 2}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeTable(b)
		if err != nil {
			return
		}
		again, err := decodeTable(appendTable(nil, got))
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Errorf("%v becomes %v, %v", got, again, err)
		}
	})
}

func BenchmarkCount(b *testing.B) {
	tr := New(vfs.SystemClock)
	for b.Loop() {
		tr.Count("http_requests_total")
	}
}
