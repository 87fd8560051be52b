package objstoretest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"tsdb/internal/objstore"
)

// Test runs the tests of behaviour that all stores share. open returns a new,
// empty store.
func Test(t *testing.T, open func(t *testing.T) objstore.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s objstore.Store)
	}{
		{"a committed object reads back", testReadsBack},
		{"invalid keys are refused", testInvalidKeys},
		{"a missing object does not exist", testMissing},
		{"an identical object commits again", testCommitAgain},
		{"a different object is a conflict", testConflict},
		{"writers of one key get along", testWritersOfOneKey},
		{"many writers of one object all commit", testManyWriters},
		{"an aborted object leaves nothing", testAbort},
		{"a writer ends once", testDone},
		{"ranges are read in any order", testRanges},
		{"a failing range costs no other", testFailingRange},
		{"an ended context ends every call", testContext},
		{"a list has what begins with the prefix", testList},
		{"deletion has an error for each key", testDelete},
		{"an open object outlives its key", testOpenOutlives},
		{"an object set aside leaves the store", testSetAside},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			test.run(t, s)
			if m, ok := s.(*Mem); ok && m.Leaks() > 0 {
				t.Errorf("%d writers and objects are left open", m.Leaks())
			}
		})
	}
}

const testKey = "raw/2026-11-21/l1-a.tsb"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// content returns n bytes that differ from place to place and by seed.
func content(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// write creates an object of data, not committed yet.
func write(t testing.TB, s objstore.Store, key string, data []byte, step int) objstore.Writer {
	t.Helper()
	w, err := s.Create(t.Context(), key)
	must(t, err)
	for len(data) > 0 {
		n := min(step, len(data))
		got, err := w.Write(data[:n])
		must(t, err)
		if got != n {
			t.Fatalf("wrote %d of %d bytes", got, n)
		}
		data = data[n:]
	}
	return w
}

func put(t testing.TB, s objstore.Store, key string, data []byte) objstore.Identity {
	t.Helper()
	id, err := write(t, s, key, data, 1000).Commit(t.Context())
	must(t, err)
	return id
}

func wantObject(t testing.TB, s objstore.Store, key string, want []byte) {
	t.Helper()
	o, err := s.Open(t.Context(), key)
	must(t, err)
	defer func() { must(t, o.Close()) }()
	if o.Size() != int64(len(want)) {
		t.Fatalf("%s has %d bytes, want %d", key, o.Size(), len(want))
	}
	got := make([]byte, len(want))
	must(t, o.ReadAt(t.Context(), got, 0))
	if !bytes.Equal(got, want) {
		t.Fatalf("%s has other bytes than were written", key)
	}
	id, err := s.Head(t.Context(), key)
	must(t, err)
	if wantID := objstore.IdentityOf(int64(len(want)), want); id != wantID {
		t.Fatalf("%s: identity %v, want %v", key, id, wantID)
	}
}

func wantKeys(t testing.TB, s objstore.Store, prefix string, want ...string) {
	t.Helper()
	got, err := s.List(t.Context(), prefix)
	must(t, err)
	if !slices.Equal(got, want) {
		t.Fatalf("list of %q: %q, want %q", prefix, got, want)
	}
}

func testReadsBack(t *testing.T, s objstore.Store) {
	for i, n := range []int{0, 1, 4095, 4096, 4097, 700_000} {
		for k, step := range []int{7, 4096, 600_000} {
			if n > 100_000 && step == 7 {
				step = 10_007
			}
			key := "l0/" + string(rune('a'+i)) + string(rune('a'+k)) + ".tsb"
			data := content(n, uint64(n))
			w := write(t, s, key, data, step)
			id, err := w.Commit(t.Context())
			must(t, err)
			if want := objstore.IdentityOf(int64(n), data); id != want {
				t.Fatalf("%d bytes in steps of %d: committed as %v, want %v", n, step, id, want)
			}
			wantObject(t, s, key, data)
		}
	}
}

func testInvalidKeys(t *testing.T, s objstore.Store) {
	for _, key := range []string{"", ".", "/a.tsb", "a/", "a//b.tsb", "../a.tsb", "a/../b.tsb", "a\\b.tsb", "a", "l0/a", "l0/.tsb",
		"a.tsb/b.tsb", "lost+found/a.tsb", "l0/" + strings.Repeat("x", objstore.MaxKeyBytes) + ".tsb"} {
		_, createErr := s.Create(t.Context(), key)
		_, openErr := s.Open(t.Context(), key)
		_, headErr := s.Head(t.Context(), key)
		_, asideErr := s.SetAside(t.Context(), key)
		for call, err := range map[string]error{"create": createErr, "open": openErr, "head": headErr, "set aside": asideErr} {
			if !errors.Is(err, objstore.ErrKey) {
				t.Errorf("%s %q: %v", call, key, err)
			}
		}
		if errs := s.Delete(t.Context(), key); len(errs) != 1 || !errors.Is(errs[0], objstore.ErrKey) {
			t.Errorf("delete %q: %v", key, errs)
		}
	}
	_, err := s.Create(t.Context(), "l0/a.tsb"+objstore.TempSuffix)
	wantErr(t, err, objstore.ErrKey)
	_, err = s.List(t.Context(), "l0")
	wantErr(t, err, objstore.ErrKey)
}

func testMissing(t *testing.T, s objstore.Store) {
	_, err := s.Open(t.Context(), testKey)
	wantErr(t, err, fs.ErrNotExist)
	_, err = s.Head(t.Context(), testKey)
	wantErr(t, err, fs.ErrNotExist)
	_, err = s.SetAside(t.Context(), testKey)
	wantErr(t, err, fs.ErrNotExist)
	if errs := s.Delete(t.Context(), testKey, "l0/a.tsb"); errs != nil {
		t.Fatalf("delete: %v", errs)
	}
	wantKeys(t, s, "raw/")
}

func testCommitAgain(t *testing.T, s objstore.Store) {
	data := content(10_000, 1)
	first := put(t, s, testKey, data)
	for range 2 {
		if again := put(t, s, testKey, data); again != first {
			t.Fatalf("committed again as %v, at first as %v", again, first)
		}
		wantObject(t, s, testKey, data)
		wantKeys(t, s, "", testKey)
	}
}

func testConflict(t *testing.T, s objstore.Store) {
	data := content(10_000, 1)
	first := put(t, s, testKey, data)
	otherTail := slices.Clone(data)
	otherTail[len(data)-1]++
	for _, other := range [][]byte{data[:9_999], otherTail, nil} {
		w := write(t, s, testKey, other, 3000)
		_, err := w.Commit(t.Context())
		wantErr(t, err, objstore.ErrConflict)
		var conflict *objstore.ConflictError
		if !errors.As(err, &conflict) || conflict.Key != testKey || conflict.Existing != first ||
			conflict.Mine != objstore.IdentityOf(int64(len(other)), other) {
			t.Fatalf("conflict: %v", err)
		}
		wantObject(t, s, testKey, data)
		must(t, w.Abort())
		wantObject(t, s, testKey, data)
		wantKeys(t, s, "", testKey)
	}
}

// testWritersOfOneKey runs two writers of one key beside each other, in all orders
// of their ends.
func testWritersOfOneKey(t *testing.T, s objstore.Store) {
	data, other := content(9_000, 1), content(9_000, 2)
	for _, test := range []struct {
		name          string
		first, second []byte
		ends          string // in order; writer 1 or 2, c commits, a aborts, x conflicts and aborts
		want          []byte // nil = no object
	}{
		{"both commit", data, data, "1c 2c", data},
		{"both commit, the second before", data, data, "2c 1c", data},
		{"the first commits, the second aborts", data, data, "1c 2a", data},
		{"the second commits, the first aborts", data, data, "2c 1a", data},
		{"the first aborts, the second commits", data, data, "1a 2c", data},
		{"the second aborts, the first commits", data, data, "2a 1c", data},
		{"both abort", data, data, "1a 2a", nil},
		{"different, the first before", data, other, "1c 2x", data},
		{"different, the second before", data, other, "2c 1x", other},
	} {
		writers := map[byte]objstore.Writer{}
		writers['1'] = write(t, s, testKey, test.first, 1000)
		writers['2'] = write(t, s, testKey, test.second, 1000)
		for end := range strings.SplitSeq(test.ends, " ") {
			w := writers[end[0]]
			if end[1] != 'a' {
				_, err := w.Commit(t.Context())
				if conflict := errors.Is(err, objstore.ErrConflict); conflict != (end[1] == 'x') || err != nil && !conflict {
					t.Fatalf("%s: %s: %v", test.name, end, err)
				}
			}
			must(t, w.Abort()) // does nothing after a Commit that succeeded
		}
		if test.want == nil {
			if _, err := s.Head(t.Context(), testKey); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%s: %v", test.name, err)
			}
			wantKeys(t, s, "")
			continue
		}
		wantObject(t, s, testKey, test.want)
		wantKeys(t, s, "", testKey)
		if errs := s.Delete(t.Context(), testKey); errs != nil {
			t.Fatal(errs)
		}
	}
}

