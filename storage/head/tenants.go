package head

import (
	"encoding/binary"
	"maps"
	"slices"
)

// Tenants returns the tenants that have series or metadata, rising.
func (h *Head) Tenants() []uint32 {
	found := make(map[uint32]struct{})
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.RLock()
		if name, ok := s.dict.nameID(tenantName); ok {
			for _, id := range s.dict.names[name].terms {
				if t := s.dict.terms.at(id); t.list.len() > 0 {
					found[binary.BigEndian.Uint32([]byte(s.value(t)))] = struct{}{}
				}
			}
		}
		s.mu.RUnlock()
	}
	m := &h.metadata
	m.mu.RLock()
	for k := range m.entries {
		found[k.tenant] = struct{}{}
	}
	m.mu.RUnlock()
	return slices.Sorted(maps.Keys(found))
}
