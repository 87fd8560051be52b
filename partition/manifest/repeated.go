package manifest

import (
	"fmt"
	"maps"
	"slices"

	"tsdb/partition/block"
	"tsdb/partition/format"
)

// Repeated returns the part of the state that blocks repeat in their footers, if merges
// or rollups write them. A cut repeats the seed only, because its bytes are a function
// of the log.
func (s *State) Repeated() block.Repeated {
	r := block.Repeated{Seed: s.Seed, Floors: maps.Clone(s.TierFloors), Edit: s.Number}
	if s.Floor != NoFloor {
		if r.Floors == nil {
			r.Floors = map[block.Tier]int64{}
		}
		r.Floors[block.Raw] = s.Floor
	}
	for i := range s.Tombstones {
		r.Tombstones = append(r.Tombstones, appendTombstone(nil, &s.Tombstones[i]))
	}
	for i := range s.RuleLists {
		r.RuleLists = append(r.RuleLists, appendRuleList(nil, &s.RuleLists[i]))
	}
	return r
}

// RepeatedTombstones decodes the tombstones that a footer repeats.
func RepeatedTombstones(r block.Repeated) ([]Tombstone, error) {
	var ts []Tombstone
	for i, b := range r.Tombstones {
		t, err := decodeTombstone(b)
		if err != nil {
			return ts, fmt.Errorf("tombstone %d of %d in a footer: %w", i+1, len(r.Tombstones), err)
		}
		ts = append(ts, t)
	}
	return ts, nil
}

// RepeatedRules decodes the lists of retention rules that a footer repeats.
func RepeatedRules(r block.Repeated) ([]RuleList, error) {
	var ls []RuleList
	for i, b := range r.RuleLists {
		l, err := decodeRuleList(b)
		if err == nil && slices.ContainsFunc(ls, func(o RuleList) bool { return o.ID >= l.ID }) {
			err = format.Corrupt("ID %d again, or out of order", l.ID)
		}
		if err != nil {
			return ls, fmt.Errorf("list %d of %d of retention rules in a footer: %w", i+1, len(r.RuleLists), err)
		}
		ls = append(ls, l)
	}
	return ls, nil
}
