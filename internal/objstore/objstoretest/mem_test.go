package objstoretest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"syscall"
	"testing"

	"tsdb/internal/objstore"
)

func TestOperationsFailAtTheirNumber(t *testing.T) {
	m := NewMem()
	for k := 1; ; k++ {
		m.FailAt(k, syscall.EIO)
		from := m.Ops()
		w, err := m.Create(t.Context(), testKey)
		if err == nil {
			if _, err = w.Write([]byte("data")); err == nil {
				_, err = w.Commit(t.Context())
			}
			err = errors.Join(err, w.Abort())
		}
		if m.Leaks() > 0 {
			t.Fatalf("operation %d: a writer is left", k)
		}
		if m.Ops()-from < k {
			must(t, err)
			if k != 4 { // create, write, commit
				t.Errorf("%d operations", k-1)
			}
			return
		}
		wantErr(t, err, syscall.EIO)
	}
}

func TestATornCommitIsAConflictForTheNext(t *testing.T) {
	m, data := NewMem(), content(1_000, 1)
	w := write(t, m, testKey, data, 1_000)
	m.FailAt(1, ErrTornCommit)
	_, err := w.Commit(t.Context())
	wantErr(t, err, ErrTornCommit)
	must(t, w.Abort())
	wantObject(t, m, testKey, data[:500])
	w = write(t, m, testKey, data, 1_000)
	_, err = w.Commit(t.Context())
	wantErr(t, err, objstore.ErrConflict)
	must(t, w.Abort())
}

func TestACommitWhoseAnswerWasLostSucceedsWhenDoneAgain(t *testing.T) {
	m, data := NewMem(), content(1_000, 1)
	w := write(t, m, testKey, data, 1_000)
	m.FailAt(1, ErrLostAnswer)
	_, err := w.Commit(t.Context())
	wantErr(t, err, ErrLostAnswer)
	must(t, w.Abort())
	put(t, m, testKey, data)
	wantObject(t, m, testKey, data)
}

func TestALostDeleteLeavesTheObject(t *testing.T) {
	m, data := NewMem(), content(1_000, 1)
	put(t, m, testKey, data)
	m.FailAt(1, ErrLostDelete)
	if errs := m.Delete(t.Context(), testKey); errs != nil {
		t.Fatal(errs)
	}
	wantObject(t, m, testKey, data)
}

func TestAShortReadCostsItsRange(t *testing.T) {
	m, data := NewMem(), content(1_000, 1)
	put(t, m, testKey, data)
	o, err := m.Open(t.Context(), testKey)
	must(t, err)
	defer func() { must(t, o.Close()) }()
	m.SetHook(func(o Op) error {
		if o.Kind == OpRead && o.Off <= 40 && o.Off+int64(o.Len) > 40 {
			return ErrShortRead
		}
		return nil
	})
	ranges := []objstore.Range{{Offset: 0, Data: make([]byte, 30)}, {Offset: 30, Data: make([]byte, 20)}, {Offset: 50, Data: make([]byte, 20)}}
	wantErr(t, o.ReadRanges(t.Context(), ranges), io.ErrUnexpectedEOF)
	if ranges[0].Err != nil || ranges[1].Err == nil || ranges[2].Err != nil || !bytes.Equal(ranges[2].Data, data[50:70]) {
		t.Errorf("errors: %v, %v, %v", ranges[0].Err, ranges[1].Err, ranges[2].Err)
	}
}

// A slow read is one whose hook waits; the caller gives up with its context.
func TestASlowReadEndsWithItsContext(t *testing.T) {
	m := NewMem()
	put(t, m, testKey, content(1_000, 1))
	o, err := m.Open(t.Context(), testKey)
	must(t, err)
	defer func() { must(t, o.Close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	m.SetHook(func(Op) error {
		cancel() // meanwhile the query ends
		<-ctx.Done()
		return ctx.Err()
	})
	wantErr(t, o.ReadAt(ctx, make([]byte, 10), 0), context.Canceled)
}
