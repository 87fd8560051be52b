package objstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/objstore"
	"tsdb/internal/objstore/objstoretest"
)

var bg = context.Background()

func TestAnObjectThatCannotBeDeletedKeepsNoOther(t *testing.T) {
	m := objstoretest.NewMem()
	keys := []string{"l0/a.tsb", "l0/b.tsb", "l0/c.tsb"}
	for _, key := range keys {
		_, err := put(m, key, []byte(key))
		must(t, err)
	}
	attempts := 0
	m.SetHook(func(o objstoretest.Op) error {
		if o.Kind == objstoretest.OpDelete && o.Key == "l0/b.tsb" {
			attempts++
			return syscall.EACCES
		}
		return nil
	})
	d := objstore.NewDeleter(m)
	now := time.Unix(1000, 0)
	gone, err := d.Delete(bg, now, keys)
	if !slices.Equal(gone, []string{"l0/a.tsb", "l0/c.tsb"}) || !errors.Is(err, syscall.EACCES) || !strings.Contains(err.Error(), "1 objects") {
		t.Fatalf("gone: %q, %v", gone, err)
	}
	// It is tried again after 1, 2, 4 … seconds.
	for second := range 16 {
		gone, err = d.Delete(bg, now.Add(time.Duration(second)*time.Second), []string{"l0/b.tsb"})
		if len(gone) > 0 || err == nil {
			t.Fatalf("after %d s: %q, %v", second, gone, err)
		}
	}
	if attempts != 5 { // at 0, 1, 3, 7, 15
		t.Errorf("%d attempts in 15 s", attempts)
	}
	m.SetHook(nil)
	if gone, err = d.Delete(bg, now.Add(time.Hour), []string{"l0/b.tsb"}); !slices.Equal(gone, []string{"l0/b.tsb"}) || err != nil || d.Err() != nil {
		t.Fatalf("gone: %q, %v", gone, err)
	}
}

func TestAKeyThatIsNoLongerGivenIsForgotten(t *testing.T) {
	m := objstoretest.NewMem()
	d := objstore.NewDeleter(m)
	m.FailAt(1, syscall.EACCES)
	if _, err := d.Delete(bg, time.Unix(0, 0), []string{"l0/a.tsb"}); !errors.Is(err, syscall.EACCES) {
		t.Fatal(err)
	}
	if _, err := d.Delete(bg, time.Unix(0, 0), nil); err != nil || d.Err() != nil {
		t.Fatalf("error of a key that is needed again: %v", err)
	}
}

func TestReadersOfOtherProcessesHaveTheGrace(t *testing.T) {
	m := objstoretest.NewMem()
	m.SetGrace(10 * time.Minute)
	_, err := put(m, key, []byte("x"))
	must(t, err)
	d := objstore.NewDeleter(m)
	start := time.Unix(1000, 0)
	for _, test := range []struct {
		after time.Duration
		gone  int
	}{{0, 0}, {5 * time.Minute, 0}, {10*time.Minute - 1, 0}, {10 * time.Minute, 1}} {
		gone, err := d.Delete(bg, start.Add(test.after), []string{key})
		if err != nil || len(gone) != test.gone {
			t.Fatalf("after %v: %q, %v", test.after, gone, err)
		}
		if _, err := m.Head(bg, key); (err == nil) != (test.gone == 0) {
			t.Fatalf("after %v: %v", test.after, err)
		}
	}
}
