package block

import (
	"fmt"
	"math"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"
)

// cacheItemBytes is the assumed minimal size of an item; the cache keeps ten
// counters for every such item that fits.
const cacheItemBytes = 4 << 10

// Cache holds decoded parts of blocks: index pages, timestamp columns, groups of
// short columns, and the postings, selections and label sets of matchers. Blocks
// never change, so items never become stale. A nil *Cache holds nothing. A Cache
// is safe for concurrent use.
type Cache struct {
	items   *ristretto.Cache[uint64, cacheItem]
	itemMax int           // bytes of the largest item
	cleared atomic.Uint64 // calls of Clear
}

// cacheKind is the kind of an item. Items of different kinds may have the same
// offset.
type cacheKind uint8

const (
	cachedPage      cacheKind = iota + 1 // an index page, decoded
	cachedTimes                          // []int64
	cachedGroup                          // []byte
	cachedPostings                       // *roaring.Bitmap, never changed
	cachedSelection                      // *Selection
	cachedLabels                         // *LabelSets of a selection
)

// cacheKey names a part of a block. text is the matcher of cachedPostings, the
// matchers of cachedSelection and cachedLabels.
type cacheKey struct {
	block uint64
	kind  cacheKind
	off   int64
	start uint32
	text  string
}

// cacheItem carries its whole key, because the cache compares only a hash.
type cacheItem struct {
	key   cacheKey
	value any
}

// NewCache returns a cache of about the given number of bytes.
func NewCache(bytes int64) (*Cache, error) {
	items, err := ristretto.NewCache(&ristretto.Config[uint64, cacheItem]{
		NumCounters: max(1000, 10*bytes/cacheItemBytes),
		MaxCost:     max(1, bytes),
		BufferItems: 64,
	})
	if err != nil {
		return nil, fmt.Errorf("make block cache of %d bytes: %w", bytes, err)
	}
	return &Cache{items: items, itemMax: int(bytes / 4)}, nil
}

// Close stops the goroutines of the cache. Blocks that use it must not be read
// afterwards.
func (c *Cache) Close() {
	if c != nil {
		c.items.Close()
	}
}

// Clear drops all items. Items read concurrently may be kept or not. It must
// not run together with Close.
func (c *Cache) Clear() {
	if c != nil {
		c.cleared.Add(1)
		c.items.Clear()
	}
}

// clears returns the number of calls of Clear. Readers made before the last one
// are not reused.
func (c *Cache) clears() uint64 {
	if c == nil {
		return 0
	}
	return c.cleared.Load()
}

// lastBlock numbers the blocks opened in this process.
var lastBlock atomic.Uint64

func (k cacheKey) hash() uint64 {
	h := k.block*0x9e3779b97f4a7c15 ^ uint64(k.off)*0xc2b2ae3d27d4eb4f ^ uint64(k.start)<<8 ^ uint64(k.kind)
	for i := 0; i < len(k.text); i++ {
		h = (h ^ uint64(k.text[i])) * 0x100000001b3
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

func (c *Cache) get(k cacheKey) (any, bool) {
	if c == nil {
		return nil, false
	}
	it, ok := c.items.Get(k.hash())
	if !ok || it.key != k {
		return nil, false
	}
	return it.value, true
}

// notCached is the size of an item that must not be kept.
const notCached = math.MaxInt

// put offers an item of the given size. One larger than a quarter of the cache,
// which would displace what other queries need, is not kept.
func (c *Cache) put(k cacheKey, v any, bytes int) {
	if c != nil && bytes <= c.itemMax {
		c.items.Set(k.hash(), cacheItem{key: k, value: v}, int64(bytes)+128)
	}
}

// cached returns the item under k, or loads it if it is not in the cache. load
// returns the item and its size in bytes.
func cached[T any](c *Cache, k cacheKey, load func() (T, int, error)) (T, error) {
	if v, ok := c.get(k); ok {
		if t, ok := v.(T); ok {
			return t, nil
		}
	}
	t, bytes, err := load()
	if err == nil {
		c.put(k, t, bytes)
	}
	return t, err
}
