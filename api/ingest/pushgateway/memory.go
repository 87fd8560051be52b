package pushgateway

import (
	"container/list"
	"sync"

	"tsdb/api/ingest/text"
	"tsdb/internal/model"
)

// Bounds of the memory of groups.
const (
	maxGroups = 1 << 14
	maxSeries = 1 << 18 // of all groups
)

// memory remembers the series of the last pushes of each group, so that those which
// a push replaces or a deletion ends are marked stale. It forgets the groups that
// were pushed the longest time ago, and all when the process ends. It is safe for
// concurrent use. The zero value is empty.
type memory struct {
	mu     sync.Mutex
	groups map[string]*list.Element // of *group
	newest list.List                // of *group, the last one pushed first
	series int
}

type group struct {
	key    string
	series []text.Recorded
	t      int64 // of the last push, Unix milliseconds
}

// compare returns the series of a group that end with a push: all that are not pushed
// again, or if byName is set, those of them whose metric was pushed. kept are the
// others and those that were pushed.
func (m *memory) compare(key string, pushed []text.Recorded, byName bool) (ended, kept []text.Recorded) {
	kept = append(kept, pushed...)
	old, _ := m.get(key)
	if len(old) == 0 {
		return nil, kept
	}
	again, names := map[model.Hash]bool{}, map[uint64]bool{}
	for _, s := range pushed {
		again[s.Alias], names[s.Name] = true, true
	}
	for _, s := range old {
		switch {
		case again[s.Alias]:
		case byName && !names[s.Name]:
			kept = append(kept, s)
		default:
			ended = append(ended, s)
		}
	}
	return ended, kept
}

// get returns the series of a group, and the time of its last push. They are not
// changed any more.
func (m *memory) get(key string) (series []text.Recorded, t int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.groups[key]; e != nil {
		g := e.Value.(*group)
		return g.series, g.t
	}
	return nil, 0
}

// set sets the series of a group. Without series the group is forgotten.
func (m *memory) set(key string, series []text.Recorded, t int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeLocked(key)
	if len(series) == 0 {
		return
	}
	if m.groups == nil {
		m.groups = map[string]*list.Element{}
	}
	m.groups[key] = m.newest.PushFront(&group{key, series, t})
	m.series += len(series)
	for m.series > maxSeries || len(m.groups) > maxGroups {
		m.removeLocked(m.newest.Back().Value.(*group).key)
	}
}

func (m *memory) removeLocked(key string) {
	if e := m.groups[key]; e != nil {
		delete(m.groups, key)
		m.series -= len(m.newest.Remove(e).(*group).series)
	}
}
