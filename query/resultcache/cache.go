package resultcache

import (
	"fmt"
	"hash/maphash"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/prometheus/client_golang/prometheus"

	"tsdb/query/tiers"
	"tsdb/storage"
)

// Cache keeps answers of range queries, so that a repeated query evaluates only new
// steps and steps whose data has changed since: see storage.Changes. A nil *Cache
// keeps nothing. It is safe for concurrent use.
type Cache struct {
	items          *ristretto.Cache[uint64, cachedAnswer]
	seed           maphash.Seed
	maxExtentBytes int64 // maximum size of one extent

	requests *prometheus.CounterVec
	spoiled  prometheus.Counter
	bytes    prometheus.GaugeFunc
}

// The results of a lookup: label values of a metric.
const (
	cacheHit     = "hit"
	cachePartial = "partial"
	cacheMiss    = "miss"
)

// Parameters that determine the capacity of the cache.
const (
	extentShare = 4        // an extent may take 1/extentShare of the cache
	extentBytes = 16 << 10 // estimated size of an extent: the cache has ten counters for each one that fits
)

// answerKey identifies an expression on all grids of a step and phase. All other
// inputs of an answer are the same for all queries of an engine.
type answerKey struct {
	changes    *storage.Changes // of the database
	tenant     uint32
	expr       string // normalized
	lookback   int64  // milliseconds
	resolution tiers.Resolution
	step       int64 // milliseconds
	phase      int64 // of the grid: start modulo step
}

// cachedAnswer contains its whole key, because the cache compares only a hash.
type cachedAnswer struct {
	key    answerKey
	extent *extent
}

// New returns a cache of about the given size, or nil if bytes is not positive.
func New(bytes int64, reg prometheus.Registerer) *Cache {
	if bytes <= 0 {
		return nil
	}
	items, err := ristretto.NewCache(&ristretto.Config[uint64, cachedAnswer]{
		NumCounters: max(1000, 10*bytes/extentBytes),
		MaxCost:     bytes,
		BufferItems: 64,
	})
	if err != nil {
		panic(fmt.Sprintf("BUG: cache of %d bytes: %v", bytes, err))
	}
	c := &Cache{
		items: items, seed: maphash.MakeSeed(), maxExtentBytes: bytes / extentShare,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tsdb_query_cache_requests_total",
			Help: "Range queries that could be answered from the result cache, by how much of them was.",
		}, []string{"result"}),
		spoiled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tsdb_query_cache_spoiled_steps_total",
			Help: "Steps in the result cache that read what has changed since.",
		}),
		bytes: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tsdb_query_cache_bytes",
			Help: "Memory of the result cache.",
		}, func() float64 { return float64(items.MaxCost() - items.RemainingCost()) }),
	}
	for _, result := range []string{cacheHit, cachePartial, cacheMiss} {
		c.requests.WithLabelValues(result)
	}
	if reg != nil {
		reg.MustRegister(c.requests, c.spoiled, c.bytes)
	}
	return c
}

func (c *Cache) get(k answerKey) *extent {
	a, ok := c.items.Get(maphash.Comparable(c.seed, k))
	if !ok || a.key != k {
		return nil
	}
	return a.extent
}

// put offers an extent, which must not be changed afterwards. It returns false if
// the extent is too large.
func (c *Cache) put(k answerKey, e *extent) bool {
	n := e.bytes() + int64(len(k.expr))
	if n <= c.maxExtentBytes {
		c.items.Set(maphash.Comparable(c.seed, k), cachedAnswer{k, e}, n)
	}
	return n <= c.maxExtentBytes
}

// drop drops the extent of a key.
func (c *Cache) drop(k answerKey) { c.items.Del(maphash.Comparable(c.seed, k)) }

// Wait waits until offered answers have been added to the cache or rejected.
func (c *Cache) Wait() { c.items.Wait() }

// Clear drops all answers.
func (c *Cache) Clear() {
	if c != nil {
		c.items.Clear()
	}
}

// Close stops the goroutines of the cache.
func (c *Cache) Close() {
	if c != nil {
		c.items.Close()
	}
}
