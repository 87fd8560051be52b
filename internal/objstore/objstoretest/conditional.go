package objstoretest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"testing"

	"tsdb/internal/objstore"
)

// TestConditional runs the tests of behaviour that all conditional stores share. open
// returns a new, empty store.
func TestConditional(t *testing.T, open func(t *testing.T) objstore.Conditional) {
	t.Run("an object is replaced if it is the one expected", func(t *testing.T) { testPutIf(t, open(t)) })
	t.Run("of many that replace an object one succeeds at a time", func(t *testing.T) { testManyPutIf(t, open(t)) })
}

const headKey = "heads/5b1f0c7a9e3d2468.head"

func testPutIf(t *testing.T, s objstore.Conditional) {
	ctx := t.Context()
	put := func(data []byte, expected, existing objstore.Identity, ok bool) objstore.Identity {
		t.Helper()
		id, err := s.PutIf(ctx, headKey, data, expected)
		if ok {
			must(t, err)
			wantObject(t, s, headKey, data)
			if want := objstore.IdentityOf(int64(len(data)), data); id != want {
				t.Fatalf("identity %v, want %v", id, want)
			}
			return id
		}
		var conflict *objstore.ConflictError
		if !errors.As(err, &conflict) || conflict.Existing != existing {
			t.Fatalf("error %v, want a conflict with %v", err, existing)
		}
		return objstore.Identity{}
	}
	none := objstore.Identity{}
	one := content(10_000, 1)
	put(content(5, 9), objstore.IdentityOf(3, []byte("abc")), none, false)
	first := put(one, none, none, true)
	put(content(5, 2), none, first, false)
	second := put(content(5, 3), first, none, true)
	put(content(5, 4), first, second, false)
	put(content(20_000, 5), second, none, true)
	// Objects of one size that end in a checksum of what is before, as those of all formats.
	for _, n := range []int{100, 10_000} {
		summed := func(seed uint64) []byte {
			b := content(n, 6)
			copy(b[n-50:], content(50, seed))
			return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		}
		must(t, errors.Join(s.Delete(ctx, headKey)...))
		first := put(summed(1), none, none, true)
		second := put(summed(2), first, none, true)
		put(summed(3), first, second, false)
	}
	wantKeys(t, s, "heads/", headKey)
	_, err := s.PutIf(ctx, "../x.head", nil, none)
	wantErr(t, err, objstore.ErrKey)
}

func testManyPutIf(t *testing.T, s objstore.Conditional) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	succeeded := 0
	for i := range 8 {
		wg.Go(func() {
			_, err := s.PutIf(t.Context(), headKey, []byte(fmt.Sprint("head ", i)), objstore.Identity{})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				succeeded++
			case !errors.Is(err, objstore.ErrConflict) && !errors.Is(err, objstore.ErrBusy):
				t.Errorf("put: %v", err)
			}
		})
	}
	wg.Wait()
	if succeeded != 1 {
		t.Errorf("%d of 8 succeeded", succeeded)
	}
}
