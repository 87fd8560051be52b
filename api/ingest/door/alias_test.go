package door

import "testing"

func TestAliasSeedDependsOnEverythingThatChangesLabels(t *testing.T) {
	seen := map[uint64]string{}
	f := func(name string, seed uint64) {
		t.Helper()
		if other, ok := seen[seed]; ok {
			t.Errorf("%s and %s share a seed", name, other)
		}
		if seed == 0 {
			t.Errorf("%s: no seed", name)
		}
		seen[seed] = name
	}
	f("version 1", aliasSeed(1, RemoteWrite1, 0, 0))
	f("version 2", aliasSeed(1, RemoteWrite2, 0, 0))
	f("influx", aliasSeed(1, Influx, 0, 0))
	f("another process", aliasSeed(2, Influx, 0, 0))
	f("another configuration", aliasSeed(1, Influx, 0, 1))
	f("another tenant", aliasSeed(1, Influx, 1, 0))
	f("a database", aliasSeed(1, Influx, 0, 0, "db", "a"))
	f("another database", aliasSeed(1, Influx, 0, 0, "db", "b"))
	f("another label", aliasSeed(1, Influx, 0, 0, "bucket", "a"))
	f("the border between both", aliasSeed(1, Influx, 0, 0, "dba", ""))
	again := aliasSeed(1, Influx, 0, 0, "db", "a")
	if seen[again] != "a database" {
		t.Error("equal inputs have different seeds")
	}
}

func TestProcessesHaveDifferentAliasSeeds(t *testing.T) {
	if a, b := NewShared(Options{}), NewShared(Options{}); a.seed == b.seed || a.seed == 0 {
		t.Errorf("seeds %x and %x", a.seed, b.seed)
	}
}
