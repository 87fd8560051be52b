package rollup

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// planState builds a state from words. Days are numbered from day0, times are hours
// since day0.
//
//	l2 DAY GEN AGE       an L2 of that highest generation, AGE hours old
//	l1 DAY GEN           an L1
//	l0 FROM TO GEN       an L0 with samples of days FROM to TO
//	b NAME TIER DAY N AGE  a rollup block of N days, AGE hours old
//	c TIER DAY BLOCK GEN TOMBSTONE [lost]  an entry; - is no block
//	t ID FROM TO         a tombstone for days FROM to TO
//	floor DAY, tierfloor TIER DAY
func planState(t testing.TB, nowMs int64, text string) *manifest.State {
	t.Helper()
	st := manifest.NewState(1, nowMs)
	st.WALLow = 1000
	at := func(d int64) int64 { return day0 + d*model.DayMs }
	raw := func(level block.Level, from, to int64, gen uint64, ageHours int64) {
		m := block.Meta{Key: block.Raw.KeyAt(at(from), level), MinGen: gen, MaxGen: gen}
		if level == block.L0 {
			m.Key = block.SpanningKey(level)
		}
		b := block.Info{Name: block.FileName(m), Meta: m, Size: 100, MinTime: at(from) + 5, MaxTime: at(to) + 10}
		st.Blocks[b.Name] = manifest.Listed{Info: b, OldestMs: nowMs - ageHours*model.HourMs, NewestMs: nowMs - ageHours*model.HourMs}
	}
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		if len(w) == 0 {
			continue
		}
		n := func(i int) int64 {
			var v int64
			if _, err := fmt.Sscan(w[i], &v); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return v
		}
		tier := func(i int) block.Tier { tier, _ := block.ParseTier(w[i]); return tier }
		switch w[0] {
		case "l2":
			raw(block.L2, n(1), n(1), uint64(n(2)), n(3))
		case "l1":
			raw(block.L1, n(1), n(1), uint64(n(2)), 0)
		case "l0":
			raw(block.L0, n(1), n(2), uint64(n(3)), 0)
		case "b":
			m := block.Meta{Key: tier(2).KeyAt(at(n(3)), block.L2), Days: uint32(n(4))}
			age := nowMs - n(5)*model.HourMs
			st.Blocks[w[1]] = manifest.Listed{Info: block.Info{Name: w[1], Meta: m, Size: 10}, OldestMs: age, NewestMs: age}
		case "c":
			c := manifest.Coverage{CoverKey: manifest.CoverKey{Tier: tier(1), Day: at(n(2))}, Gen: uint64(n(4)), Tombstone: uint64(n(5))}
			if c.Block = w[3]; c.Block == "-" {
				c.Block = ""
			}
			if len(w) > 6 {
				c.Lost = []model.TimeRange{c.Range()}
			}
			st.Coverage[c.CoverKey] = c
		case "t":
			st.Tombstones = append(st.Tombstones, manifest.Tombstone{ID: uint64(n(1)), Gen: 1, Range: model.TimeRange{Min: at(n(2)), Max: at(n(3) + 1)},
				Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "b")}})
		case "floor":
			st.Floor = at(n(1))
		case "rules": // a rule of some series
			st.RuleLists = []manifest.RuleList{{ID: 1, Rules: []manifest.Rule{{Floors: map[block.Tier]int64{block.Raw: at(n(1))}}}}}
		case "tierfloor":
			st.TierFloors[tier(1)] = at(n(2))
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	return st
}

func stepString(s Step, ok bool) string {
	if !ok {
		return "none"
	}
	words := []string{s.Action.String()}
	for _, t := range s.Tiers {
		words = append(words, t.String())
	}
	number := func(start int64) string { return fmt.Sprint((start - day0) / model.DayMs) }
	for _, d := range s.Days {
		words = append(words, number(d))
	}
	for _, c := range s.Cover {
		words = append(words, fmt.Sprintf("%v:%s:t%d", c.Tier, number(c.Day), c.Tombstone))
	}
	for _, k := range s.Uncover {
		words = append(words, fmt.Sprintf("-%v:%s", k.Tier, number(k.Day)))
	}
	return strings.Join(words, " ")
}

