package block

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"tsdb/encoding"
	"tsdb/internal/objstore"
	"tsdb/partition/format"
)

// tailGuess is the number of bytes that OpenObject reads from the end of an
// object. Both copies of the tail fit for most blocks.
const tailGuess = 4 << 10

// Block reads one block. It holds little more than the tail; everything else is
// read on demand, verified and kept in the cache. A Block is safe for concurrent
// use, except for Close, which must come last.
type Block struct {
	object objstore.Object
	cache  *Cache
	id     uint64 // in the cache
	info   Info
	foot   *footer
	table  [sectionIDEnd]section

	directory   lazy[[]page]
	exemplars   lazy[[]page]
	series      lazy[[]page]
	names       lazy[[]nameEntry]
	tenants     lazy[[]tenantRange]
	generations lazy[*generations]
	fences      sync.Map // number of a name → *nameFences

	labelReaders sync.Pool // *labelReader
	readers      sync.Pool // *Reader
}

// lazy is a value that is read on first use. The next caller retries a failed
// read.
type lazy[T any] struct {
	value atomic.Pointer[T]
}

func (l *lazy[T]) get(load func() (T, error)) (T, error) {
	if v := l.value.Load(); v != nil {
		return *v, nil
	}
	v, err := load()
	if err == nil {
		l.value.Store(&v)
	}
	return v, err
}

// Open opens the named block in a store. It reads a few KiB and checks the tail.
// c may be nil, and is not closed with the block.
func Open(store objstore.Store, name string, c *Cache) (*Block, error) {
	object, err := store.Open(context.Background(), name)
	if err != nil {
		return nil, fmt.Errorf("open block %s: %w", name, err)
	}
	return OpenObject(object, name, c)
}

// OpenObject opens the block in an open object. The object is closed with the
// block, or at once if the block cannot be opened.
func OpenObject(object objstore.Object, name string, c *Cache) (_ *Block, err error) {
	defer func() {
		if err != nil {
			_ = object.Close() // the first error is more useful
		}
	}()
	size := object.Size()
	b := &Block{object: object, cache: c, id: lastBlock.Add(1)}
	b.info.Name, b.info.Size = name, size
	tail, err := b.readTail(size)
	if err != nil {
		return nil, err
	}
	if b.foot, err = decodeTail(tail, size); err != nil {
		return nil, b.damage(size-int64(len(tail)), err)
	}
	b.info = b.foot.info(name, size, tail)
	for _, s := range b.foot.sections {
		b.table[s.id] = s
	}
	for _, id := range []sectionID{sectionDirectory, sectionDictionaries, sectionPostings, sectionSeries,
		sectionIdentities, sectionSeriesFences, sectionNameFences, sectionNames, sectionTenants} {
		if b.table[id].id == 0 {
			return nil, b.damage(size-int64(len(tail)), format.Corrupt("section table without %v", id))
		}
	}
	if n := b.table[sectionIdentities].length; n != identitiesLen(b.foot.series) {
		return nil, b.damage(size-int64(len(tail)), format.Corrupt("%d bytes of identities for %d series", n, b.foot.series))
	}
	return b, nil
}

// readTail returns a valid copy of the tail: the last if it is valid, otherwise
// the one before it.
func (b *Block) readTail(size int64) ([]byte, error) {
	if size < HeaderLen+2*trailerLen {
		return nil, b.damage(0, format.Corrupt("%d bytes are too few for a block", size))
	}
	n := min(size, tailGuess)
	end, err := b.read(size-n, int(n))
	if err != nil {
		return nil, err
	}
	tail, err := b.tailAt(end, size, size)
	if err == nil || !errors.Is(err, format.ErrCorrupt) {
		return tail, err
	}
	// Search for the trailer of the first copy: the length in the last copy may
	// be damaged too.
	if n < size {
		n = min(size, maxTailBytes)
		more, err := b.read(size-n, int(n))
		if err != nil {
			return nil, err
		}
		end = more
	}
	for at := len(end) - trailerLen - 1; at >= trailerLen; at-- {
		if string(end[at-8:at]) != trailerMagic {
			continue
		}
		if tail, err := b.tailAt(end[:at], size-n+int64(at), size); err == nil {
			return tail, nil
		}
	}
	return nil, err
}

// tailAt returns the valid tail that ends at offset off, where end ends too.
func (b *Block) tailAt(end []byte, off, size int64) ([]byte, error) {
	n, err := tailLen(end[len(end)-trailerLen:])
	if err != nil {
		return nil, b.damage(off-trailerLen, err)
	}
	if int64(n) > off-HeaderLen {
		return nil, b.damage(off-trailerLen, format.Corrupt("tail of %d bytes", n))
	}
	tail := end
	if n <= len(end) {
		tail = end[len(end)-n:]
	} else if tail, err = b.read(off-int64(n), n); err != nil {
		return nil, err
	}
	if _, err := decodeTail(tail, size); err != nil {
		return nil, b.damage(off-int64(n), err)
	}
	return tail, nil
}

// Info returns the description of the block in its tail.
func (b *Block) Info() Info { return b.info }

