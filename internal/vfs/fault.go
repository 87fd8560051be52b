package vfs

import (
	"errors"
	"io"
	"strings"
	"sync"
)

// ErrShortWrite, as the error of a failed write, makes Fault write half of the bytes.
// Real file systems never return it.
var ErrShortWrite = errors.New("short write")

// Fault passes operations on to another file system, counts them, and can
// make any of them fail, do nothing, or wait for a hook.
//
// A failed operation does nothing, with three exceptions: a write failed with
// ErrShortWrite writes the first half; a close always closes; and a failed
// File.Sync on a Mem behaves as Linux does: what was not durable never will
// be, though it can be read and later syncs succeed.
//
// It is safe for concurrent use.
type Fault struct {
	fs FS
	mu struct {
		sync.Mutex
		counted OpSet
		n       int // operations so far
		hook    func(Op) error
		skip    func(Op) bool
		record  bool
		log     []Op
	}
}

// NewFault returns a Fault over fs that counts all operations.
func NewFault(fs FS) *Fault {
	f := &Fault{fs: fs}
	f.mu.counted = AllOps
	return f
}

// Count restricts counting, hooks and the log to some kinds of operations.
func (f *Fault) Count(kinds OpSet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.counted = kinds
}

// N returns the number of operations counted so far.
func (f *Fault) N() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.n
}

// SetHook makes f call hook before every counted operation, on the goroutine
// that does it and without locks held; if it returns an error the operation
// fails with it. nil removes it.
func (f *Fault) SetHook(hook func(Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.hook = hook
}

// FailAt makes the k-th operation, counted from 1, fail with err.
func (f *Fault) FailAt(k int, err error) {
	f.SetHook(func(o Op) error {
		if o.N == k {
			return err
		}
		return nil
	})
}

// HookAt calls hook before the k-th operation, counted from 1.
func (f *Fault) HookAt(k int, hook func(Op)) {
	f.SetHook(func(o Op) error {
		if o.N == k {
			hook(o)
		}
		return nil
	})
}

// Skip makes matching operations report success without being executed. It applies
// to operations without a result: Remove, Rename, Link, SyncDir, and a file's
// WriteAt, Sync and Truncate. nil ends it.
func (f *Fault) Skip(match func(Op) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.skip = match
}

// SkipKinds is Skip for all operations of some kinds.
func (f *Fault) SkipKinds(kinds OpSet) { f.Skip(func(o Op) bool { return kinds.Has(o.Kind) }) }

// Record starts a new log, or ends logging.
func (f *Fault) Record(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.record = on
	if on {
		f.mu.log = nil
	}
}

// Log returns the operations recorded, in the order in which they began.
func (f *Fault) Log() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Op(nil), f.mu.log...)
}

