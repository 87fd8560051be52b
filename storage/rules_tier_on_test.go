package storage

import (
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// What a rule has hidden stays so when a tier is turned on for which the samples of all
// other series of the day stand in.
func TestTierThatIsTurnedOnDoesNotShowWhatARuleHid(t *testing.T) {
	w := newTieredWorld(t)
	w.opts.RetentionMs = 30 * model.DayMs
	w.restart()
	for i := range 3 {
		w.write(i, every(dayAt(5)+7, 60_000, 100))
	}
	w.compact()
	rules := []RetentionRule{only(1, 3*model.DayMs, 0)}
	must(t, w.db.SetRetention(w.ctx, Retention{RawMs: 30 * model.DayMs, Rules: rules}))
	const hidden = "[0:100 2:100] [0 2]"
	if got := w.counts(); got != hidden {
		t.Fatalf("with a rule %s, want %s", got, hidden)
	}
	w.opts.RetentionRules, w.opts.TierRetentionMs = rules, map[block.Tier]int64{block.Minute: 0}
	w.restart()
	for worked := true; worked; {
		var err error
		worked, err = w.db.RollStep(w.ctx, true)
		must(t, err)
	}
	if n := len(w.db.manifest.State().Coverage); n != 1 {
		t.Fatalf("%d entries", n)
	}
	for _, what := range []string{"rolled up", "after a restart", "rewritten"} {
		switch what {
		case "after a restart":
			w.restart()
		case "rewritten":
			w.compact()
		}
		if got := w.counts(); got != hidden {
			t.Errorf("%s: %s, want %s", what, got, hidden)
		}
	}
	// Late samples of the others have the day rolled up again.
	w.write(2, every(dayAt(5)+3*model.HourMs, 60_000, 10))
	w.compact()
	if got, want := w.counts(), "[0:100 2:110] [0 2]"; got != want {
		t.Errorf("after late samples %s, want %s", got, want)
	}
}
