package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"tsdb/internal/await"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
	"tsdb/storage/log/logtest"
)

// newRollingWorld returns a database that makes rollups of 1 m and 1 h.
func newRollingWorld(t *testing.T) *tieredWorld {
	w := newTieredWorld(t)
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Minute: 0, block.Hour: 0}
	w.restart()
	return w
}

// rollAll does the steps that the job does on its own, and returns their number.
func (w *tieredWorld) rollAll() (steps int) {
	w.t.Helper()
	for {
		worked, err := w.db.roller.rollNext(w.ctx, false)
		must(w.t, err)
		if !worked {
			return steps
		}
		steps++
	}
}

// dense are samples of each second of an hour.
func dense(from int64) model.Samples { return every(from, 1000, 3600) }

// The job makes buckets that answer as samples do, also when samples are late or
// deleted, and makes them again. Its status says what there is and what waits.
func TestRollupsFollowTheSamples(t *testing.T) {
	w := newRollingWorld(t)
	w.write(1, dense(dayAt(2)+5), dense(dayAt(1)+7))
	w.write(2, every(dayAt(2)+5, 15_000, 200)) // its samples stand in for minutes
	w.compact()
	status := func() map[string]RollupTierStatus {
		byTier := map[string]RollupTierStatus{}
		for _, s := range w.db.RollupStatus().Tiers {
			byTier[s.Tier] = s
		}
		return byTier
	}
	if s := status(); s["1m"].Days != 2 || s["1h"].Days != 2 || s["1m"].Blocks != 1 || s["1m"].UncoveredDays+s["1m"].DirtyDays != 0 || s["1m"].BytesPerDay == 0 ||
		s["1m"].Oldest != "2026-03-08T00:00:00.001Z" || s["1m"].Newest != "2026-03-09T00:00:00.001Z" || !s["1m"].On {
		t.Errorf("status %+v", s)
	}
	check := func() {
		t.Helper()
		for _, tier := range []block.Tier{block.Minute, block.Hour} {
			got := w.check(tier, wholeDays(4))
			if len(got.rows["1"].End) == 0 || got.fromTier["1"] == 0 {
				t.Errorf("%v: no rows from the tier", tier)
			}
		}
	}
	check()
	// What is late is read at once, and rolled up once it is in the day's blocks.
	w.write(1, one(dayAt(2)+model.HourMs, 99))
	w.remove(1, model.TimeRange{Min: dayAt(1) + model.HourMs/2, Max: dayAt(1) + model.HourMs/2 + 777})
	check()
	w.flush()
	check()
	if s := status(); s["1m"].DirtyDays != 1 || s["1h"].DirtyDays != 1 || s["1h"].BehindSeconds != 12*3600 {
		t.Errorf("status with a recorded deletion: %+v", s)
	}
	if n := w.rollAll(); n != 1 {
		t.Errorf("%d steps, want that of the day with a deletion: the other waits for its merge", n)
	}
	check()
	for {
		more, err := w.db.compactor.mergeNext(w.ctx, compaction.PlanFinal)
		must(t, err)
		if !more {
			break
		}
	}
	if s := status(); s["1m"].DirtyDays == 0 {
		t.Errorf("status with late samples in blocks: %+v", s)
	}
	w.rollAll()
	check()
	if s := status(); s["1m"].DirtyDays != 0 || s["1m"].BehindSeconds != 0 {
		t.Errorf("status in the end: %+v", s)
	}
	if n := len(w.db.manifest.State().Tombstones); n != 0 {
		t.Errorf("%d deletions are kept", n)
	}
	w.restart()
	check()
	if b, err := json.Marshal(w.db.RollupStatus()); err != nil || !strings.Contains(string(b), `"step":null`) {
		t.Errorf("%s, %v", b, err)
	}
}