// Close closes the object.
func (b *Block) Close() error {
	if err := b.object.Close(); err != nil {
		return fmt.Errorf("close block %s: %w", b.info.Name, err)
	}
	return nil
}

// damage turns the error of a decoder, or of a read past the end, into a
// DamageError. Other errors are wrapped with the name of the block.
func (b *Block) damage(off int64, err error) error {
	if err == nil {
		return nil // before allocating the variable for errors.As
	}
	var d *format.DamageError
	var short *objstore.ShortError
	switch {
	case errors.As(err, &d):
		return err
	case errors.As(err, &short):
		return &format.DamageError{Path: b.info.Name, Offset: off, What: fmt.Sprintf("file ends after %d of %d bytes", short.Read, short.Len)}
	case errors.Is(err, format.ErrCorrupt) || errors.Is(err, encoding.ErrCorrupt):
		return &format.DamageError{Path: b.info.Name, Offset: off, What: err.Error()}
	}
	return fmt.Errorf("read block %s@%d: %w", b.info.Name, off, err)
}

// readInto fills data with the bytes at off. A block that ends earlier is damaged.
func (b *Block) readInto(off int64, data []byte) error {
	if err := b.object.ReadAt(context.Background(), data, off); err != nil {
		return b.damage(off, err)
	}
	return nil
}

// read returns n bytes at off, which the caller has checked against the size.
func (b *Block) read(off int64, n int) ([]byte, error) {
	data := make([]byte, n)
	return data, b.readInto(off, data)
}

// readSection returns the content of a section that is read at once.
func (b *Block) readSection(id sectionID) ([]byte, error) {
	s := b.table[id]
	if s.length > maxSectionBytes {
		return nil, b.damage(s.off, format.Corrupt("%v of %d bytes", id, s.length))
	}
	data, err := b.read(s.off, int(s.length))
	if err != nil {
		return nil, err
	}
	if encoding.Checksum(data) != s.crc {
		return nil, b.damage(s.off, format.Corrupt("checksum of %v", id))
	}
	switch s.encoding {
	case encodingPlain:
		return data, nil
	case encodingZstd:
		data, err = encoding.DecodeZstd(nil, data, maxSectionBytes)
		return data, b.damage(s.off, err)
	}
	return nil, b.damage(s.off, format.Corrupt("%v in %v", id, s.encoding))
}

// readPage returns the content of an index page.
func (b *Block) readPage(p page) ([]byte, error) {
	stored, err := b.read(p.off, int(p.stored))
	if err != nil {
		return nil, err
	}
	content, err := p.unpack(stored)
	return content, b.damage(p.off, err)
}

// decodedPage returns a decoded index page through the cache. weight is the size
// of the decoded item in memory per byte of the page.
func decodedPage[T any](b *Block, p page, weight int, decode func([]byte) (T, error)) (T, error) {
	key := cacheKey{block: b.id, kind: cachedPage, off: p.off}
	return cached(b.cache, key, func() (T, int, error) {
		var none T
		content, err := b.readPage(p)
		if err != nil {
			return none, 0, err
		}
		v, err := decode(content)
		return v, weight * len(content), b.damage(p.off, err)
	})
}

// decodedPages is decodedPage for several pages. Those not in the cache are read
// with one call.
func decodedPages[T any](b *Block, ps []page, weight int, decode func([]byte) (T, error)) ([]T, error) {
	pages := make([]T, len(ps))
	var missing []int
	var ranges []objstore.Range
	for i, p := range ps {
		v, _ := b.cache.get(cacheKey{block: b.id, kind: cachedPage, off: p.off})
		var ok bool
		if pages[i], ok = v.(T); !ok {
			missing = append(missing, i)
			ranges = append(ranges, objstore.Range{Offset: p.off, Data: make([]byte, p.stored)})
		}
	}
	if len(missing) == 0 {
		return pages, nil
	}
	_ = b.object.ReadRanges(context.Background(), ranges) // each range has its error
	for k, i := range missing {
		p, stored, err := ps[i], ranges[k].Data, ranges[k].Err
		var content []byte
		if err == nil {
			content, err = p.unpack(stored)
		}
		if err == nil {
			pages[i], err = decode(content)
		}
		if err != nil {
			return nil, b.damage(p.off, err)
		}
		b.cache.put(cacheKey{block: b.id, kind: cachedPage, off: p.off}, pages[i], weight*len(content))
	}
	return pages, nil
}

// fencesOf returns the fences in a section, none if the section is absent.
func (b *Block) fencesOf(l *lazy[[]page], id sectionID) ([]page, error) {
	return l.get(func() ([]page, error) {
		if b.table[id].id == 0 {
			return nil, nil
		}
		data, err := b.readSection(id)
		if err != nil {
			return nil, err
		}
		r := format.Reader{B: data}
		ps := readFences(&r, b.info.Size)
		return ps, b.damage(b.table[id].off, r.End(id.String()))
	})
}

// checkOrdinal returns an error if the block has no series ord.
func (b *Block) checkOrdinal(ord uint32) error {
	if uint64(ord) >= b.foot.series {
		return fmt.Errorf("block %s: no series %d, it has %d", b.info.Name, ord, b.foot.series)
	}
	return nil
}