func testManyWriters(t *testing.T, s objstore.Store) {
	data := content(5_000, 1)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			w, err := s.Create(context.Background(), testKey)
			if err == nil {
				if _, err = w.Write(data); err == nil {
					_, err = w.Commit(context.Background())
				}
				err = errors.Join(err, w.Abort())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantObject(t, s, testKey, data)
	wantKeys(t, s, "", testKey)
}

func testAbort(t *testing.T, s objstore.Store) {
	w := write(t, s, testKey, content(700_000, 1), 10_000)
	must(t, w.Abort())
	_, err := s.Head(t.Context(), testKey)
	wantErr(t, err, fs.ErrNotExist)
	wantKeys(t, s, "")
	data := content(100, 2)
	put(t, s, testKey, data)
	wantObject(t, s, testKey, data)
}

func testDone(t *testing.T, s objstore.Store) {
	data := content(100, 1)
	for _, end := range []func(objstore.Writer) error{
		func(w objstore.Writer) error { _, err := w.Commit(t.Context()); return err },
		objstore.Writer.Abort,
	} {
		w := write(t, s, testKey, data, 100)
		must(t, end(w))
		_, err := w.Write(data)
		wantErr(t, err, objstore.ErrDone)
		_, err = w.Commit(t.Context())
		wantErr(t, err, objstore.ErrDone)
		must(t, w.Abort())
		must(t, w.Abort())
		wantObject(t, s, testKey, data) // of the first writer, whose Abort came after its Commit
	}
}

func testRanges(t *testing.T, s objstore.Store) {
	data := content(200_000, 1)
	put(t, s, testKey, data)
	o, err := s.Open(t.Context(), testKey)
	must(t, err)
	defer func() { must(t, o.Close()) }()
	must(t, o.ReadRanges(t.Context(), nil))
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		ranges := make([]objstore.Range, r.IntN(40))
		memory := make([][]byte, len(ranges))
		for i := range ranges {
			off := r.IntN(len(data))
			n := r.IntN(min(len(data)-off, 1<<r.IntN(16)) + 1)
			memory[i] = make([]byte, n+2)
			ranges[i] = objstore.Range{Offset: int64(off), Data: memory[i][1 : n+1 : n+1], Err: io.EOF}
		}
		must(t, o.ReadRanges(t.Context(), ranges))
		for i, r := range ranges {
			if want := data[r.Offset:][:len(r.Data)]; r.Err != nil || !bytes.Equal(r.Data, want) {
				t.Fatalf("round %d: range %d of %d bytes at %d is wrong: %v", round, i, len(r.Data), r.Offset, r.Err)
			}
			if m := memory[i]; m[0] != 0 || m[len(m)-1] != 0 {
				t.Fatalf("round %d: wrote outside of range %d", round, i)
			}
		}
	}
}