// Whatever is written late, deleted, cut, merged and rolled up, the tiers are what the
// samples give.
func TestRollupJobAgainstSamples(t *testing.T) {
	for seed := range int64(unlessShort(2, 1)) {
		rnd := rand.New(rand.NewSource(seed))
		w := newRollingWorld(t)
		const days = 4
		instant := func() int64 { return dayAt(days-1) + rnd.Int63n((days-1)*model.DayMs) }
		for i := range 4 {
			for d := range days {
				w.write(i, every(dayAt(d)+int64(i), []int64{5000, 60_000, 7000, 600_000}[i], 300))
			}
		}
		for range 40 {
			switch rnd.Intn(9) {
			case 0, 1:
				w.write(rnd.Intn(4), one(instant(), rnd.Float64()))
			case 2:
				w.write(rnd.Intn(4), every(instant(), 1+rnd.Int63n(model.MinuteMs), rnd.Intn(40)))
			case 3:
				at := instant()
				w.remove(rnd.Intn(4), model.TimeRange{Min: at, Max: at + 1 + rnd.Int63n(3*model.HourMs)})
			case 4:
				w.flush()
			case 5:
				w.compact()
			case 6:
				w.restart()
			case 7:
				_, err := w.db.roller.rollNext(w.ctx, rnd.Intn(2) == 0)
				must(t, err)
			default:
				for range 3 {
					_, err := w.db.compactor.mergeNext(w.ctx, compaction.PlanFinal)
					must(t, err)
				}
			}
			w.check(block.Minute, wholeDays(days+1))
			w.check(block.Hour, wholeDays(days+1))
		}
	}
}

// In the background a day is rolled up when it is over and merged.
func TestRollupsAreMadeInTheBackground(t *testing.T) {
	clock := vfs.NewManualClock(tieredNow)
	db, err := openChecked(t, t.Context(), vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, ReserveBytes: 4096,
		TierRetentionMs: map[block.Tier]int64{block.Hour: 0}, Background: true})
	must(t, err)
	defer closeUncut(db)
	writeOne(t, db, 3)
	await.That(t, "the day is rolled up", func() bool {
		clock.Advance(6 * time.Hour)
		s := db.RollupStatus()
		return s.Tiers[0].Days == 1
	})
	if c, ok := db.manifest.State().CoverageOf(block.Hour, dayAt(0)); !ok || c.Block == "" {
		t.Errorf("%+v", c)
	}
}

// A step that fails in the background is tried again, each time after a longer pause,
// whatever wakes the job meanwhile; health and status tell until it is done.
func TestFailedRollupsAreTriedAgain(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	clock := vfs.NewManualClock(tieredNow)
	var attempts atomic.Int64
	fault.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpCreate && strings.HasPrefix(op.Name, "data/1h/") && attempts.Add(1) <= 3 {
			return syscall.EIO
		}
		return nil
	})
	o := Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, ReserveBytes: 4096}
	db, err := openChecked(t, t.Context(), fault, "data", o)
	must(t, err)
	(&tieredWorld{t: t, ctx: t.Context(), clock: clock, db: db}).write(1, dense(dayAt(2)+5))
	_, err = db.Compact(t.Context())
	must(t, errors.Join(err, db.Close(t.Context())))

	o.TierRetentionMs, o.Background = map[block.Tier]int64{block.Hour: 0}, true
	db, err = openChecked(t, t.Context(), fault, "data", o)
	must(t, err)
	defer closeUncut(db)
	var pause time.Duration
	for n := int64(1); n <= 3; n++ {
		await.That(t, "the failure is noted", func() bool { return db.jobs.rollup.Outcome().Failures == int(n) })
		next := db.jobs.rollup.Outcome().Next.Sub(clock.Now())
		if next <= pause || db.RollupStatus().NextAttempt == "" || len(db.Warnings()) != 1 {
			t.Errorf("failure %d: next attempt in %v, the last pause was %v; status %+v, warnings %q", n, next, pause, db.RollupStatus(), db.Warnings())
		}
		pause = next
		for range 3 { // the channel holds one: by then the job has looked at least once
			db.jobs.rolled <- struct{}{}
		}
		if got := attempts.Load(); got != n {
			t.Fatalf("%d attempts before the pause after %d is over", got, n)
		}
		clock.Advance(pause)
		await.That(t, "the next attempt", func() bool {
			wake(db.jobs.rolled)
			return attempts.Load() > n
		})
	}
	await.That(t, "the day is rolled up", func() bool { return db.RollupStatus().Tiers[0].Days == 1 })
	if s := db.RollupStatus(); s.LastError != "" || len(db.Warnings()) != 0 {
		t.Errorf("in the end: status %+v, warnings %q", s, db.Warnings())
	}
}

