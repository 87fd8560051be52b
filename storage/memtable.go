package storage

import (
	"sync"

	"tsdb/internal/model"
	"tsdb/storage/head"
)

// A memtable holds the log frames of some generations in the head: the active one
// takes writes, the frozen one is being cut. Its block is a function of those
// frames alone, not of the time of the cut, the process, or other data in the
// head.
type memtable struct {
	buf       *head.Buffer
	low, high uint64 // generations; high is set when the memtable is frozen or replayed
	metadata  loggedMetadata
}

// maxLoggedMetadata bounds the metrics whose metadata one memtable keeps.
const maxLoggedMetadata = 200_000

// loggedMetadata is the metadata in the frames of a memtable, the last of each
// metric. The zero value is empty. It is safe for concurrent use.
type loggedMetadata struct {
	mu      sync.Mutex
	entries map[metricKey]model.Metadata
}

type metricKey struct {
	tenant uint32
	metric string
}

// set records the metadata of a frame.
func (l *loggedMetadata) set(tenant uint32, metric string, m model.Metadata) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries == nil {
		l.entries = make(map[metricKey]model.Metadata)
	}
	k := metricKey{tenant, metric}
	if _, ok := l.entries[k]; ok || len(l.entries) < maxLoggedMetadata {
		l.entries[k] = m
	}
}

// wants reports whether a frame with the metadata would change the memtable.
func (l *loggedMetadata) wants(tenant uint32, metric string, m model.Metadata) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, ok := l.entries[metricKey{tenant, metric}]
	if ok {
		return old != m
	}
	return len(l.entries) < maxLoggedMetadata
}

// has reports whether a frame had metadata of the metric.
func (l *loggedMetadata) has(tenant uint32, metric string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.entries[metricKey{tenant, metric}]
	return ok
}

// all returns a copy of the entries.
func (l *loggedMetadata) all() map[metricKey]model.Metadata {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := make(map[metricKey]model.Metadata, len(l.entries))
	for k, m := range l.entries {
		entries[k] = m
	}
	return entries
}
