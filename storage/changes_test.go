package storage

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log/logtest"
)

// One sample is written, an answer kept and used, while the clock moves forth
// and back: in every order that the steps can take, the answer does not lack a
// sample that was acknowledged before its user came. Orders that Changes does
// not allow must be caught, or this test would prove nothing.
func TestKeptAnswersLackNothingAcknowledged(t *testing.T) {
	for _, v := range []struct {
		name    string
		change  func(w *keptWorld, p *[3][]func())
		broken  bool
		youngMs int64 // how young the sample is when all begins
	}{
		{name: "a settled sample", youngMs: settleMs},
		{name: "a sample about to settle", youngMs: settleMs - 1},
		{name: "a young sample", youngMs: 0},
		{name: "counted before applied", broken: true, youngMs: settleMs, change: func(_ *keptWorld, p *[3][]func()) {
			p[0][0], p[0][1], p[0][2] = p[0][1], p[0][2], p[0][0]
		}},
		{name: "the clock read before applied", broken: true, youngMs: settleMs - 1, change: func(_ *keptWorld, p *[3][]func()) {
			p[0][0], p[0][1] = p[0][1], p[0][0]
		}},
		{name: "replied before counted", broken: true, youngMs: settleMs, change: func(_ *keptWorld, p *[3][]func()) {
			p[0][2], p[0][3] = p[0][3], p[0][2]
		}},
		{name: "not counted", broken: true, youngMs: settleMs, change: func(_ *keptWorld, p *[3][]func()) {
			p[0] = slices.Delete(p[0], 2, 3)
		}},
		{name: "sums kept from after the view", broken: true, youngMs: settleMs, change: func(_ *keptWorld, p *[3][]func()) {
			p[1][1], p[1][2] = p[1][2], p[1][1]
		}},
		{name: "the clock read after the view", broken: true, youngMs: settleMs - 1, change: func(_ *keptWorld, p *[3][]func()) {
			p[1][0], p[1][1], p[1][2] = p[1][1], p[1][2], p[1][0]
		}},
		{name: "unsettled answers kept", broken: true, youngMs: 0, change: func(w *keptWorld, _ *[3][]func()) { w.keepAll = true }},
	} {
		t.Run(v.name, func(t *testing.T) {
			all, orders, wrong := 0, 0, 0
			c := newChanges(nil)
			everyOrder([]int{4, 4, 2, 2}, func(order []int) {
				if all++; !v.broken && all%unlessShort(1, 7) != 0 {
					return
				}
				if v.broken && wrong > 0 {
					return // caught
				}
				w := &keptWorld{c: c, clock: vfs.NewManualClock(time.UnixMilli(v.youngMs))}
				c.clock = w.clock
				c.newest.Store(math.MinInt64 / 2) // counters only grow: they can stay
				p := [3][]func(){w.writer(), w.keeper(), w.user()}
				if v.change != nil {
					v.change(w, &p)
				}
				steps := [][]func(){p[0], p[1], p[2], {
					func() { w.clock.Advance(time.Minute) },
					func() { w.clock.Advance(-time.Hour) },
				}}
				at := make([]int, len(steps))
				for _, k := range order {
					if at[k] < len(steps[k]) { // a variant may have fewer
						steps[k][at[k]]()
						at[k]++
					}
				}
				orders++
				if w.owed && !w.got {
					wrong++
				}
			})
			if (wrong > 0) != v.broken {
				t.Errorf("%d of %d orders give an answer that lacks an acknowledged sample", wrong, orders)
			}
		})
	}
}

// keptWorld is one writer of a sample at time 0, one query that keeps its
// answer, and one that uses it if it can.
type keptWorld struct {
	c       *Changes
	clock   *vfs.ManualClock
	keepAll bool

	applied, replied bool

	kept     bool // there is an answer
	keptSeen bool // with the sample in it
	keptSums []uint64

	owed bool // the sample was acknowledged when the user came
	got  bool
}

func (w *keptWorld) writer() []func() {
	var before int64
	return []func(){
		func() { w.applied = true },
		func() { before = w.c.uncounted() },
		func() { w.c.addSamples([]int64{0}, []uint8{7}, before) },
		func() { w.replied = true },
	}
}