// A step whose blocks are replaced while it runs is planned again.
func TestRollupIsOvertakenByAMerge(t *testing.T) {
	w := newRollingWorld(t)
	w.write(1, dense(dayAt(2)+5))
	w.write(2, dense(dayAt(2)+5))
	w.flush()
	merge := func() {
		for {
			more, err := w.db.compactor.mergeNext(w.ctx, compaction.PlanFinal)
			must(t, err)
			if !more {
				return
			}
		}
	}
	merge()
	once := true
	w.db.roller.pause = func(context.Context) error {
		if once {
			once = false
			if s := w.db.RollupStatus().Step; s == nil || s.Action != "roll" || s.Days != 1 || s.From != "2026-03-08T00:00:00.001Z" {
				t.Errorf("step %+v", s)
			}
			w.write(1, one(dayAt(2)+model.HourMs*3, 5))
			w.flush()
			merge()
		}
		return nil
	}
	worked, err := w.db.roller.rollNext(w.ctx, false)
	pause := w.db.roller.pause
	w.db.roller.pause = func(ctx context.Context) error { // again and again
		once = true
		return pause(ctx)
	}
	for range overtakenMax - 1 {
		worked, err := w.db.roller.rollNext(w.ctx, false)
		if must(t, err); !worked {
			t.Error("a step that was overtaken is not planned again")
		}
	}
	if _, err := w.db.roller.rollNext(w.ctx, false); !errors.Is(err, manifest.ErrEdit) || w.db.RollupStatus().LastError == "" {
		t.Errorf("%d steps are overtaken: %v", overtakenMax+1, err)
	}
	w.db.roller.pause = pause
	if must(t, err); !worked || len(w.db.manifest.State().Coverage) != 0 {
		t.Errorf("worked %v, %d entries", worked, len(w.db.manifest.State().Coverage))
	}
	w.rollAll()
	if got := w.check(block.Minute, wholeDays(4)); got.fromTier["1"] != 61 {
		t.Errorf("%d rows of minutes", got.fromTier["1"])
	}
	w.db.catalog.sweep(w.ctx)
	keys, err := block.ListKeys(w.ctx, w.db.objects)
	if must(t, err); len(keys) != len(w.db.manifest.State().Blocks) {
		t.Errorf("%d files of %d blocks: %v", len(keys), len(w.db.manifest.State().Blocks), keys)
	}
}

