package door

import (
	"bytes"
	"runtime"
	"sync"

	"github.com/valyala/fastjson"
)

// tree is a parser with the memory of its trees.
type tree struct {
	parser   fastjson.Parser
	capacity int // values that the parser has room for
	parsed   int // values of all bodies
	copied   int // bytes of the largest body
}

// grow makes room for the values of a tree. The values of a tree that outgrows the array
// they are in stay in it, and others follow in one that is a quarter larger: a large tree
// that begins with nothing takes five times its size. So the room grows between trees.
func (t *tree) grow(values int) {
	if values > t.capacity && values > jsonGrowthValues {
		text := append(bytes.Repeat([]byte("0,"), values+1), ']')
		text[0], text[1] = '[', ' '
		for n := max(t.capacity, jsonGrowthValues); n < values; {
			n = min(n+n/4, values)
			end := 2 * n
			text[end-1] = ']'
			_, _ = t.parser.ParseBytes(text[:end]) // n values with the array: no error
			text[end-1] = ','
		}
	}
	t.capacity = max(t.capacity, values)
}

// keep reports whether the tree may be used again.
func (t *tree) keep() bool {
	return t.capacity <= maxPooledValues && t.copied <= maxPooledBytes && t.parsed <= min(max(32*t.capacity, minParsedValues), maxParsedValues)
}

// trees are those kept for reuse.
var trees treePool

// treePool keeps trees, without charge, until they have not been used for a number of
// collections. A sync.Pool forgets them after two, and finds only some of them on another
// processor: a tree that has to grow anew takes five times its size, which brings the
// next collections. It is safe for concurrent use; the zero value is empty.
type treePool struct {
	mu      sync.Mutex
	free    []*tree
	values  int // of free
	idle    int // collections since the last use
	watched bool
}

const (
	maxFreeValues      = 2 * maxPooledValues
	maxIdleCollections = 8
)

// get returns a tree, the one used last if there is one.
func (p *treePool) get() *tree {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = 0
	last := len(p.free) - 1
	if last < 0 {
		return new(tree)
	}
	t := p.free[last]
	p.free[last], p.free = nil, p.free[:last]
	p.values -= t.capacity
	return t
}

// put keeps a tree if there is room for it.
func (p *treePool) put(t *tree) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = 0
	if !t.keep() || p.values+t.capacity > maxFreeValues {
		return
	}
	p.free = append(p.free, t)
	p.values += t.capacity
	if !p.watched {
		p.watched = true
		p.watch()
	}
}

// watch arranges for a call of collected when the next collection has ended.
func (p *treePool) watch() {
	type token struct{ _ *int }
	runtime.AddCleanup(&token{}, func(p *treePool) {
		if p.collected() {
			p.watch()
		}
	}, p)
}

// collected counts a collection, and reports whether the next one is of interest.
func (p *treePool) collected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle++; p.idle >= maxIdleCollections {
		p.free, p.values, p.watched = nil, 0, false
	}
	return p.watched
}