func TestPlan(t *testing.T) {
	if day0%(largeGroup*model.DayMs) != 1 {
		t.Fatal("day 0 does not begin a group")
	}
	now := day0 + 200*model.DayMs
	for _, c := range []struct {
		name, state string
		o           PlanOptions
		want        string
	}{
		{"nothing", "", PlanOptions{}, "none"},
		{"a day without an entry", "l2 3 5 30", PlanOptions{}, "roll 1m 1h 3"},
		{"the newest day first", "l2 3 5 30\nl2 4 6 30", PlanOptions{}, "roll 1m 1h 4"},
		{"only the tier that lacks it", "l2 3 5 30\nc 1m 3 - 5 0", PlanOptions{}, "roll 1h 3"},
		{"clean by generation", "l2 3 5 30\nc 1m 3 - 5 0\nc 1h 3 - 7 0", PlanOptions{}, "none"},
		{"dirty", "l2 3 9 30\nc 1m 3 - 5 0\nc 1h 3 - 9 0", PlanOptions{}, "roll 1m 3"},
		{"the running day", "l2 200 5 30", PlanOptions{}, "none"},
		{"the running day, forced", "l2 200 5 30", PlanOptions{Force: true}, "roll 1m 1h 200"},
		{"an L1 is to come", "l2 3 5 23\nl1 3 6", PlanOptions{}, "none"},
		{"an L1 does not come", "l2 3 5 24\nl1 3 6", PlanOptions{}, "roll 1m 1h 3"},
		{"an L1 is to come, forced", "l2 3 5 23\nl1 3 6", PlanOptions{Force: true}, "roll 1m 1h 3"},
		{"an L0 may have samples", "l2 3 5 1\nl0 2 4 6", PlanOptions{}, "none"},
		{"an L0 of other days", "l2 3 5 1\nl0 4 5 6", PlanOptions{}, "roll 1m 1h 3"},
		{"below the floor of the tier", "l2 3 5 30\ntierfloor 1m 4", PlanOptions{}, "roll 1h 3"},
		{"below the floor of samples", "l2 3 5 30\nfloor 4", PlanOptions{}, "none"},
		{"no space", "l2 3 5 30", PlanOptions{FreeBytes: 99}, "none"},
		{"just enough space", "l2 3 5 30", PlanOptions{FreeBytes: 100}, "roll 1m 1h 3"},
		{"days that retention waits for", "l2 3 5 30\nl2 4 6 30\nl2 5 7 30", PlanOptions{FreeBytes: 1, Expired: day0 + 5*model.DayMs, ExpiredBytes: 100}, "roll 1m 1h 3"},
		{"no day that retention waits for", "l2 5 5 30\nl2 6 6 30", PlanOptions{Expired: day0 + 5*model.DayMs, ExpiredBytes: 100}, "roll 1m 1h 6"},
		{"no space even for days that retention waits for", "l2 3 5 30", PlanOptions{FreeBytes: 1, Expired: day0 + 5*model.DayMs, ExpiredBytes: 99}, "none"},
		{"the rollup is not readable", "l2 3 5 30\nb x 1m 3 1 0\nc 1m 3 x 5 0\nc 1h 3 - 5 0", PlanOptions{Quarantined: func(string) bool { return true }}, "roll 1m 3"},
		{"the rollup is not readable, samples have left", "b x 1m 3 1 0\nc 1m 3 x 5 0", PlanOptions{Quarantined: func(string) bool { return true }}, "none"},
		{"samples are lost", "l2 3 5 30\nc 1m 3 - 5 0 lost\nc 1h 3 - 5 0", PlanOptions{}, "none"},
		{"lost samples are tried again", "l2 3 5 30\nc 1m 3 - 5 0 lost\nc 1h 3 - 5 0", PlanOptions{Retry: func(*manifest.Coverage) bool { return true }}, "roll 1m 3"},

		{"a deletion", "l2 3 5 30\nb x 1m 3 1 0\nc 1m 3 x 5 1\nc 1h 3 - 5 1\nt 2 3 3", PlanOptions{}, "roll 1m 3"},
		{"a deletion that is applied", "l2 3 5 30\nb x 1m 3 1 0\nc 1m 3 x 5 2\nc 1h 3 - 5 2\nt 2 3 3", PlanOptions{}, "none"},
		{"a deletion of other days", "l2 3 5 30\nb x 1m 3 1 0\nc 1m 3 x 5 1\nc 1h 3 - 5 1\nt 2 4 4", PlanOptions{}, "none"},
		{"a deletion of other series", "l2 3 5 30\nb x 1m 3 1 0\nc 1m 3 x 5 1\nc 1h 3 - 5 1\nt 2 3 3",
			PlanOptions{Concerns: func(*manifest.Tombstone, string) bool { return false }}, "none"},
		{"a deletion of series of other days", "l2 3 5 30\nb x 1m 3 1 0\nc 1m 3 x 5 1\nc 1h 3 - 5 1\nt 2 3 3\nt 4 9 9",
			PlanOptions{InDay: func(*manifest.Tombstone, string, model.TimeRange) bool { return false }}, "confirm 1m:3:t4"},
		{"a deletion in days without samples", "b x 1m 3 1 0\nc 1m 3 x 5 1\nt 2 3 3", PlanOptions{}, "erase 1m 3"},
		{"a deletion in days whose samples stand in only", "b x 1m 3 1 0\nc 1m 3 x 5 1\nt 2 3 3\nl2 3 9 30\nfloor 4", PlanOptions{}, "erase 1m 3"},
		{"a deletion in a folded block without samples", "b x 1m 0 8 0\nc 1m 3 x 5 1\nc 1m 6 x 5 1\nt 2 3 3", PlanOptions{}, "erase 1m 3 6"},

		{"a tier that is off", "l2 3 5 30\nc 5m 3 - 5 0\nc 1m 3 - 5 0\nc 1h 3 - 5 0", PlanOptions{}, "none"},
		{"a tier that is off has changed", "l2 3 6 30\nc 5m 3 - 5 0\nc 1m 3 - 5 0\nc 1h 3 - 5 0", PlanOptions{}, "confirm -5m:3"},
		{"a tier that is off has changed, samples of some series have left", "l2 3 6 30\nc 5m 3 - 5 0\nc 1m 3 - 6 0\nc 1h 3 - 5 0\nrules 4", PlanOptions{}, "roll 5m 1h 3"},
		{"a tier that is off, samples of some series have left", "l2 3 6 30\nc 5m 3 - 6 0\nc 1m 3 - 6 0\nc 1h 3 - 6 0\nrules 4", PlanOptions{}, "none"},
		{"a tier that is off has no entry, samples of some series have left", "l2 3 6 30\nc 1m 3 - 6 0\nc 1h 3 - 5 0\nrules 4", PlanOptions{}, "roll 1h 3"},
		{"a tier that is off, samples have left", "c 5m 3 - 5 0", PlanOptions{}, "none"},

		{"a small group", "b x 1m 8 1 24\nb y 1m 9 1 24\nc 1m 8 x 5 0\nc 1m 9 y 5 0", PlanOptions{}, "fold 1m 8 9"},
		{"blocks of two groups", "b x 1m 63 1 24\nb y 1m 64 1 24\nc 1m 63 x 5 0\nc 1m 64 y 5 0", PlanOptions{}, "none"},
		{"a group that is not idle", "b x 1m 8 1 23\nb y 1m 9 1 24\nc 1m 8 x 5 0\nc 1m 9 y 5 0", PlanOptions{}, "none"},
		{"a group that is not idle, forced", "b x 1m 8 1 23\nb y 1m 9 1 24\nc 1m 8 x 5 0\nc 1m 9 y 5 0", PlanOptions{Force: true}, "fold 1m 8 9"},
		{"a group that is not over", "b x 1m 197 1 24\nb y 1m 198 1 24\nc 1m 197 x 5 0\nc 1m 198 y 5 0", PlanOptions{NowMs: day0 + 200*model.DayMs - 2}, "none"},
		{"a small group of a large one that is not over", "b x 1m 192 1 24\nb y 1m 193 1 24\nc 1m 192 x 5 0\nc 1m 193 y 5 0", PlanOptions{}, "fold 1m 192 193"},
		{"a day of the group waits", "b x 1m 8 1 24\nb y 1m 9 1 24\nc 1m 8 x 5 0\nc 1m 9 y 5 0\nl2 10 5 1\nl1 10 6\nc 1h 10 - 5 0", PlanOptions{}, "none"},
		{"a large group before small ones", "b x 1m 0 8 24\nb y 1m 8 1 24\nb z 1m 9 1 24\nc 1m 1 x 5 0\nc 1m 8 y 5 0\nc 1m 9 z 5 0", PlanOptions{}, "fold 1m 1 8 9"},
		{"few days of a large block are replaced", "b x 1m 0 64 24\nb y 1m 8 1 24\n" + covers("x", 16, 63) + "c 1m 8 y 5 0", PlanOptions{}, "none"},
		{"few days of a large block are replaced, in one group", "b x 1m 0 64 24\nb y 1m 8 1 24\nb z 1m 9 1 24\n" + covers("x", 16, 63) + "c 1m 8 y 5 0\nc 1m 9 z 5 0", PlanOptions{}, "fold 1m 8 9"},
		{"an eighth of a large block is replaced", "b x 1m 0 64 24\nb y 1m 8 8 24\n" + covers("x", 16, 20) + "c 1m 8 y 5 0", PlanOptions{}, "fold 1m 8 16 17 18 19 20"},
		{"a quarantined block is not folded", "b x 1m 8 1 24\nb y 1m 9 1 24\nc 1m 8 x 5 0\nc 1m 9 y 5 0", PlanOptions{Quarantined: func(n string) bool { return n == "x" }}, "none"},
		{"a fold has no space", "b x 1m 8 1 24\nb y 1m 9 1 24\nc 1m 8 x 5 0\nc 1m 9 y 5 0", PlanOptions{FreeBytes: 23}, "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.o.NowMs == 0 {
				c.o.NowMs = now
			}
			if c.o.FreeBytes == 0 {
				c.o.FreeBytes = math.MaxUint64
			}
			c.o.Tiers = []block.Tier{block.Minute, block.Hour}
			if got := stepString(Plan(planState(t, c.o.NowMs, c.state), c.o)); got != c.want {
				t.Errorf("%s: got %s, want %s", c.name, got, c.want)
			}
		})
	}
}

