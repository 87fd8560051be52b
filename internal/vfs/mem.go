package vfs

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// unlimited is the result of FreeBytes and TotalBytes while no capacity is set.
const unlimited = 1 << 40

// Mem is a file system in memory that tracks which of its bytes and directory entries
// a power cut would lose: those that File.Sync and SyncDir have not made durable. It is strict: syncing a file does not make its name
// durable, and a directory's own name needs a sync of its parent.
//
// All methods are safe for concurrent use.
type Mem struct {
	mu    sync.RWMutex
	root  *node
	names []nameOp // unsynced changes of directories, oldest first
	locks map[*node]bool
	// noDirLocks makes locks rest on their file alone.
	noDirLocks bool
	capacity   int64 // bytes, < 0 = unlimited
	used       int64 // sizes of all files that have a name or are open
	open       int   // files not closed yet
	ticks      int64 // changes so far: a clock for ModTime
}

// node is a file or a directory.
type node struct {
	id      int64
	dir     bool
	modTime time.Time

	// Directories.
	entries map[string]*node // as every process sees them
	durable map[string]*node // as a power cut would leave them

	// Files.
	live    content // as every process sees it
	synced  content // as a power cut would leave it
	dirty   map[int]struct{}
	pending []dataOp // unsynced changes, oldest first
	links   int
	handles int
}

// nameOp is one change of directory entries that is not durable yet. A rename
// has both halves until one of its directories is synced.
type nameOp struct {
	remove, add entry // zero dir: no such half
	target      *node // what add names
}

type entry struct {
	dir  *node
	name string
}

// NewMem returns an empty file system without limits, holding only the root
// directory.
func NewMem() *Mem {
	return &Mem{root: newDir(), locks: map[*node]bool{}, capacity: -1}
}

func newDir() *node {
	return &node{dir: true, entries: map[string]*node{}, durable: map[string]*node{}}
}

// SetCapacity limits the sum of all file sizes to n bytes; a negative n lifts
// the limit. Stored bytes stay.
func (m *Mem) SetCapacity(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = n
}

// Used returns the sum of the sizes of all files.
func (m *Mem) Used() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.used
}

// OpenFiles returns how many files have not been closed.
func (m *Mem) OpenFiles() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.open
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent(name)
	if err == nil && dir.entries[base] != nil {
		err = fs.ErrExist
	}
	if err != nil {
		return nil, pathError("create", name, err)
	}
	n := &node{}
	m.touch(n)
	m.addName(dir, base, n)
	return m.openNode(name, n, true), nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.openExisting(name, false) }

// OpenReadWrite implements FS.
func (m *Mem) OpenReadWrite(name string) (File, error) { return m.openExisting(name, true) }

func (m *Mem) openExisting(name string, write bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err == nil && n.dir {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return m.openNode(name, n, write), nil
}

func (m *Mem) openNode(name string, n *node, write bool) File {
	n.handles++
	m.open++
	return &memFile{fs: m, node: n, name: name, write: write}
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent(name)
	if err != nil {
		return pathError("remove", name, err)
	}
	n := dir.entries[base]
	switch {
	case n == nil:
		err = fs.ErrNotExist
	case n.dir && len(n.entries) > 0:
		err = syscall.ENOTEMPTY
	}
	if err != nil {
		return pathError("remove", name, err)
	}
	delete(dir.entries, base)
	m.names = append(m.names, nameOp{remove: entry{dir, base}})
	m.unlink(n)
	return nil
}

// Rename implements FS. It renames directories too, but never replaces one.
func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, oldBase, err := m.parent(oldName)
	if err != nil {
		return pathError("rename", oldName, err)
	}
	to, newBase, err := m.parent(newName)
	if err != nil {
		return pathError("rename", newName, err)
	}
	n, replaced := from.entries[oldBase], to.entries[newBase]
	switch {
	case n == nil:
		return pathError("rename", oldName, fs.ErrNotExist)
	case replaced == n:
		return nil
	case replaced != nil && (replaced.dir || n.dir):
		return pathError("rename", newName, fs.ErrExist)
	case n.dir && strings.HasPrefix(path.Join("/", newName), path.Join("/", oldName)+"/"):
		return pathError("rename", newName, fs.ErrInvalid)
	}
	delete(from.entries, oldBase)
	to.entries[newBase] = n
	m.names = append(m.names, nameOp{remove: entry{from, oldBase}, add: entry{to, newBase}, target: n})
	if replaced != nil {
		m.unlink(replaced)
	}
	return nil
}

