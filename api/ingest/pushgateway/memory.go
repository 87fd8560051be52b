package pushgateway

import (
	"container/list"
	"slices"
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
// were pushed the longest time ago, and all when the process ends: those are recalled
// from what is stored. It is safe for concurrent use. The zero value is empty.
type memory struct {
	mu     sync.Mutex
	groups map[string]*list.Element // of *group
	newest list.List                // of *group, the last one pushed first
	series int
}

// group is a group as its last push has left it. It is not changed any more.
type group struct {
	key      string
	series   []text.Recorded
	recalled []recalled // of pushes before those that are remembered
	t        int64      // of the last push, Unix milliseconds
}

func (g *group) len() int { return len(g.series) + len(g.recalled) }

// compare returns the series of the group that end with a push: all that are not pushed
// again, or if byName is set, those of them whose metric was pushed. kept are the
// others and those that were pushed.
func (g *group) compare(pushed []text.Recorded, byName bool) (ended, kept *group) {
	ended, kept = &group{}, &group{series: slices.Clone(pushed)}
	if g.len() == 0 {
		return ended, kept
	}
	again, names := map[model.Hash]bool{}, map[uint64]bool{}
	for _, s := range pushed {
		again[s.Alias], names[s.Name] = true, true
	}
	for _, s := range g.series {
		switch {
		case again[s.Alias]:
		case byName && !names[s.Name]:
			kept.series = append(kept.series, s)
		default:
			ended.series = append(ended.series, s)
		}
	}
	// A recalled series that is pushed again ends here too: its number beats the marker.
	for _, s := range g.recalled {
		if byName && !names[s.name] {
			kept.recalled = append(kept.recalled, s)
		} else {
			ended.recalled = append(ended.recalled, s)
		}
	}
	return ended, kept
}

// get returns a group, nil if it is not remembered.
func (m *memory) get(key string) *group {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.groups[key]; e != nil {
		return e.Value.(*group)
	}
	return nil
}

// set remembers a group, which may have no series, as after its deletion.
func (m *memory) set(g *group) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeLocked(g.key)
	if m.groups == nil {
		m.groups = map[string]*list.Element{}
	}
	m.groups[g.key] = m.newest.PushFront(g)
	m.series += g.len()
	for m.series > maxSeries || len(m.groups) > maxGroups {
		m.removeLocked(m.newest.Back().Value.(*group).key)
	}
}

func (m *memory) removeLocked(key string) {
	if e := m.groups[key]; e != nil {
		delete(m.groups, key)
		m.series -= m.newest.Remove(e).(*group).len()
	}
}