func (w *keptWorld) keeper() []func() {
	var settled int64
	var sums []uint64
	var seen bool
	return []func(){
		func() { settled = w.c.Settled() },
		func() { sums = w.c.Sums(nil, 0, 0, 1<<7) },
		func() { seen = w.applied },
		func() {
			if settled >= 0 || w.keepAll {
				w.kept, w.keptSeen, w.keptSums = true, seen, sums
			}
		},
	}
}

func (w *keptWorld) user() []func() {
	var sums []uint64
	return []func(){
		func() {
			w.owed = w.replied
			w.c.Settled()
			sums = w.c.Sums(nil, 0, 0, 1<<7)
		},
		func() {
			if w.kept && slices.Equal(sums, w.keptSums) {
				w.got = w.keptSeen
			} else {
				w.got = w.applied
			}
		},
	}
}

// everyOrder calls visit with every order of n[0] zeros, n[1] ones and so on.
func everyOrder(n []int, visit func([]int)) {
	var order []int
	var extend func()
	extend = func() {
		done := true
		for k := range n {
			if n[k] == 0 {
				continue
			}
			done = false
			n[k]--
			order = append(order, k)
			extend()
			order = order[:len(order)-1]
			n[k]++
		}
		if done {
			visit(order)
		}
	}
	extend()
}

// What is counted where.
func TestChangesAreCountedWhereTheyAre(t *testing.T) {
	ctx := context.Background()
	now := time.Date(2026, 3, 10, 12, 30, 0, 0, time.UTC)
	clock := vfs.NewManualClock(now)
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, RetentionMs: 10 * model.DayMs})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	c := db.Changes()
	const a, b = "metric_a", "metric_b"
	if model.MetricNumber(a) == model.MetricNumber(b) {
		t.Fatal("the names have the same number")
	}
	write := func(metric string, at time.Time) {
		t.Helper()
		batch := db.NewBatch("test", model.DefaultTenant)
		ref, err := batch.Resolve(model.Hash{Lo: uint64(metric[7])}, labels.FromStrings("__name__", metric))
		if err != nil {
			t.Fatal(err)
		}
		batch.Float(ref, at.UnixMilli(), 0, 1)
		if r, err := batch.Commit(ctx); err != nil || r.RejectedCount() > 0 {
			t.Fatal(r, err)
		}
	}
	remove := func(metric string, from, to time.Time) {
		t.Helper()
		if err := db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: from.UnixMilli(), Max: to.UnixMilli()}, labels.MustNewMatcher(labels.MatchEqual, "__name__", metric)); err != nil {
			t.Fatal(err)
		}
	}
	hours := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	first, last := ChangeHour(hours(-24*30).UnixMilli()), ChangeHour(hours(24*30).UnixMilli())
	sums := func(metric string) []uint64 { return c.Sums(nil, first, last, 1<<model.MetricNumber(metric)) }
	beforeA, beforeB := sums(a), sums(b)
	// changed calls do and expects the sums of the hours, counted from now, to
	// differ from before, and no others.
	changed := func(what string, do func(), ofA, ofB []int) {
		t.Helper()
		do()
		afterA, afterB := sums(a), sums(b)
		diff := func(before, after []uint64) []int {
			var at []int
			for i := range before {
				if before[i] != after[i] {
					at = append(at, i-24*30)
				}
			}
			return at
		}
		if da, db := diff(beforeA, afterA), diff(beforeB, afterB); !slices.Equal(da, ofA) || !slices.Equal(db, ofB) {
			clip := func(hours []int) []int { return hours[:min(len(hours), 5)] }
			t.Errorf("%s: hours %v… of a and %v… of b have changed, want %v… and %v…", what, clip(da), clip(db), clip(ofA), clip(ofB))
		}
		beforeA, beforeB = afterA, afterB
	}
	changed("a late sample before anybody asked", func() { write(a, hours(-3)) }, nil, nil)
	if got, want := c.Settled(), now.UnixMilli()-settleMs; got != want {
		t.Fatalf("settled up to %d, want %d", got, want)
	}
	changed("a sample in time", func() { write(a, now) }, nil, nil)
	changed("one still in time", func() { write(a, now.Add(-5*time.Minute+time.Millisecond)) }, nil, nil)
	changed("one too late", func() { write(a, now.Add(-5*time.Minute)) }, []int{0}, nil)
	changed("a late sample", func() { write(b, hours(-3)) }, nil, []int{-3})
	changed("the same once more", func() { write(b, hours(-3)) }, nil, []int{-3})
	clock.Advance(-time.Hour)
	changed("a late sample while the clock is set back", func() { write(b, hours(-1)) }, nil, []int{-1})
	clock.Advance(time.Hour)
	changed("a deletion", func() { remove(a, hours(-5), hours(-3)) }, []int{-5, -4, -3}, nil)
	changed("a deletion up to the full hour", func() { remove(a, hours(-5), hours(-3).Add(-30*time.Minute)) }, []int{-5, -4}, nil)
	changed("a cut", func() {
		if _, err := db.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}, nil, nil)
	changed("the last merge", func() {
		if _, err := db.Compact(ctx); err != nil {
			t.Fatal(err)
		}
	}, rangeOf(-24*30, 24*30+1), rangeOf(-24*30, 24*30+1)) // what the first retention hides has no beginning
	clock.Advance(24 * time.Hour)
	changed("retention a day later", func() {
		if err := db.Retain(ctx); err != nil {
			t.Fatal(err)
		}
	}, rangeOf(-24*10-12, -24*9-12+1), rangeOf(-24*10-12, -24*9-12+1))
	changed("retention once more", func() {
		if err := db.Retain(ctx); err != nil {
			t.Fatal(err)
		}
	}, nil, nil)
	changed("a deletion of all times", func() {
		if err := db.Delete(ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "x", "y")); err != nil {
			t.Fatal(err)
		}
	}, rangeOf(-24*30, 24*30+1), rangeOf(-24*30, 24*30+1))
}