// A failure is shown, and the step is done once the disk allows.
func TestRollupFailuresAreShown(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	clock := vfs.NewManualClock(tieredNow)
	reg := prometheus.NewRegistry()
	w := &tieredWorld{t: t, ctx: t.Context(), mem: mem, clock: clock}
	db, err := openChecked(t, t.Context(), fault, "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, ReserveBytes: 4096,
		TierRetentionMs: map[block.Tier]int64{block.Minute: 0, block.Hour: 0}, Registerer: reg})
	must(t, err)
	defer closeUncut(db)
	w.db = db
	w.write(1, dense(dayAt(2)+5))
	fault.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite && strings.HasPrefix(op.Name, "data/1h/") {
			return syscall.EIO
		}
		return nil
	})
	if _, err := db.Compact(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Errorf("compact: %v", err)
	}
	if s := db.RollupStatus(); !strings.Contains(s.LastError, "1h/") || s.NextAttempt == "" || s.Step != nil {
		t.Errorf("status %+v", s)
	}
	if ws := db.Warnings(); len(ws) != 1 || !strings.HasPrefix(ws[0], "rollups are failing since") {
		t.Errorf("warnings %q", ws)
	}
	metric := func(name, want string) {
		t.Helper()
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), name); err != nil {
			t.Error(err)
		}
	}
	metric("tsdb_rollup_uncovered_days", `# HELP tsdb_rollup_uncovered_days Days that are over and wait to be rolled up, by tier.
# TYPE tsdb_rollup_uncovered_days gauge
tsdb_rollup_uncovered_days{tier="1h"} 1
tsdb_rollup_uncovered_days{tier="1m"} 1
`)
	fault.SetHook(nil)
	_, err = db.Compact(t.Context())
	must(t, err)
	if s := db.RollupStatus(); s.LastError != "" || len(db.Warnings()) != 0 || s.Tiers[0].Days != 1 {
		t.Errorf("status %+v", s)
	}
	metric("tsdb_rollup_days", `# HELP tsdb_rollup_days Days that are rolled up, by tier.
# TYPE tsdb_rollup_days gauge
tsdb_rollup_days{tier="1h"} 1
tsdb_rollup_days{tier="1m"} 1
`)
	metric("tsdb_rollup_steps_total", `# HELP tsdb_rollup_steps_total Steps of rollups, by action (roll: a day, fold: a group of days, erase: deletions, confirm: entries only) and tier.
# TYPE tsdb_rollup_steps_total counter
tsdb_rollup_steps_total{action="roll",tier="1h"} 1
tsdb_rollup_steps_total{action="roll",tier="1m"} 1
`)
}

// Of a tier that is off the days stay, until their samples change.
func TestRollupsOfATierThatIsOff(t *testing.T) {
	w := newRollingWorld(t)
	w.write(1, dense(dayAt(2)+5), dense(dayAt(1)+5))
	w.compact()
	w.opts.TierRetentionMs = nil
	w.restart()
	w.rollAll()
	if got := w.check(block.Hour, wholeDays(4)); got.fromTier["1"] != 2 {
		t.Errorf("%d rows of hours", got.fromTier["1"])
	}
	w.write(1, one(dayAt(2)+model.HourMs, 99))
	w.compact()
	w.rollAll()
	st := w.db.manifest.State()
	if _, ok := st.CoverageOf(block.Hour, dayAt(2)); ok || len(st.Coverage) != 2 {
		t.Errorf("entries %v", st.SortedCoverage())
	}
	for _, s := range w.db.RollupStatus().Tiers {
		if s.On || s.Days != 1 || s.DirtyDays != 0 {
			t.Errorf("status %+v", s)
		}
	}
	w.check(block.Hour, wholeDays(4))
	w.remove(1, model.TimeRange{Min: dayAt(1), Max: dayAt(1) + model.HourMs})
	w.write(2, one(dayAt(1), 1))
	w.compact()
	w.rollAll()
	if st := w.db.manifest.State(); len(st.Tombstones) != 0 || len(st.RollupBlocks()) != 0 {
		t.Errorf("deletions %v, entries %v", st.Tombstones, st.SortedCoverage())
	}
}