// Transcript returns the log as text, a line an operation.
func (f *Fault) Transcript() string {
	var b strings.Builder
	for _, o := range f.Log() {
		b.WriteString(o.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// do counts an operation and runs it, unless it is to fail or to be skipped.
// failed, if not nil, is what a failure does instead.
func (f *Fault) do(o Op, run func() error, failed func(error)) error {
	f.mu.Lock()
	if !f.mu.counted.Has(o.Kind) {
		skip := f.mu.skip
		f.mu.Unlock()
		if skip != nil && skip(o) && skippable.Has(o.Kind) {
			return nil
		}
		return run()
	}
	f.mu.n++
	o.N = f.mu.n
	hook, skip := f.mu.hook, f.mu.skip
	at := -1
	if f.mu.record {
		at = len(f.mu.log)
		f.mu.log = append(f.mu.log, o)
	}
	f.mu.Unlock()

	var err error
	if hook != nil {
		err = hook(o)
	}
	switch {
	case err != nil:
		if failed != nil {
			failed(err)
		}
		err = pathError(o.Kind.String(), o.Name, err)
	case skip != nil && skip(o) && skippable.Has(o.Kind):
	default:
		err = run()
	}
	if at >= 0 && err != nil && !errors.Is(err, io.EOF) {
		f.mu.Lock()
		if at < len(f.mu.log) && f.mu.log[at].N == o.N {
			f.mu.log[at].Result = err
		}
		f.mu.Unlock()
	}
	return err
}

var skippable = Ops(OpRemove, OpRename, OpLink, OpSyncDir, OpWrite, OpSync, OpTruncate)

// Create implements FS.
func (f *Fault) Create(name string) (File, error) { return f.open(OpCreate, name, f.fs.Create) }

// Open implements FS.
func (f *Fault) Open(name string) (File, error) { return f.open(OpOpen, name, f.fs.Open) }

// OpenReadWrite implements FS.
func (f *Fault) OpenReadWrite(name string) (File, error) {
	return f.open(OpOpenReadWrite, name, f.fs.OpenReadWrite)
}

func (f *Fault) open(kind OpKind, name string, open func(string) (File, error)) (File, error) {
	var file File
	err := f.do(Op{Kind: kind, Name: name}, func() (err error) {
		file, err = open(name)
		return err
	}, nil)
	if err != nil {
		return nil, err
	}
	return &faultFile{fault: f, file: file}, nil
}

// Remove implements FS.
func (f *Fault) Remove(name string) error {
	return f.do(Op{Kind: OpRemove, Name: name}, func() error { return f.fs.Remove(name) }, nil)
}

// Rename implements FS.
func (f *Fault) Rename(oldName, newName string) error {
	return f.do(Op{Kind: OpRename, Name: oldName, To: newName},
		func() error { return f.fs.Rename(oldName, newName) }, nil)
}

// Link implements FS.
func (f *Fault) Link(oldName, newName string) error {
	return f.do(Op{Kind: OpLink, Name: oldName, To: newName},
		func() error { return f.fs.Link(oldName, newName) }, nil)
}

// MkdirAll implements FS.
func (f *Fault) MkdirAll(dir string) error {
	return f.do(Op{Kind: OpMkdirAll, Name: dir}, func() error { return f.fs.MkdirAll(dir) }, nil)
}

// List implements FS.
func (f *Fault) List(dir string) (names []string, err error) {
	err = f.do(Op{Kind: OpList, Name: dir}, func() (err error) {
		names, err = f.fs.List(dir)
		return err
	}, nil)
	return names, err
}

// Stat implements FS.
func (f *Fault) Stat(name string) (info Info, err error) {
	err = f.do(Op{Kind: OpStat, Name: name}, func() (err error) {
		info, err = f.fs.Stat(name)
		return err
	}, nil)
	return info, err
}

// SyncDir implements FS.
func (f *Fault) SyncDir(dir string) error {
	return f.do(Op{Kind: OpSyncDir, Name: dir}, func() error { return f.fs.SyncDir(dir) }, nil)
}

// Lock implements FS.
func (f *Fault) Lock(name, owner string) (l Lock, err error) {
	err = f.do(Op{Kind: OpLock, Name: name}, func() (err error) {
		l, err = f.fs.Lock(name, owner)
		return err
	}, nil)
	return l, err
}

// FreeBytes implements FS.
func (f *Fault) FreeBytes(dir string) (n uint64, err error) {
	err = f.do(Op{Kind: OpFreeBytes, Name: dir}, func() (err error) {
		n, err = f.fs.FreeBytes(dir)
		return err
	}, nil)
	return n, err
}

// TotalBytes implements FS.
func (f *Fault) TotalBytes(dir string) (n uint64, err error) {
	err = f.do(Op{Kind: OpTotalBytes, Name: dir}, func() (err error) {
		n, err = f.fs.TotalBytes(dir)
		return err
	}, nil)
	return n, err
}

// faultFile is an open file of a Fault.
type faultFile struct {
	fault *Fault
	file  File
}

func (f *faultFile) Name() string { return f.file.Name() }

func (f *faultFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.fault.do(Op{Kind: OpRead, Name: f.Name(), Off: off, Len: len(p)}, func() (err error) {
		n, err = f.file.ReadAt(p, off)
		return err
	}, nil)
	return n, err
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	n := len(p)
	err := f.fault.do(Op{Kind: OpWrite, Name: f.Name(), Off: off, Len: len(p)}, func() (err error) {
		n, err = f.file.WriteAt(p, off)
		return err
	}, func(err error) {
		n = 0
		if errors.Is(err, ErrShortWrite) {
			n, _ = f.file.WriteAt(p[:len(p)/2], off)
		}
	})
	return n, err
}

func (f *faultFile) Sync() error {
	return f.fault.do(Op{Kind: OpSync, Name: f.Name()}, f.file.Sync, func(error) {
		if m, ok := f.file.(*memFile); ok {
			m.loseUnsynced()
		}
	})
}

func (f *faultFile) Truncate(size int64) error {
	return f.fault.do(Op{Kind: OpTruncate, Name: f.Name(), Off: size},
		func() error { return f.file.Truncate(size) }, nil)
}

func (f *faultFile) Size() (n int64, err error) {
	err = f.fault.do(Op{Kind: OpSize, Name: f.Name()}, func() (err error) {
		n, err = f.file.Size()
		return err
	}, nil)
	return n, err
}

func (f *faultFile) Close() error {
	return f.fault.do(Op{Kind: OpClose, Name: f.Name()}, f.file.Close,
		func(error) { _ = f.file.Close() })
}