func testFailingRange(t *testing.T, s objstore.Store) {
	data := content(1_000, 1)
	put(t, s, testKey, data)
	o, err := s.Open(t.Context(), testKey)
	must(t, err)
	defer func() { must(t, o.Close()) }()
	ranges := []objstore.Range{
		{Offset: 995, Data: make([]byte, 10)},
		{Offset: 980, Data: make([]byte, 14)}, // is read at once with the one before
		{Offset: 0, Data: make([]byte, 10)},
		{Offset: 1_000, Data: make([]byte, 1)},
		{Offset: 1_000, Data: nil},
	}
	err = o.ReadRanges(t.Context(), ranges)
	var short *objstore.ShortError
	if !errors.As(err, &short) || short.Offset != 995 || short.Read != 5 || short.Len != 10 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("read of ranges: %v", err)
	}
	for i, failed := range []bool{true, false, false, true, false} {
		if (ranges[i].Err != nil) != failed {
			t.Errorf("range %d: %v", i, ranges[i].Err)
		}
	}
	if !bytes.Equal(ranges[1].Data, data[980:994]) || !bytes.Equal(ranges[2].Data, data[:10]) {
		t.Error("a range that can be read has other bytes")
	}
	err = o.ReadAt(t.Context(), make([]byte, 3), 1_100)
	if !errors.As(err, &short) || short.Read != 0 {
		t.Errorf("read behind the end: %v", err)
	}
}

