package vfs

import (
	"math/rand"
	"slices"
)

// CrashMode is the effect of a power cut on unsynced data.
type CrashMode uint8

const (
	// CrashLose takes all unsynced bytes and directory entries away.
	CrashLose CrashMode = iota
	// CrashSectors keeps each unsynced 512-byte sector and each unsynced
	// directory change with probability Keep. A sector written several times
	// comes back in one of its states, never in a mix of them.
	CrashSectors
	// CrashTorn keeps, in every file, a prefix of the unsynced writes and cuts
	// the next one at some byte; of the directory changes it keeps a prefix.
	CrashTorn
)

func (m CrashMode) String() string {
	switch m {
	case CrashLose:
		return "lose"
	case CrashSectors:
		return "sectors"
	case CrashTorn:
		return "torn"
	}
	return "unknown"
}

// CrashOptions configure the power cut that CrashClone imitates. The zero value loses
// everything unsynced.
type CrashOptions struct {
	Mode CrashMode
	Keep float64    // probability, only for CrashSectors; 1 keeps everything
	Rand *rand.Rand // needed unless Mode is CrashLose; the clone is a function of it and of m
}

// CrashClone returns a new file system with the state in which a power cut at this
// moment would leave m. All of it is durable there, nothing is open and
// nothing locked. m does not change.
func (m *Mem) CrashClone(o CrashOptions) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newCloner(m)
	names := c.survivingNames(m.names, o)
	var files []*node
	c.tree(m.root, names, func(n *node) { files = append(files, n) })
	// Files draw their randomness in the order they were made, which no map
	// order can disturb.
	slices.SortFunc(files, func(a, b *node) int { return int(a.id - b.id) })
	for _, old := range files {
		n := c.copies[old]
		n.synced = survivingContent(old, o)
		n.live = n.synced.share()
		c.to.used += n.live.size
	}
	return c.to
}

// Clone returns a copy of m in which unsynced data are still unsynced, but nothing is
// open or locked: the state after the process was killed while the machine runs on.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newCloner(m)
	c.tree(m.root, nil, nil)
	for _, op := range m.names {
		for _, n := range []*node{op.remove.dir, op.add.dir, op.target} {
			c.node(n)
		}
	}
	for done := false; !done; {
		done = true
		for old, n := range c.copies {
			if old == nil || !old.dir || len(n.durable) == len(old.durable) {
				continue
			}
			for name, child := range old.durable {
				n.durable[name] = c.node(child)
			}
			done = false
		}
	}
	for _, op := range m.names {
		op.remove.dir, op.add.dir, op.target = c.copies[op.remove.dir], c.copies[op.add.dir], c.copies[op.target]
		c.to.names = append(c.to.names, op)
	}
	for old, n := range c.copies {
		if old == nil || old.dir {
			continue
		}
		n.live, n.synced = old.live.share(), old.synced.share()
		n.pending = slices.Clone(old.pending)
		for i := range old.dirty {
			n.markDirty(int64(i)*pageSize, int64(i)*pageSize+1)
		}
		if n.links > 0 {
			c.to.used += n.live.size
		}
	}
	return c.to
}

// cloner copies the nodes of a file system, each once.
type cloner struct {
	to     *Mem
	copies map[*node]*node
}

func newCloner(m *Mem) *cloner {
	to := NewMem()
	to.capacity, to.ticks, to.noDirLocks = m.capacity, m.ticks, m.noDirLocks
	return &cloner{to: to, copies: map[*node]*node{nil: nil, m.root: to.root}}
}

// node returns the copy of a node, empty when new.
func (c *cloner) node(old *node) *node {
	n, ok := c.copies[old]
	if !ok {
		n = &node{dir: old.dir}
		if old.dir {
			n = newDir()
		}
		n.id, n.modTime = old.id, old.modTime
		c.copies[old] = n
	}
	return n
}

// tree copies the directory entries below a directory: those in names if it is
// not nil, otherwise the live ones. It calls file once for each file it meets.
func (c *cloner) tree(old *node, names map[*node]map[string]*node, file func(*node)) {
	n := c.copies[old]
	entries := old.entries
	if names != nil {
		entries = old.durable
		if changed, ok := names[old]; ok {
			entries = changed
		}
	}
	for name, child := range entries {
		_, known := c.copies[child]
		copied := c.node(child)
		copied.links++
		n.entries[name] = copied
		if names != nil {
			n.durable[name] = copied
		}
		switch {
		case child.dir && !known:
			c.tree(child, names, file)
		case !child.dir && !known && file != nil:
			file(child)
		}
	}
}