// Late samples are in the rows of a tier that is off too, before they expire: by then
// nothing tells that the rows lack them. Where the samples of other series have expired
// the day cannot be removed, because their rows may be nowhere else.
func TestATierThatIsOffDoesNotAnswerWithoutLateSamples(t *testing.T) {
	for _, rule := range []bool{false, true} {
		for _, on := range []map[block.Tier]int64{{block.Hour: 0}, nil} {
			w := newRollingWorld(t)
			w.opts.RetentionMs, w.opts.TierRetentionMs = 8*model.DayMs, map[block.Tier]int64{block.Hour: 0, block.Hours6: 0}
			w.restart()
			w.write(1, every(dayAt(4)+5, 60_000, 100))
			w.write(2, every(dayAt(4)+5, 60_000, 100))
			w.compact()
			w.opts.TierRetentionMs = on
			if rule {
				w.opts.RetentionRules = []RetentionRule{only(2, 2*model.DayMs, 0)}
			}
			w.restart()
			must(t, w.db.Retain(w.ctx))
			w.write(1, every(dayAt(4)+9*model.HourMs, 60_000, 40))
			w.flush()
			for more := true; more; { // merges, and retention before the rollups
				var err error
				more, err = w.db.compactor.mergeNext(w.ctx, compaction.PlanFinal)
				must(t, err)
			}
			w.clock.Advance(6 * 24 * time.Hour)
			for range 3 {
				must(t, w.db.Retain(w.ctx))
				w.compact()
			}
			what := fmt.Sprintf("rule %v, tiers %v", rule, on)
			if floor := w.db.manifest.State().Floor; floor <= dayAt(4) {
				t.Errorf("%s: the samples have not expired", what)
			}
			count := func(tier block.Tier, i string) (n int) {
				v := w.view()
				defer v.Release()
				if rows := w.read(v, tier, wholeDays(5)).rows[i]; rows != nil {
					for _, c := range rows.Count {
						n += int(c)
					}
				}
				return n
			}
			for _, tier := range []block.Tier{block.Hour, block.Hours6} {
				if _, covered := w.db.manifest.State().CoverageOf(tier, dayAt(4)); !covered {
					if _, made := on[tier]; made || rule {
						t.Errorf("%s: %v has no entry of the day", what, tier)
					}
					continue
				}
				if a, b := count(tier, "1"), count(tier, "2"); a != 140 || b != 100 {
					t.Errorf("%s: %v has %d and %d samples, want 140 and 100", what, tier, a, b)
				}
			}
		}
	}
}

// Rollups do not take the space that writes need; the status says what is missing.
func TestRollupsWaitForSpace(t *testing.T) {
	w := newRollingWorld(t)
	w.write(1, dense(dayAt(2)+5))
	w.flush()
	for more := true; more; {
		var err error
		more, err = w.db.compactor.mergeNext(w.ctx, compaction.PlanFinal)
		must(t, err)
	}
	w.mem.SetCapacity(w.mem.Used() + w.db.space.needed() + 100)
	if n := w.rollAll(); n != 0 || !strings.HasSuffix(w.db.RollupStatus().Waiting, " B of free disk space, 100 B are free beyond what writes need") {
		t.Errorf("%d steps; status %+v", n, w.db.RollupStatus())
	}
	w.mem.SetCapacity(w.mem.Used() + w.db.space.needed() + 1<<20)
	if n := w.rollAll(); n != 1 || w.db.RollupStatus().Waiting != "" {
		t.Errorf("%d steps; status %+v", n, w.db.RollupStatus())
	}
}

// A day that retention waits for is rolled up first, also into the last space, and its
// samples leave at once.
func TestRollupsMakeRoomForRetention(t *testing.T) {
	w := newRollingWorld(t)
	w.opts.RetentionMs = 3 * model.DayMs
	w.restart()
	for _, ago := range []int{2, 1} {
		w.write(1, dense(dayAt(ago)+5))
	}
	w.flush()
	for more := true; more; {
		var err error
		more, err = w.db.compactor.mergeNext(w.ctx, compaction.PlanFinal)
		must(t, err)
	}
	w.clock.Advance(2 * 24 * time.Hour) // the older day is expired
	must(t, w.db.Retain(w.ctx))
	if floor := w.db.manifest.State().Floor; floor > dayAt(2) {
		t.Fatalf("the floor did not wait: %s", model.FormatTime(floor))
	}
	w.mem.SetCapacity(w.mem.Used() + 256<<10)
	if w.db.space.needed() < 512<<10 {
		t.Fatalf("writes need %d bytes only", w.db.space.needed())
	}
	if n := w.rollAll(); n != 1 {
		t.Errorf("%d steps", n)
	}
	st := w.db.manifest.State()
	if _, ok := st.CoverageOf(block.Hour, dayAt(2)); !ok || st.Floor != dayAt(1) {
		t.Errorf("floor %s, entries %v", model.FormatTime(st.Floor), st.SortedCoverage())
	}
}

