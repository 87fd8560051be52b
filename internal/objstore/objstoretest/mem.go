package objstoretest

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"tsdb/internal/objstore"
)

// costs make ReadRanges of a Mem coalesce and run in parallel in tests.
var costs = objstore.Costs{Gap: 16, MaxSpan: 1 << 10, Parallel: 4}

// Mem is a Store in memory. Objects are visible once they are committed. It is
// safe for concurrent use.
type Mem struct {
	mu struct {
		sync.Mutex
		objects map[string][]byte
		aside   map[string][]byte // by place
		uploads int               // Writers that have not ended
		open    int               // Objects that are open
		grace   time.Duration
		ops     int
		hook    func(Op) error
	}
}

// NewMem returns an empty store.
func NewMem() *Mem {
	m := &Mem{}
	m.mu.objects, m.mu.aside = map[string][]byte{}, map[string][]byte{}
	return m
}

var _ objstore.Store = (*Mem)(nil)

// SetGrace sets the result of Grace, which is 0 by default.
func (m *Mem) SetGrace(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.grace = d
}

// Leaks returns the number of Writers and Objects that have not ended.
func (m *Mem) Leaks() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.uploads + m.mu.open
}

// Grace implements Store.
func (m *Mem) Grace() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.grace
}

func missing(op, key string) error { return &fs.PathError{Op: op, Path: key, Err: fs.ErrNotExist} }

// Create implements Store.
func (m *Mem) Create(ctx context.Context, key string) (objstore.Writer, error) {
	if err := m.begin(ctx, Op{Kind: OpCreate, Key: key}); err != nil {
		return nil, err
	}
	if strings.HasSuffix(key, objstore.TempSuffix) {
		return nil, fmt.Errorf("%w %q", objstore.ErrKey, key)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.uploads++
	return &memWriter{m: m, key: key}, nil
}

// Open implements Store.
func (m *Mem) Open(ctx context.Context, key string) (objstore.Object, error) {
	if err := m.begin(ctx, Op{Kind: OpOpen, Key: key}); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.mu.objects[key]
	if !ok {
		return nil, missing("open", key)
	}
	m.mu.open++
	return &memObject{m: m, key: key, data: data}, nil
}

// Head implements Store.
func (m *Mem) Head(ctx context.Context, key string) (objstore.Identity, error) {
	if err := m.begin(ctx, Op{Kind: OpHead, Key: key}); err != nil {
		return objstore.Identity{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.mu.objects[key]
	if !ok {
		return objstore.Identity{}, missing("head", key)
	}
	return objstore.IdentityOf(int64(len(data)), data), nil
}

// List implements Store.
func (m *Mem) List(ctx context.Context, prefix string) ([]string, error) {
	if err := m.begin(ctx, Op{Kind: OpList, Key: prefix}); err != nil {
		return nil, err
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		return nil, fmt.Errorf("%w: prefix %q", objstore.ErrKey, prefix)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := slices.Sorted(maps.Keys(m.mu.objects))
	return slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, prefix) }), nil
}

// Delete implements Store. Each key is an operation.
func (m *Mem) Delete(ctx context.Context, keys ...string) []error {
	errs, failed := make([]error, len(keys)), false
	for i, key := range keys {
		switch err := m.begin(ctx, Op{Kind: OpDelete, Key: key}); err {
		case nil:
			m.mu.Lock()
			delete(m.mu.objects, key)
			m.mu.Unlock()
		case ErrLostDelete:
		default:
			errs[i], failed = err, true
		}
	}
	if !failed {
		return nil
	}
	return errs
}

// SetAside implements Store.
func (m *Mem) SetAside(ctx context.Context, key string) (string, error) {
	if err := m.begin(ctx, Op{Kind: OpSetAside, Key: key}); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.mu.objects[key]
	if !ok {
		return "", missing("set aside", key)
	}
	base := path.Join(objstore.LostFound, strings.ReplaceAll(key, "/", "_"))
	place := base
	for n := 1; m.mu.aside[place] != nil; n++ {
		place = fmt.Sprintf("%s.%d", base, n)
	}
	m.mu.aside[place] = data
	delete(m.mu.objects, key)
	return place, nil
}

// memWriter writes an object of a Mem.
type memWriter struct {
	m    *Mem
	key  string
	data []byte
	err  error
	done bool
}

// Write implements objstore.Writer.
func (w *memWriter) Write(p []byte) (int, error) {
	if w.done {
		return 0, fmt.Errorf("write %s: %w", w.key, objstore.ErrDone)
	}
	if w.err == nil {
		w.err = w.m.begin(context.Background(), Op{Kind: OpWrite, Key: w.key, Off: int64(len(w.data)), Len: len(p)})
	}
	if w.err != nil {
		return 0, w.err
	}
	w.data = append(w.data, p...)
	return len(p), nil
}

// Commit implements objstore.Writer.
func (w *memWriter) Commit(ctx context.Context) (objstore.Identity, error) {
	if w.done {
		return objstore.Identity{}, fmt.Errorf("commit %s: %w", w.key, objstore.ErrDone)
	}
	if w.err != nil {
		return objstore.Identity{}, w.err
	}
	fault := w.m.begin(ctx, Op{Kind: OpCommit, Key: w.key, Len: len(w.data)})
	m := w.m
	m.mu.Lock()
	defer m.mu.Unlock()
	existing, taken := m.mu.objects[w.key]
	switch {
	case fault == ErrTornCommit && !taken:
		m.mu.objects[w.key] = w.data[:len(w.data)/2]
		return objstore.Identity{}, fault
	case fault != nil && fault != ErrLostAnswer:
		return objstore.Identity{}, fault
	}
	mine := objstore.IdentityOf(int64(len(w.data)), w.data)
	if taken {
		if id := objstore.IdentityOf(int64(len(existing)), existing); id != mine {
			return objstore.Identity{}, &objstore.ConflictError{Key: w.key, Existing: id, Mine: mine}
		}
	} else {
		m.mu.objects[w.key] = w.data
	}
	if fault != nil {
		return objstore.Identity{}, fault
	}
	w.done = true
	m.mu.uploads--
	return mine, nil
}

// Abort implements objstore.Writer. An object that a Commit with a lost answer
// has made stays, as it would in a bucket.
func (w *memWriter) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	err := w.m.begin(context.Background(), Op{Kind: OpAbort, Key: w.key})
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	w.m.mu.uploads--
	return err
}

// memObject is an open object of a Mem.
type memObject struct {
	m      *Mem
	key    string
	data   []byte
	closed bool
}

func (o *memObject) Size() int64 { return int64(len(o.data)) }

// ReadAt implements objstore.Object.
func (o *memObject) ReadAt(ctx context.Context, p []byte, off int64) error {
	err := o.m.begin(ctx, Op{Kind: OpRead, Key: o.key, Off: off, Len: len(p)})
	if err != nil && err != ErrShortRead {
		return err
	}
	n := copy(p, o.data[min(off, int64(len(o.data))):])
	if err == ErrShortRead {
		n /= 2
	}
	if n < len(p) {
		return &objstore.ShortError{Key: o.key, Offset: off, Read: n, Len: len(p)}
	}
	return nil
}

// ReadRanges implements objstore.Object.
func (o *memObject) ReadRanges(ctx context.Context, ranges []objstore.Range) error {
	return costs.ReadRanges(ctx, o.ReadAt, ranges)
}

// Close implements objstore.Object.
func (o *memObject) Close() error {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	if o.closed {
		return fmt.Errorf("close %s: %w", o.key, fs.ErrClosed)
	}
	o.closed = true
	o.m.mu.open--
	return nil
}
