package history

import (
	"slices"

	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// pins are the blocks that marks list, by name. Of one name there may be several. Groups
// are dropped oldest first, so of the groups that pin a block only the last counts.
type pins map[string][]pin

type pin struct {
	info block.Info
	last uint64 // group.first of the last group that lists it
}

// add notes that a group lists a block.
func (p pins) add(b block.Info, group uint64) {
	for i := range p[b.Name] {
		if at := &p[b.Name][i]; manifest.SameFile(at.info, b) {
			at.last = max(at.last, group)
			return
		}
	}
	b.Inputs, b.Sources = nil, nil // they are not needed, and many
	p[b.Name] = append(p[b.Name], pin{b, group})
}

// has reports whether a block is pinned.
func (p pins) has(b block.Info) bool {
	return slices.ContainsFunc(p[b.Name], func(at pin) bool { return manifest.SameFile(at.info, b) })
}

// drop removes what no group above the given one pins, and returns it.
func (p pins) drop(group uint64) (gone []block.Info) {
	for name, list := range p {
		list = slices.DeleteFunc(list, func(at pin) bool {
			if at.last > group {
				return false
			}
			gone = append(gone, at.info)
			return true
		})
		if p[name] = list; len(list) == 0 {
			delete(p, name)
		}
	}
	return gone
}
