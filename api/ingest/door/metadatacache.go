package door

import (
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// A MetadataCache remembers the metadata last stored through a door whose clients
// repeat them in every request; it avoids storing them again unless they change. A
// slot holds a hash of a metric and its metadata. Two metrics that share a slot only
// evict each other. It is safe for concurrent use. The zero value is empty.
type MetadataCache struct {
	slots [1 << 14]atomic.Uint64
}

// A MetadataEntry is added to the cache once the metadata are stored.
type MetadataEntry struct {
	Slot uint64 // a hash of the metric
	Sum  uint64 // a hash of the metric and its metadata
}

// NewMetadataEntry returns the entry of the metadata of a metric.
func NewMetadataEntry(seed uint64, metric []byte, kind uint64, unit, help []byte) MetadataEntry {
	slot := xxh3.HashSeed(metric, seed)
	sum := slot + kind
	for _, text := range [...][]byte{unit, help} {
		sum = sum*0x9e3779b97f4a7c15 ^ xxh3.HashSeed(text, sum|1)
	}
	return MetadataEntry{slot, sum}
}

// Has reports whether the entry is the last one set of its metric.
func (c *MetadataCache) Has(m MetadataEntry) bool {
	return c.slots[m.Slot%uint64(len(c.slots))].Load() == m.Sum
}

// Set adds an entry.
func (c *MetadataCache) Set(m MetadataEntry) {
	c.slots[m.Slot%uint64(len(c.slots))].Store(m.Sum)
}