// Link implements FS.
func (m *Mem) Link(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(oldName)
	if err == nil && n.dir {
		err = syscall.EPERM
	}
	if err != nil {
		return pathError("link", oldName, err)
	}
	dir, base, err := m.parent(newName)
	if err == nil && dir.entries[base] != nil {
		err = fs.ErrExist
	}
	if err != nil {
		return pathError("link", newName, err)
	}
	m.addName(dir, base, n)
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.root
	for _, part := range split(dir) {
		next := at.entries[part]
		if next == nil {
			next = newDir()
			m.touch(next)
			m.addName(at, part, next)
		}
		if !next.dir {
			return pathError("mkdir", dir, syscall.ENOTDIR)
		}
		at = next
	}
	return nil
}

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.findDir(dir)
	if err != nil {
		return nil, pathError("list", dir, err)
	}
	return slices.Sorted(maps.Keys(n.entries)), nil
}

// Stat implements FS. ModTime advances by a millisecond with every change to
// the file system, so it is the same in every run.
func (m *Mem) Stat(name string) (Info, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.find(name)
	if err != nil {
		return Info{}, pathError("stat", name, err)
	}
	return Info{Size: n.live.size, IsDir: n.dir, Links: n.links, ModTime: n.modTime}, nil
}

// SyncDir implements FS. Of a rename between two directories it makes durable
// only the half that concerns dir.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.findDir(dir)
	if err != nil {
		return pathError("sync", dir, err)
	}
	kept := m.names[:0]
	for _, op := range m.names {
		if op.remove.dir == d {
			delete(d.durable, op.remove.name)
			op.remove = entry{}
		}
		if op.add.dir == d {
			d.durable[op.add.name] = op.target
			op.add = entry{}
		}
		if op.remove.dir != nil || op.add.dir != nil {
			kept = append(kept, op)
		}
	}
	clear(m.names[len(kept):])
	m.names = kept
	return nil
}

// FreeBytes implements FS.
func (m *Mem) FreeBytes(string) (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return uint64(m.freeLocked()), nil
}

// TotalBytes implements FS.
func (m *Mem) TotalBytes(string) (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.capacity < 0 {
		return unlimited, nil
	}
	return uint64(m.capacity), nil
}

func (m *Mem) freeLocked() int64 {
	if m.capacity < 0 {
		return unlimited
	}
	return max(m.capacity-m.used, 0)
}

// touch gives a node a time and, when new, an id.
func (m *Mem) touch(n *node) {
	m.ticks++
	if n.id == 0 {
		n.id = m.ticks
	}
	n.modTime = time.UnixMilli(m.ticks).UTC()
}

func (m *Mem) addName(dir *node, base string, n *node) {
	n.links++
	dir.entries[base] = n
	m.names = append(m.names, nameOp{add: entry{dir, base}, target: n})
}

func (m *Mem) unlink(n *node) {
	n.links--
	m.reclaim(n)
}

// reclaim frees the space of a file that has no name and is not open.
func (m *Mem) reclaim(n *node) {
	if n.links == 0 && n.handles == 0 {
		m.used -= n.live.size
	}
}

func split(name string) []string {
	clean := strings.TrimPrefix(path.Join("/", name), "/")
	if clean == "" {
		return nil
	}
	return strings.Split(clean, "/")
}

func (m *Mem) find(name string) (*node, error) {
	at := m.root
	for _, part := range split(name) {
		if !at.dir {
			return nil, syscall.ENOTDIR
		}
		if at = at.entries[part]; at == nil {
			return nil, fs.ErrNotExist
		}
	}
	return at, nil
}

func (m *Mem) findDir(name string) (*node, error) {
	n, err := m.find(name)
	if err == nil && !n.dir {
		err = syscall.ENOTDIR
	}
	return n, err
}

// parent returns the directory a name is in and its last part.
func (m *Mem) parent(name string) (*node, string, error) {
	dir, base := path.Split(path.Join("/", name))
	if base == "" {
		return nil, "", fs.ErrInvalid
	}
	n, err := m.findDir(dir)
	return n, base, err
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}