func testContext(t *testing.T, s objstore.Store) {
	data := content(100, 1)
	put(t, s, testKey, data)
	o, err := s.Open(t.Context(), testKey)
	must(t, err)
	w := write(t, s, "l0/other.tsb", data, 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, createErr := s.Create(ctx, "l0/a.tsb")
	_, openErr := s.Open(ctx, testKey)
	_, headErr := s.Head(ctx, testKey)
	_, listErr := s.List(ctx, "")
	_, asideErr := s.SetAside(ctx, testKey)
	_, commitErr := w.Commit(ctx)
	ranges := []objstore.Range{{Data: make([]byte, 1)}, {Offset: 50, Data: make([]byte, 1)}}
	for call, err := range map[string]error{
		"create": createErr, "open": openErr, "head": headErr, "list": listErr, "set aside": asideErr, "commit": commitErr,
		"delete": errors.Join(s.Delete(ctx, testKey)...), "read": o.ReadAt(ctx, make([]byte, 1), 0),
		"read ranges": o.ReadRanges(ctx, ranges), "first range": ranges[0].Err, "second range": ranges[1].Err,
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", call, err)
		}
	}
	must(t, w.Abort())
	must(t, o.Close())
	wantObject(t, s, testKey, data)
	wantKeys(t, s, "", testKey)
}

func testList(t *testing.T, s objstore.Store) {
	for _, key := range []string{"raw/2026-11-22/b.tsb", "raw/2026-11-21/a.tsb", "l0/c.tsb", "raw/2026-11-21/b.tsb", "top.tsb"} {
		put(t, s, key, content(10, 1))
	}
	wantKeys(t, s, "raw/", "raw/2026-11-21/a.tsb", "raw/2026-11-21/b.tsb", "raw/2026-11-22/b.tsb")
	wantKeys(t, s, "raw/2026-11-22/", "raw/2026-11-22/b.tsb")
	wantKeys(t, s, "l0/", "l0/c.tsb")
	wantKeys(t, s, "none/")
	wantKeys(t, s, "", "l0/c.tsb", "raw/2026-11-21/a.tsb", "raw/2026-11-21/b.tsb", "raw/2026-11-22/b.tsb", "top.tsb")
}

func testDelete(t *testing.T, s objstore.Store) {
	for _, key := range []string{"l0/a.tsb", "l0/b.tsb", "raw/d/c.tsb"} {
		put(t, s, key, content(10, 1))
	}
	errs := s.Delete(t.Context(), "l0/a.tsb", "no key", "raw/d/c.tsb", "l0/none.tsb")
	if len(errs) != 4 || errs[0] != nil || !errors.Is(errs[1], objstore.ErrKey) || errs[2] != nil || errs[3] != nil {
		t.Fatalf("delete: %v", errs)
	}
	wantKeys(t, s, "", "l0/b.tsb")
	if errs := s.Delete(t.Context(), "l0/b.tsb"); errs != nil {
		t.Fatal(errs)
	}
	if errs := s.Delete(t.Context()); errs != nil {
		t.Fatal(errs)
	}
	wantKeys(t, s, "")
}

func testOpenOutlives(t *testing.T, s objstore.Store) {
	if s.Grace() > 0 {
		t.Skip("readers of this store have the grace only")
	}
	data := content(5_000, 1)
	put(t, s, testKey, data)
	o, err := s.Open(t.Context(), testKey)
	must(t, err)
	if errs := s.Delete(t.Context(), testKey); errs != nil {
		t.Fatal(errs)
	}
	got := make([]byte, len(data))
	must(t, o.ReadAt(t.Context(), got, 0))
	if !bytes.Equal(got, data) {
		t.Error("other bytes after the deletion")
	}
	must(t, o.Close())
	wantErr(t, o.Close(), fs.ErrClosed)
}

func testSetAside(t *testing.T, s objstore.Store) {
	places := map[string]bool{}
	for range 3 {
		put(t, s, testKey, content(100, 1))
		place, err := s.SetAside(t.Context(), testKey)
		must(t, err)
		if !strings.HasPrefix(place, objstore.LostFound+"/") || places[place] {
			t.Fatalf("moved to %q, after %v", place, places)
		}
		places[place] = true
		_, err = s.Head(t.Context(), testKey)
		wantErr(t, err, fs.ErrNotExist)
		wantKeys(t, s, "")
	}
}
