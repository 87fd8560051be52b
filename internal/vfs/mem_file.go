package vfs

import (
	"io"
	"io/fs"
	"slices"
	"syscall"
)

// dataOp is one change of a file's bytes that is not durable yet.
type dataOp struct {
	truncate bool
	off      int64  // of the write; the new size of a truncate
	n        int64  // bytes written
	data     []byte // what was written; nil for zeros
}

// memFile is an open file of a Mem.
type memFile struct {
	fs    *Mem
	node  *node
	name  string
	write bool
	done  bool // closed
}

func (f *memFile) Name() string { return f.name }

func (f *memFile) check(op string) error {
	if f.done {
		return pathError(op, f.name, fs.ErrClosed)
	}
	return nil
}

func (f *memFile) checkWrite(op string) error {
	if err := f.check(op); err != nil {
		return err
	}
	if !f.write {
		return pathError(op, f.name, syscall.EBADF)
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if err := f.check("read"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("read", f.name, fs.ErrInvalid)
	}
	n := int(min(int64(len(p)), max(f.node.live.size-off, 0)))
	f.node.live.read(p[:n], off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes the bytes that fit and fails with ENOSPC if there are more.
func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkWrite("write"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("write", f.name, fs.ErrInvalid)
	}
	n := f.node
	room := n.live.size + f.fs.freeLocked() - off
	fits := int(min(int64(len(p)), max(room, 0)))
	if fits > 0 {
		f.fs.used += max(off+int64(fits)-n.live.size, 0)
		n.live.write(p[:fits], off)
		op := dataOp{off: off, n: int64(fits)}
		if !allZero(p[:fits]) {
			op.data = slices.Clone(p[:fits])
		}
		n.pending = append(n.pending, op)
		n.markDirty(off, off+int64(fits))
		f.fs.touch(n)
	}
	if fits < len(p) {
		return fits, pathError("write", f.name, syscall.ENOSPC)
	}
	return fits, nil
}

func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkWrite("truncate"); err != nil {
		return err
	}
	n := f.node
	grow := size - n.live.size
	switch {
	case size < 0:
		return pathError("truncate", f.name, fs.ErrInvalid)
	case grow > f.fs.freeLocked():
		return pathError("truncate", f.name, syscall.ENOSPC)
	case grow == 0:
		return nil
	}
	n.markDirty(min(size, n.live.size), max(size, n.live.size))
	n.live.resize(size)
	f.fs.used += grow
	n.pending = append(n.pending, dataOp{truncate: true, off: size})
	f.fs.touch(n)
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if err := f.check("stat"); err != nil {
		return 0, err
	}
	return f.node.live.size, nil
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("fdatasync"); err != nil {
		return err
	}
	f.node.sync()
	return nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("close"); err != nil {
		return err
	}
	f.done = true
	f.node.handles--
	f.fs.open--
	f.fs.reclaim(f.node)
	return nil
}

// loseUnsynced imitates a failed sync: the kernel marks the pages clean although they
// were not written. Processes still see them, the next sync has nothing to do and
// succeeds, and a power cut restores the old bytes.
func (f *memFile) loseUnsynced() {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	clear(f.node.dirty)
	f.node.pending = nil
}

func (n *node) markDirty(from, to int64) {
	if n.dirty == nil {
		n.dirty = map[int]struct{}{}
	}
	for i := int(from / pageSize); int64(i)*pageSize < to; i++ {
		n.dirty[i] = struct{}{}
	}
}

func (n *node) sync() {
	n.live.freeze()
	if n.synced.size != n.live.size {
		n.synced.resize(n.live.size)
	}
	for i := range n.dirty {
		if i < len(n.live.pages) {
			n.synced.setPage(i, n.live.pages[i])
		}
	}
	clear(n.dirty)
	n.pending = nil
}

func allZero(p []byte) bool {
	for len(p) > pageSize {
		if !isZero(p[:pageSize]) {
			return false
		}
		p = p[pageSize:]
	}
	return isZero(p)
}
