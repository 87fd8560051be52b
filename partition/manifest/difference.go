package manifest

import (
	"maps"
	"reflect"
	"slices"

	"tsdb/partition/block"
)

// Difference returns an edit that leads from one state to a later one of the same
// database, and whether there is one: an edit cannot take back a floor, the offset of a
// source, or the block of a name. Number and WallMs are those of next. Applied to old, it
// gives next, except for Dropped and the ages of blocks.
func Difference(old, next *State) (Edit, bool) {
	e := Edit{
		Number: next.Number, WallMs: next.WallMs, Keys: map[string]KeyRange{},
		HighGen: next.HighGen, HighLSN: next.HighLSN, HighSegment: next.HighSegment,
	}
	if next.Seed != old.Seed || next.Format != old.Format || next.WALLow < old.WALLow || next.Floor < old.Floor ||
		next.HighGen < old.HighGen || next.HighLSN < old.HighLSN || next.HighSegment < old.HighSegment {
		return Edit{}, false
	}
	if next.WALLow != old.WALLow {
		e.WALLow = &next.WALLow
	}
	if next.Floor != old.Floor {
		e.Floor = &next.Floor
	}
	if next.Incarnation != old.Incarnation {
		e.Incarnation = &next.Incarnation
	}
	ok := e.differBlocks(old, next)
	e.differTombstones(old, next)
	e.differRules(old, next)
	if e.Offsets, ok = changed(old.Offsets, next.Offsets, ok); ok {
		e.TierFloors, ok = changed(old.TierFloors, next.TierFloors, ok)
	}
	for _, c := range next.SortedCoverage() {
		if was, covered := old.Coverage[c.CoverKey]; !covered || !reflect.DeepEqual(was, c) {
			e.Cover = append(e.Cover, c)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(old.Coverage), CoverKey.Compare) {
		if _, covered := next.Coverage[k]; !covered {
			e.Uncover = append(e.Uncover, k)
		}
	}
	return e, ok
}

// changed returns the entries of next that old does not have. ok becomes false if next
// lacks one of old.
func changed[K comparable](old, next map[K]int64, ok bool) (map[K]int64, bool) {
	var m map[K]int64
	for k, v := range next {
		if was, there := old[k]; !there || was != v {
			if m == nil {
				m = map[K]int64{}
			}
			m[k] = v
		}
	}
	for k := range old {
		if _, there := next[k]; !there {
			ok = false
		}
	}
	return m, ok
}

func (e *Edit) differBlocks(old, next *State) (ok bool) {
	ok = true
	for _, b := range next.Sorted() {
		was, listed := old.Blocks[b.Name]
		if listed {
			ok = ok && SameFile(was.Info, b.Info)
			continue
		}
		e.Add = append(e.Add, b.Info)
		e.Keys[b.Name] = b.Keys
	}
	for _, b := range old.Sorted() {
		if _, listed := next.Blocks[b.Name]; !listed {
			e.Drop = append(e.Drop, b.Name)
		}
	}
	return ok
}

// SameFile reports whether two descriptions of one name are of the same content.
func SameFile(a, b block.Info) bool {
	return a.Size == b.Size && a.CRC == b.CRC && a.FooterLen == b.FooterLen
}

func (e *Edit) differTombstones(old, next *State) {
	known := map[uint64]*Tombstone{}
	for i := range old.Tombstones {
		known[old.Tombstones[i].ID] = &old.Tombstones[i]
	}
	for i := range next.Tombstones {
		t := &next.Tombstones[i]
		was := known[t.ID]
		if was != nil && sameTombstone(was, t) {
			delete(known, t.ID)
			continue
		}
		e.AddTombstones = append(e.AddTombstones, *t)
	}
	e.DropTombstones = slices.Sorted(maps.Keys(known))
}

func sameTombstone(a, b *Tombstone) bool {
	return string(appendTombstone(nil, a)) == string(appendTombstone(nil, b))
}

func (e *Edit) differRules(old, next *State) {
	gone := map[uint64]*RuleList{}
	for i := range old.RuleLists {
		gone[old.RuleLists[i].ID] = &old.RuleLists[i]
	}
	for i := range next.RuleLists {
		l := &next.RuleLists[i]
		was := gone[l.ID]
		delete(gone, l.ID)
		if was == nil || string(appendRuleList(nil, was)) != string(appendRuleList(nil, l)) {
			e.RuleLists = append(e.RuleLists, *l)
		}
	}
	e.DropRules = slices.Sorted(maps.Keys(gone))
}