func rangeOf(from, to int) []int {
	var list []int
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}

// Hours far apart share counters, and times before 1970 have some.
func TestChangeHours(t *testing.T) {
	c := newChanges(vfs.NewManualClock(time.Unix(0, 0)))
	f := func(t0 int64, hour int64) {
		t.Helper()
		if got := ChangeHour(t0); got != hour {
			t.Errorf("%d is in hour %d, want %d", t0, got, hour)
		}
	}
	f(0, 0)
	f(-1, -1)
	f(-model.HourMs, -1)
	f(-model.HourMs-1, -2)
	f(model.HourMs-1, 0)
	f(model.HourMs, 1)
	for _, at := range []int64{-1, 5 * model.DayMs, -700 * model.DayMs} {
		h := ChangeHour(at)
		before := fmt.Sprint(c.Sums(nil, h-1, h+1, 1<<3))
		c.addSamples([]int64{at, at}, []uint8{3, 3}, at+1)
		c.addSamples([]int64{at + 1}, []uint8{3}, at+1)
		if got := fmt.Sprint(c.Sums(nil, h-1, h+1, 1<<3)); before != "[0 0 0]" || got != "[0 1 0]" {
			t.Errorf("hour %d: sums %s, then %s", h, before, got)
		}
	}
}

// What counting costs a sample that comes late, and one that does not.
func BenchmarkCommitLate(b *testing.B) {
	for _, late := range []bool{false, true} {
		b.Run(fmt.Sprintf("late=%v/samples=8192", late), func(b *testing.B) {
			ctx := context.Background()
			clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
			db, err := Open(ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, CutHeadBytes: 1 << 40, CutWALBytes: 1 << 40})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close(ctx)
			if late {
				db.Changes().Settled()
			}
			const series, samples = 2000, 8192
			batch := db.NewBatch("test", model.DefaultTenant)
			refs := make([]model.Ref, series)
			for i := range refs {
				if refs[i], err = batch.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", fmt.Sprint("m", i%50), "i", fmt.Sprint(i))); err != nil {
					b.Fatal(err)
				}
			}
			p := &batch.commit.chunk
			for i := range samples {
				batch.Float(refs[i%series], clock.Now().Add(-20*24*time.Hour).UnixMilli()+int64(i/series)*15_000, 0, 1)
			}
			p.oldest = batch.oldest
			p.reset()
			p.addFloats(&batch.floats, 0, samples)
			for i := range p.shards {
				p.shards[i].applied = true
			}
			b.SetBytes(samples)
			for b.Loop() {
				db.writer.countLate(p)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/samples, "ns/sample")
		})
	}
}
