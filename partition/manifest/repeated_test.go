package manifest_test

import (
	"reflect"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

// What a footer repeats gives back seed, floors, tombstones and retention rules.
func TestFootersRepeatTheState(t *testing.T) {
	s := manifest.NewState(7, 0)
	if r := s.Repeated(); r.Seed != 7 || len(r.Floors)+len(r.Tombstones) > 0 {
		t.Errorf("an empty state repeats %+v", r)
	}
	s.Floor = partitiontest.TestDay
	s.TierFloors = map[block.Tier]int64{block.Hour: 1}
	s.Tombstones = []manifest.Tombstone{partitiontest.Tombstone(3, 9), partitiontest.Tombstone(4, 12)}
	s.Number, s.RuleLists = 33, []manifest.RuleList{partitiontest.RuleList(2, partitiontest.TestDay), partitiontest.RuleList(5, partitiontest.TestDay+model.DayMs)}
	r := s.Repeated()
	if want := (map[block.Tier]int64{block.Raw: partitiontest.TestDay, block.Hour: 1}); !reflect.DeepEqual(r.Floors, want) {
		t.Errorf("floors %v, want %v", r.Floors, want)
	}
	if r.Edit != 33 {
		t.Errorf("state of edit %d", r.Edit)
	}
	if len(s.TierFloors) != 1 {
		t.Errorf("the state has become %v", s.TierFloors)
	}
	ts, err := manifest.RepeatedTombstones(r)
	if err != nil || len(ts) != 2 || ts[1].ID != 4 || ts[1].Gen != 12 || ts[1].Range != s.Tombstones[1].Range || len(ts[1].Matchers) != 2 {
		t.Errorf("tombstones %+v, %v", ts, err)
	}
	r.Tombstones[1] = r.Tombstones[1][:3]
	if ts, err := manifest.RepeatedTombstones(r); err == nil || len(ts) != 1 {
		t.Errorf("a truncated tombstone is read as %+v", ts)
	}
	ls, err := manifest.RepeatedRules(r)
	if err != nil || !reflect.DeepEqual(ls, s.RuleLists) {
		t.Errorf("rules %+v, %v", ls, err)
	}
	for name, lists := range map[string][][]byte{"a truncated list": {r.RuleLists[0], r.RuleLists[1][:3]}, "a list again": {r.RuleLists[1], r.RuleLists[1]}} {
		if ls, err := manifest.RepeatedRules(block.Repeated{RuleLists: lists}); err == nil || len(ls) != 1 {
			t.Errorf("%s is read as %+v", name, ls)
		}
	}
}
