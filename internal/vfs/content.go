package vfs

import (
	"bytes"
	"slices"
)

const (
	pageSize   = 4096
	sectorSize = 512
)

var zeroPage [pageSize]byte

// token identifies the content that may change a page in place.
type token struct{ _ byte }

// page is one page of a file. It may be written only by the content whose
// current token it carries, so taking a new token turns all pages of a content
// into shared, immutable ones in one step.
type page struct {
	owner *token
	b     [pageSize]byte
}

// content is the bytes of a file, in copy-on-write pages. A nil page is all
// zeros. The zero content is an empty file.
type content struct {
	size        int64
	pages       []*page
	sharedPages bool // the slice itself belongs to another content too
	owner       *token
}

// share returns a copy of c that costs nothing until either is changed.
func (c *content) share() content {
	c.sharedPages = true
	c.owner = nil
	return *c
}

// freeze makes all pages immutable, so that other contents can share them.
func (c *content) freeze() { c.owner = nil }

func (c *content) ownSlice() {
	if c.sharedPages {
		c.pages = slices.Clone(c.pages)
		c.sharedPages = false
	}
}

// writable returns page i for changing.
func (c *content) writable(i int) *page {
	c.ownSlice()
	if c.owner == nil {
		c.owner = new(token)
	}
	p := c.pages[i]
	if p == nil || p.owner != c.owner {
		q := &page{owner: c.owner}
		if p != nil {
			q.b = p.b
		}
		c.pages[i] = q
		p = q
	}
	return p
}

// setPage replaces page i by a frozen page of another content.
func (c *content) setPage(i int, p *page) {
	c.ownSlice()
	c.pages[i] = p
}

func pagesFor(size int64) int { return int((size + pageSize - 1) / pageSize) }

// resize changes the size; new bytes are zeros.
func (c *content) resize(size int64) {
	if size < c.size {
		n := pagesFor(size)
		if tail := int(size % pageSize); tail != 0 && c.pages[n-1] != nil {
			clear(c.writable(n - 1).b[tail:])
		}
		c.ownSlice()
		clear(c.pages[n:])
		c.pages = c.pages[:n]
	} else if n := pagesFor(size); n > len(c.pages) {
		c.ownSlice()
		c.pages = slices.Grow(c.pages, n-len(c.pages))[:n]
	}
	c.size = size
}

// write puts p at off and grows the content if needed. Zeros written where
// zeros are cost nothing, so pre-filled files stay cheap.
func (c *content) write(p []byte, off int64) {
	if end := off + int64(len(p)); end > c.size {
		c.resize(end)
	}
	for len(p) > 0 {
		i, o := int(off/pageSize), int(off%pageSize)
		n := min(len(p), pageSize-o)
		if c.pages[i] != nil || !isZero(p[:n]) {
			copy(c.writable(i).b[o:], p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
}

// read fills p from off, with zeros after the end, and returns the number of bytes
// before the end.
func (c *content) read(p []byte, off int64) int {
	n := int(min(int64(len(p)), max(c.size-off, 0)))
	clear(p[n:])
	for p = p[:n]; len(p) > 0; {
		i, o := int(off/pageSize), int(off%pageSize)
		k := min(len(p), pageSize-o)
		if c.pages[i] == nil {
			clear(p[:k])
		} else {
			copy(p[:k], c.pages[i].b[o:])
		}
		p, off = p[k:], off+int64(k)
	}
	return n
}

// isZero reports whether p, of a page at most, is all zeros. The race detector
// does not follow it: a log fills its segments with zeros, 32 MiB each, and a
// database of a test would spend its time on recording that they were read.
//
//go:norace
func isZero(p []byte) bool { return bytes.Equal(p, zeroPage[:len(p)]) }