// covers are the entries of days from to to, both inclusive, that name a block.
func covers(name string, from, to int) string {
	var b strings.Builder
	for d := from; d <= to; d++ {
		fmt.Fprintf(&b, "c 1m %d %s 5 0\n", d, name)
	}
	return b.String()
}

// Complete groups are folded at once while a tier has very many blocks.
func TestPlanFoldsWhatIsCrowded(t *testing.T) {
	var b strings.Builder
	for d := range maxSingleDayBlocks + 1 {
		fmt.Fprintf(&b, "b x%d 1m %d 1 0\nc 1m %d x%d 5 0\nc 1h %d - 5 0\n", d, d, d, d, d)
	}
	o := PlanOptions{NowMs: day0 + 200*model.DayMs, FreeBytes: math.MaxUint64, Tiers: []block.Tier{block.Minute, block.Hour}}
	want := "fold 1m"
	for d := largeGroup; d <= maxSingleDayBlocks; d++ {
		want += fmt.Sprint(" ", d)
	}
	if got := stepString(Plan(planState(t, o.NowMs, b.String()+"l2 150 5 30"), o)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	fewer := strings.TrimPrefix(b.String(), "b x0 1m 0 1 0\nc 1m 0 x0 5 0\n")
	if got := stepString(Plan(planState(t, o.NowMs, fewer+"l2 150 5 30"), o)); got != "roll 1m 1h 150" {
		t.Errorf("got %s", got)
	}
}

func TestGroups(t *testing.T) {
	f := func(day, size, want int64) {
		t.Helper()
		if got := groupOf(day*model.DayMs+1, size); got != want {
			t.Errorf("day %d is in group %d of %d, want %d", day, got, size, want)
		}
	}
	f(0, 8, 0)
	f(7, 8, 0)
	f(8, 8, 1)
	f(-1, 8, -1)
	f(-8, 8, -1)
	f(-9, 8, -2)
	f(64, 64, 1)
}