// A day of which a block is missing is rolled up without it, warns, and is read once
// more after a start with the block in its place.
func TestLostDaysAreTriedAgain(t *testing.T) {
	w := newRollingWorld(t)
	w.write(1, dense(dayAt(2)+5))
	w.flush()
	for more := true; more; {
		var err error
		more, err = w.db.compactor.mergeNext(w.ctx, compaction.PlanFinal)
		must(t, err)
	}
	var name string
	for _, b := range w.db.manifest.State().Blocks {
		name = b.Name
	}
	closeUncut(w.db)
	must(t, w.mem.Rename("data/"+name, "data/kept"))
	w.open()
	w.rollAll()
	c, _ := w.db.manifest.State().CoverageOf(block.Hour, dayAt(2))
	if len(c.Lost) != 1 || c.Block != "" || w.db.RollupStatus().Tiers[0].LostDays != 1 {
		t.Errorf("%+v", c)
	}
	closeUncut(w.db)
	must(t, w.mem.MkdirAll("data/"+path.Dir(name)))
	must(t, w.mem.Rename("data/kept", "data/"+name))
	w.open()
	w.rollAll()
	if c, _ := w.db.manifest.State().CoverageOf(block.Hour, dayAt(2)); len(c.Lost) != 0 || c.Block == "" {
		t.Errorf("%+v", c)
	}
	w.check(block.Minute, wholeDays(4))
}

// The first and the last day that samples can have are rolled up too, as are days
// before 1970; blocks with times that no sample can have, of older versions, do no harm.
func TestRollupsOfExtremeTimes(t *testing.T) {
	w := newRollingWorld(t)
	w.opts.MaxFutureMs = model.MaxTime
	w.restart()
	for _, from := range []int64{model.MinTime, -5 * model.DayMs, -1800, model.MaxTime - 3599*1000} {
		w.write(1, dense(from))
	}
	w.compact()
	rows := 0
	for _, s := range w.db.RollupStatus().Tiers {
		rows += s.Days
	}
	if rows != 2*6 {
		t.Errorf("%d days of two tiers are rolled up, want 6 each", rows)
	}
	for _, day := range []int64{model.MinTime, -5 * model.DayMs, 0, 1, model.MaxTime} {
		tr := block.Raw.PartitionRange(day)
		if got := w.check(block.Hour, tr); got.fromTier["1"] == 0 || len(got.gaps["1"]) > 0 {
			t.Errorf("day of %d: %d rows from the tier, gaps %v", day, got.fromTier["1"], got.gaps["1"])
		}
	}

	old := &tieredWorld{t: t, ctx: t.Context(), mem: copyTestdata(t, "extreme-times"), clock: vfs.NewManualClock(timesNow)}
	old.opts = Options{Clock: old.clock, Seed: 1, TierRetentionMs: w.opts.TierRetentionMs, WALSegmentBytes: 1 << 20}
	old.open()
	defer func() { closeUncut(old.db) }()
	before, _ := allTimes(t, old.db)
	old.compact()
	old.restart()
	old.compact()
	if after, warnings := allTimes(t, old.db); !slices.Equal(before, after) || len(warnings) > 0 {
		t.Errorf("%q, before %q, warnings %q", after, before, warnings)
	}
}

