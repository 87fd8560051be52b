package manifest

import (
	"fmt"
	"maps"

	"tsdb/partition/block"
)

// Repeated returns the part of the state that blocks repeat in their footers, if merges
// or rollups write them. A cut repeats the seed only, because its bytes are a function
// of the log.
func (s *State) Repeated() block.Repeated {
	r := block.Repeated{Seed: s.Seed, Floors: maps.Clone(s.TierFloors)}
	if s.Floor != NoFloor {
		if r.Floors == nil {
			r.Floors = map[block.Tier]int64{}
		}
		r.Floors[block.Raw] = s.Floor
	}
	for i := range s.Tombstones {
		r.Tombstones = append(r.Tombstones, appendTombstone(nil, &s.Tombstones[i]))
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
