package storage

import (
	"strings"
	"testing"
	"time"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/storage/doctor"
)

// loseManifest has the database repaired without a MANIFEST and opens it again. Its options
// have no retention rules.
func (w *tieredWorld) loseManifest() (plan string) {
	w.t.Helper()
	closeUncut(w.db)
	for _, name := range []string{format.ManifestName, format.TwinName} {
		must(w.t, w.mem.Remove("data/"+name))
	}
	r, err := doctor.Repair(w.ctx, w.mem, "data", doctor.RepairOptions{Apply: true, Clock: w.clock, AssumeNoDeletes: true})
	must(w.t, err)
	w.open()
	return strings.Join(r.Lines, "\n")
}

// Without a MANIFEST, the footers of the blocks tell what retention rules have hidden,
// also those of a configuration that is no longer there. Nothing more is hidden: neither
// samples of other rules, nor what was written after a list had been dropped.
func TestRepairKeepsHiddenWhatRulesHid(t *testing.T) {
	w := newFileWorld(t)
	w.opts.RetentionMs = 30 * model.DayMs
	w.restart()
	w.write(0, every(dayAt(5)+7, 1000, 200), every(dayAt(1)+7, 1000, 10))
	for i := 1; i < 4; i++ {
		w.write(i, every(dayAt(5)+7, 1000, 5), every(dayAt(1)+7, 1000, 10))
	}
	w.compact()
	rules := []RetentionRule{only(1, 3*model.DayMs, 0), only(2, 10*model.DayMs, 0)}
	must(t, w.db.SetRetention(w.ctx, Retention{RawMs: 30 * model.DayMs, Rules: rules}))
	must(t, w.db.SetRetention(w.ctx, Retention{RawMs: 30 * model.DayMs}))
	w.roll(dayAt(1), rollForm{}, block.Hour) // a footer after the rules
	const hidden = "[0:210 1:10 2:15 3:15] [0 1 2 3]"
	if got := w.counts(); got != hidden {
		t.Fatalf("with rules %s, want %s", got, hidden)
	}
	stored := func() (n uint64) {
		for _, b := range w.db.manifest.State().RawBlocks() {
			n += b.Samples
		}
		return n
	}
	if n := stored(); n != 255 {
		t.Fatalf("%d samples are in blocks, of which 5 are hidden", n)
	}
	if plan := w.loseManifest(); w.counts() != hidden || !strings.Contains(plan, "retention rules: 1 lists") {
		t.Errorf("after a repair %s, want %s\n%s", w.counts(), hidden, plan)
	}
	must(t, w.db.Retain(w.ctx))
	if got := w.counts(); got != hidden {
		t.Errorf("after retention %s, want %s", got, hidden)
	}

	w.clock.Advance(25 * time.Hour) // the next day blocks are rewritten for fewer rows
	w.compact()
	must(t, w.db.Retain(w.ctx))
	if st := w.db.manifest.State(); len(st.RuleLists) != 0 || stored() != 250 {
		t.Fatalf("%d samples, rules %+v", stored(), st.RuleLists)
	}
	w.write(1, every(dayAt(5)+7, 1000, 5))
	w.compact()
	const again = "[0:210 1:15 2:15 3:15] [0 1 2 3]"
	if got := w.counts(); got != again {
		t.Fatalf("written again: %s, want %s", got, again)
	}
	v := w.view()
	for _, b := range w.db.manifest.State().RollupBlocks() {
		if r := v.st.blocks.Find(b.Name).Block().Repeated(); len(r.RuleLists) != 1 {
			t.Errorf("%s repeats %d lists of rules", b.Name, len(r.RuleLists))
		}
	}
	v.Release()
	if plan := w.loseManifest(); w.counts() != again {
		t.Errorf("after a second repair %s, want %s\n%s", w.counts(), again, plan)
	}
}