// A deletion is forgotten as soon as the rollups of its days have it, and the samples.
func TestDeletionsAreForgottenOnceRolledUp(t *testing.T) {
	w := newRollingWorld(t)
	w.write(1, dense(dayAt(2)+5))
	w.compact()
	w.remove(1, model.TimeRange{Min: dayAt(2), Max: dayAt(2) + 90_000})
	w.write(2, one(w.clock.Now().UnixMilli(), 1)) // so that the cut records it
	w.compact()
	if ts := w.db.manifest.State().Tombstones; len(ts) != 0 {
		t.Errorf("%d tombstones are left: %+v", len(ts), ts)
	}
	w.check(block.Minute, wholeDays(4))
}

// Retention that has waited for the rollups of a day is applied by the request that
// makes them.
func TestCompactAppliesRetentionAfterRollups(t *testing.T) {
	w := newRollingWorld(t)
	w.write(1, dense(dayAt(2)+5))
	w.flush()
	w.opts.RetentionMs = 3 * model.DayMs
	w.restart()
	w.clock.Advance(72 * time.Hour)
	w.compact()
	if st := w.db.manifest.State(); st.Floor <= dayAt(2) || len(st.RawBlocks()) != 0 || len(st.Coverage) != 2 {
		t.Errorf("floor %s, %d raw blocks, %d entries", model.FormatTime(st.Floor), len(st.RawBlocks()), len(st.Coverage))
	}
}

// A day with a damaged chunk of samples is rolled up without it, and not over and over:
// once more after a start, in case it was a fault of reading.
func TestDaysWithDamageAreTriedOnceMore(t *testing.T) {
	w := newRollingWorld(t)
	w.write(1, dense(dayAt(2)+5))
	w.flush()
	for more := true; more; {
		var err error
		more, err = w.db.compactor.mergeNext(w.ctx, compaction.PlanFinal)
		must(t, err)
	}
	var info block.Info
	for _, b := range w.db.manifest.State().Blocks {
		info = b.Info
	}
	w.damaged = true               // so no check at the end
	w.flip("data/"+info.Name, 100) // in a chunk
	for start := range 3 {
		steps := 0
		for more := true; more && steps < 5; {
			var err error
			more, err = w.db.roller.rollNext(w.ctx, false)
			if must(t, err); more {
				steps++
			}
		}
		if steps != 1 {
			t.Errorf("start %d: %d steps, want 1", start, steps)
		}
		w.restart()
	}
	if c, ok := w.db.manifest.State().CoverageOf(block.Hour, dayAt(2)); !ok || len(c.Lost) != 1 {
		t.Errorf("the entry is %+v", c)
	}
}

// A damaged rollup is left out once a step cannot read it, and made again from its
// samples.
func TestDamagedRollupsAreMadeAgainByTheJob(t *testing.T) {
	w := newRollingWorld(t)
	w.write(1, dense(dayAt(2)+5), dense(dayAt(3)+7))
	w.flush()
	for more := true; more; {
		var err error
		more, err = w.db.compactor.mergeNext(w.ctx, compaction.PlanFinal)
		must(t, err)
	}
	w.rollAll() // each day in a block of its own
	c, _ := w.db.manifest.State().CoverageOf(block.Hour, dayAt(2))
	w.flip("data/"+c.Block, 60) // in a chunk
	if _, err := w.db.Compact(w.ctx); err == nil {
		t.Error("a damaged block is folded")
	}
	w.compact()
	again, _ := w.db.manifest.State().CoverageOf(block.Hour, dayAt(2))
	if again.Block == c.Block || len(again.Lost) > 0 {
		t.Errorf("the entry is %+v", again)
	}
	if got := w.check(block.Hour, wholeDays(4)); got.fromTier["1"] != 2 {
		t.Errorf("%d rows", got.fromTier["1"])
	}
}