// survivingNames returns the entries of every directory that has unsynced
// changes, with those changes applied that the power cut spares.
func (c *cloner) survivingNames(ops []nameOp, o CrashOptions) map[*node]map[string]*node {
	keep := keptNames(ops, o)
	changed := map[*node]map[string]*node{}
	dir := func(d *node) map[string]*node {
		if changed[d] == nil {
			changed[d] = map[string]*node{}
			for name, n := range d.durable {
				changed[d][name] = n
			}
		}
		return changed[d]
	}
	for i, op := range ops {
		if !keep[i] {
			continue
		}
		if op.remove.dir != nil {
			delete(dir(op.remove.dir), op.remove.name)
		}
		if op.add.dir != nil {
			dir(op.add.dir)[op.add.name] = op.target
		}
	}
	return changed
}

// keptNames draws which changes of directories survive. A change that survives
// takes all earlier ones of the same names with it: no file system brings back
// the second state of a name without having gone through the first.
func keptNames(ops []nameOp, o CrashOptions) []bool {
	keep := make([]bool, len(ops))
	switch o.Mode {
	case CrashTorn:
		for i := range o.Rand.Intn(len(ops) + 1) {
			keep[i] = true
		}
	case CrashSectors:
		forced := map[entry]bool{}
		for i := len(ops) - 1; i >= 0; i-- {
			op := ops[i]
			if o.Rand.Float64() >= o.Keep && !forced[op.remove] && !forced[op.add] {
				continue
			}
			keep[i] = true
			for _, e := range []entry{op.remove, op.add} {
				if e.dir != nil {
					forced[e] = true
				}
			}
		}
	}
	return keep
}

// survivingContent returns what a power cut leaves of a file.
func survivingContent(n *node, o CrashOptions) content {
	c := n.synced.share()
	if len(n.pending) == 0 || o.Mode == CrashLose {
		return c
	}
	if o.Mode == CrashTorn {
		whole := o.Rand.Intn(len(n.pending) + 1)
		for _, op := range n.pending[:whole] {
			op.apply(&c)
		}
		if whole < len(n.pending) {
			op := n.pending[whole]
			if !op.truncate {
				op.n = o.Rand.Int63n(op.n + 1)
				op.apply(&c)
			}
		}
		return c
	}
	sectors := map[int64][]int{} // operations that touched a sector
	var touched []int64
	size, end := c.size, c.size
	sizes := []int64{size}
	for i, op := range n.pending {
		from, to := op.off, op.off+op.n
		if op.truncate {
			from, to = min(size, op.off), max(size, op.off)
			size = op.off
		} else {
			size = max(size, to)
		}
		end = max(end, size)
		sizes = append(sizes, size)
		for s := from / sectorSize; s*sectorSize < to; s++ {
			if sectors[s] == nil {
				touched = append(touched, s)
			}
			sectors[s] = append(sectors[s], i)
		}
	}
	base := c
	c.resize(end)
	var buf [sectorSize]byte
	for _, s := range touched {
		ops := sectors[s]
		version := len(ops)
		for version > 0 && o.Rand.Float64() >= o.Keep {
			version--
		}
		if version == 0 {
			continue
		}
		base.read(buf[:], s*sectorSize)
		for _, i := range ops[:version] {
			n.pending[i].applySector(buf[:], s*sectorSize)
		}
		c.write(buf[:min(sectorSize, end-s*sectorSize)], s*sectorSize)
	}
	version := len(sizes) - 1
	for version > 0 && o.Rand.Float64() >= o.Keep {
		version--
	}
	c.resize(sizes[version])
	return c
}

// apply repeats the change on c.
func (op dataOp) apply(c *content) {
	switch {
	case op.truncate:
		c.resize(op.off)
	case op.data != nil:
		c.write(op.data[:op.n], op.off)
	default:
		for off, n := op.off, op.n; n > 0; {
			k := min(n, pageSize)
			c.write(zeroPage[:k], off)
			off, n = off+k, n-k
		}
	}
}

// applySector repeats the part of the change that concerns the sector at off.
func (op dataOp) applySector(sector []byte, off int64) {
	if op.truncate {
		if op.off < off+sectorSize {
			clear(sector[max(op.off-off, 0):])
		}
		return
	}
	from, to := max(op.off, off), min(op.off+op.n, off+sectorSize)
	if from >= to {
		return
	}
	if op.data == nil {
		clear(sector[from-off : to-off])
		return
	}
	copy(sector[from-off:to-off], op.data[from-op.off:to-op.off])
}
