package head

import (
	"sync"

	"tsdb/internal/model"
)

// metadataTable keeps the newest metadata of each metric.
type metadataTable struct {
	mu      sync.RWMutex
	max     int
	entries map[metricKey]metadataEntry
	version uint64
}

type metricKey struct {
	tenant uint32
	metric string
}

type metadataEntry struct {
	model.Metadata
	version uint64 // of the table at the entry's last change
}

func (t *metadataTable) init(limit int) {
	t.max = limit
	t.entries = make(map[metricKey]metadataEntry)
}

// SetMetadata records the metadata of a metric and reports whether it changed. New
// metrics beyond Options.MetadataMax are not recorded.
func (h *Head) SetMetadata(tenant uint32, metric string, m model.Metadata) (changed bool) {
	t := &h.metadata
	t.mu.Lock()
	defer t.mu.Unlock()
	k := metricKey{tenant, metric}
	old, ok := t.entries[k]
	if ok && old.Metadata == m || !ok && len(t.entries) >= t.max {
		return false
	}
	t.version++
	t.entries[k] = metadataEntry{m, t.version}
	return true
}

// MetadataOf returns the metadata of a metric.
func (h *Head) MetadataOf(tenant uint32, metric string) (model.Metadata, bool) {
	t := &h.metadata
	t.mu.RLock()
	defer t.mu.RUnlock()
	e, ok := t.entries[metricKey{tenant, metric}]
	return e.Metadata, ok
}

// Metadata returns the metadata of the metrics of a tenant.
func (h *Head) Metadata(tenant uint32) map[string]model.Metadata {
	ms, _ := h.MetadataSince(tenant, 0)
	return ms
}

// MetadataSince returns the metrics of a tenant whose metadata has changed since an
// earlier call returned version, or all if version is 0, and the current version.
func (h *Head) MetadataSince(tenant uint32, version uint64) (changed map[string]model.Metadata, now uint64) {
	t := &h.metadata
	t.mu.RLock()
	defer t.mu.RUnlock()
	changed = make(map[string]model.Metadata)
	for k, e := range t.entries {
		if k.tenant == tenant && e.version > version {
			changed[k.metric] = e.Metadata
		}
	}
	return changed, t.version
}
