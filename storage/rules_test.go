package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// only returns a rule for series i with a retention of samples, and of hours if it is not
// 0.
func only(i int, raw, hour int64) RetentionRule {
	r := RetentionRule{Selectors: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "i", fmt.Sprint(i))}}, Keep: map[block.Tier]int64{block.Raw: raw}}
	if hour != 0 {
		r.Keep[block.Hour] = hour
	}
	return r
}

// counts returns the series with the number of their samples, and the values of a label.
func (w *tieredWorld) counts() string {
	w.t.Helper()
	v := w.view()
	defer v.Release()
	tr := model.TimeRange{Min: dayAt(30), Max: dayAt(-30)}
	set, err := v.Select(w.ctx, model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(w.t, err)
	var all []string
	for i := range set.Len() {
		var s model.Samples
		must(w.t, set.At(i).Samples(w.ctx, tr, &s))
		all = append(all, fmt.Sprint(set.At(i).Labels.Get("i"), ":", s.Len()))
	}
	if !slices.IsSorted(all) {
		w.t.Errorf("not sorted: %v", all)
	}
	names, _, err := v.LabelValues(w.ctx, model.DefaultTenant, "i", tr, 0)
	must(w.t, err)
	return fmt.Sprint(all, " ", names)
}

// A rule hides at once what it does not keep, in the head and in blocks, from every
// reader; what was hidden stays so when the rule leaves and after a restart.
func TestRuleHidesSamplesOfItsSeriesForGood(t *testing.T) {
	for _, where := range []string{"head", "L0", "L2"} {
		w := newTieredWorld(t)
		w.opts.RetentionMs = 30 * model.DayMs
		w.restart()
		for i := range 2 {
			w.write(i, every(dayAt(5)+7, 1000, 10), every(dayAt(0)+7, 1000, 10))
		}
		w.write(2, every(dayAt(5)+7, 1000, 10))
		b := w.db.NewBatch("test", model.DefaultTenant)
		ref, err := b.Resolve(model.Hash{Lo: 1}, tieredLabels(1))
		must(t, err)
		b.Exemplar(ref, model.Exemplar{T: dayAt(5) + 7, V: 1, Labels: labels.FromStrings("trace", "x")})
		_, err = b.Commit(w.ctx)
		must(t, err)
		switch where {
		case "L0":
			w.flush()
		case "L2":
			w.compact()
		}
		exemplars := func() int {
			v := w.view()
			defer v.Release()
			list, _, err := v.Exemplars(w.ctx, model.DefaultTenant, model.AllTime, [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")}})
			must(t, err)
			return len(list)
		}
		if got := w.counts(); got != "[0:20 1:20 2:10] [0 1 2]" || exemplars() != 1 {
			t.Fatalf("%s: %s", where, got)
		}
		before := w.db.Changes().Sums(nil, ChangeHour(dayAt(5)), ChangeHour(dayAt(4)), model.AllMetrics)
		r := Retention{RawMs: 30 * model.DayMs, Rules: []RetentionRule{only(1, 3*model.DayMs, 0), only(2, 3*model.DayMs, 0)}}
		must(t, w.db.SetRetention(w.ctx, r))
		after := w.db.Changes().Sums(nil, ChangeHour(dayAt(5)), ChangeHour(dayAt(4)), model.AllMetrics)
		if slices.Equal(before, after) {
			t.Errorf("%s: cached results stay", where)
		}
		hidden := "[0:20 1:10] [0 1]"
		if got := w.counts(); got != hidden || exemplars() != 0 {
			t.Errorf("%s: with rules %s, want %s", where, got, hidden)
		}
		r.Rules = nil
		must(t, w.db.SetRetention(w.ctx, r))
		if got := w.counts(); got != hidden {
			t.Errorf("%s: what was hidden is back: %s", where, got)
		}
		w.restart()
		if got := w.counts(); got != hidden {
			t.Errorf("%s: after a restart %s", where, got)
		}
		c, _, err := w.db.Cardinality(w.ctx, CardinalityRequest{Limit: 10})
		must(t, err)
		if c.Series != 2 {
			t.Errorf("%s: cardinality %d", where, c.Series)
		}
		w.compact()
		if got := w.counts(); got != hidden {
			t.Errorf("%s: after a compaction %s", where, got)
		}
		must(t, w.db.Retain(w.ctx))
		if st := w.db.manifest.State(); len(st.RuleLists) != 0 {
			t.Errorf("%s: rules stay when nothing that they hide is left: %+v", where, st.RuleLists)
		}
		n := uint64(0)
		for _, b := range w.db.manifest.State().RawBlocks() {
			n += b.Samples
		}
		if n != 30 {
			t.Errorf("%s: %d samples are left in blocks", where, n)
		}
	}
}

// Ingest refuses by the rule of the series, and names it.
func TestSamplesAreRefusedByTheRuleOfTheirSeries(t *testing.T) {
	w := newTieredWorld(t)
	w.opts.RetentionMs = 10 * model.DayMs
	w.opts.RetentionRules = []RetentionRule{only(1, 2*model.DayMs, 0), only(2, 0, 0)}
	w.restart()
	now := w.clock.Now().UnixMilli()
	b := w.db.NewBatch("test", model.DefaultTenant)
	write := func(ago ...int64) (refused []string) {
		b.Reset()
		for i := range 3 {
			ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, tieredLabels(i))
			must(t, err)
			n := b.Rejected()
			for _, d := range ago {
				b.Float(ref, now-d*model.DayMs, 0, 1)
			}
			refused = append(refused, fmt.Sprint(b.Rejected()-n))
		}
		r, err := b.Commit(w.ctx)
		must(t, err)
		for _, x := range r.Rejected {
			refused = append(refused, x.Detail)
		}
		return refused
	}
	got := write(0, 1, 3, 5, 20)
	if strings.Join(got[:3], " ") != "1 3 0" || !strings.Contains(got[3], "--retention.raw") {
		t.Error(got)
	}
	if got = write(3); strings.Join(got[:3], " ") != "0 1 0" || !strings.Contains(got[3], `too old sample: `) || !strings.Contains(got[3], `where raw retention of the rule {i="1"} begins`) {
		t.Error(got)
	}
	// A batch that has been used knows the new rules.
	must(t, w.db.SetRetention(w.ctx, Retention{RawMs: 10 * model.DayMs, Rules: []RetentionRule{only(0, 4*model.DayMs, 0)}}))
	if got = write(5); strings.Join(got[:3], " ") != "1 0 0" || !strings.Contains(got[3], `{i="0"}`) {
		t.Error(got)
	}
}

// A sample as old as the retention of its rule is taken, by writers and by imports, and one a
// millisecond older is not; nor is one below the floor that a shorter rule has left.
func TestOldestSampleOfARule(t *testing.T) {
	w := newTieredWorld(t)
	w.opts.RetentionMs = 10 * model.DayMs
	w.opts.RetentionRules = []RetentionRule{only(1, 60*model.DayMs, 0)}
	w.restart()
	now := w.clock.Now().UnixMilli()
	taken := func(at int64) (written, imported bool) {
		t.Helper()
		b := w.db.NewBatch("test", model.DefaultTenant)
		ref, err := b.Resolve(model.Hash{Lo: 1}, tieredLabels(1))
		must(t, err)
		b.Float(ref, at, 0, 1)
		r, err := b.Commit(w.ctx)
		must(t, err)
		im := w.db.NewImport(ImportOptions{})
		defer im.Close()
		var s model.Samples
		s.Append(at, 0, 1, model.Histogram{})
		must(t, im.Add(w.ctx, tieredLabels(1), &s))
		receipt, err := im.Publish(w.ctx)
		must(t, err)
		return len(r.Rejected) == 0, receipt.Samples() == 1
	}
	check := func(at int64, want bool) {
		t.Helper()
		if written, imported := taken(at); written != want || imported != want {
			t.Errorf("%s: taken %v by a writer, %v by an import, want %v", model.FormatTime(at), written, imported, want)
		}
	}
	check(now-60*model.DayMs, true)
	check(now-60*model.DayMs-1, false)
	must(t, w.db.SetRetention(w.ctx, Retention{RawMs: 90 * model.DayMs, Rules: []RetentionRule{only(1, 20*model.DayMs, 0)}}))
	must(t, w.db.SetRetention(w.ctx, Retention{RawMs: 90 * model.DayMs, Rules: []RetentionRule{only(1, 60*model.DayMs, 0)}}))
	floor := block.Raw.PartitionStart(now - 20*model.DayMs)
	check(floor, true)
	check(floor-1, false)
}

func TestRetentionThatCannotBeSetIsRefused(t *testing.T) {
	w := newTieredWorld(t)
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0}
	w.restart()
	hours := map[block.Tier]int64{block.Hour: 0}
	set := func(r Retention) string {
		if err := w.db.SetRetention(w.ctx, r); err != nil {
			return err.Error()
		}
		return ""
	}
	if got := set(Retention{TierMs: map[block.Tier]int64{block.Minute: 0}}); !strings.Contains(got, "cannot change") {
		t.Error(got)
	}
	if got := set(Retention{TierMs: hours, Rules: []RetentionRule{{}}}); !strings.Contains(got, "0 selectors") {
		t.Error(got)
	}
	if got := set(Retention{TierMs: hours, Rules: slices.Repeat([]RetentionRule{only(1, 1, 0)}, manifest.MaxRules+1)}); !strings.Contains(got, "limit of 256") {
		t.Error(got)
	}
	w.write(1, one(dayAt(5)+1, 1))
	for i := range manifest.MaxRuleLists {
		r := RetentionRule{Selectors: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchNotEqual, "x", fmt.Sprint(i))}}, Keep: map[block.Tier]int64{block.Raw: model.DayMs * int64(2+i%2)}}
		if got := set(Retention{TierMs: hours, Rules: []RetentionRule{r}}); got != "" {
			t.Fatal(i, got)
		}
		if i == 0 {
			w.compact()
			w.write(1, one(dayAt(0)+1, 1))
		}
	}
	if n := len(w.db.manifest.State().RuleLists); n > manifest.MaxRuleLists {
		t.Errorf("%d lists", n)
	}
}

// Rollups that are kept for ever hold buckets of samples that rules have let go, so the
// rules that say so stay. Those of a configuration leave once a later one hides as much;
// where that cannot be seen the 65th change of selectors is refused, and the error says
// what to do.
func TestListsOfEarlierRulesLeaveOnceALaterOneHidesAsMuch(t *testing.T) {
	w := newTieredWorld(t)
	hours := map[block.Tier]int64{block.Hour: 0}
	w.opts.TierRetentionMs = hours
	w.restart()
	for i := range 2 {
		w.write(i, every(dayAt(9)+7, 60_000, 300))
	}
	w.compact()
	set := func(rules ...RetentionRule) error {
		t.Helper()
		return w.db.SetRetention(w.ctx, Retention{TierMs: hours, Rules: rules})
	}
	matching := func(typ labels.MatchType, value string) RetentionRule {
		return RetentionRule{Selectors: [][]*labels.Matcher{{labels.MustNewMatcher(typ, "i", value)}}, Keep: map[block.Tier]int64{block.Raw: 3 * model.DayMs}}
	}
	rules := []RetentionRule{only(1, 3*model.DayMs, 0)}
	for n := range manifest.MaxRuleLists + 5 {
		must(t, set(rules...))
		if lists := w.db.manifest.State().RuleLists; len(lists) != 1 {
			t.Fatalf("%d lists after %d changes: %v", len(lists), n, lists)
		}
		if got := w.counts(); got != "[0:300] [0 1]" {
			t.Fatalf("after %d changes %s", n, got)
		}
		rules = append([]RetentionRule{matching(labels.MatchEqual, fmt.Sprint(1000+n))}, rules...)
	}
	// A longer retention hides less: what was hidden needs the older list.
	must(t, set(only(1, 30*model.DayMs, 0)))
	if got := w.counts(); got != "[0:300] [0 1]" || len(w.db.manifest.State().RuleLists) != 2 {
		t.Fatalf("with a longer retention %s", got)
	}
	var err error
	n := 0
	for ; err == nil && n <= manifest.MaxRuleLists; n++ {
		err = set(matching(labels.MatchNotEqual, fmt.Sprint("x", n)))
	}
	if n < manifest.MaxRuleLists || !errors.Is(err, ErrTooManyRules) || !strings.Contains(err.Error(), "or bound --retention.1h") {
		t.Errorf("change %d: %v", n, err)
	}
	must(t, set(matching(labels.MatchNotEqual, "x5")))
}

// A list stays while a day has buckets that were made of samples it hides, though these
// have left all blocks: once the day is rolled up again the buckets are carried over.
func TestARuleStaysForBucketsThatAreCarriedOver(t *testing.T) {
	w := newTieredWorld(t)
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0}
	w.restart()
	for i := range 2 {
		w.write(i, every(dayAt(9)+7, 60_000, 300))
	}
	w.compact()
	set := func(rules ...RetentionRule) {
		t.Helper()
		must(t, w.db.SetRetention(w.ctx, Retention{TierMs: w.opts.TierRetentionMs, Rules: rules}))
	}
	set(only(1, 3*model.DayMs, 0))
	w.compact()
	for _, b := range w.db.manifest.State().RawBlocks() {
		if b.Samples != 300 {
			t.Fatalf("%s has %d samples, of more than one series", b.Name, b.Samples)
		}
	}
	set() // no rule hides as much as the list
	must(t, w.db.Retain(w.ctx))
	if lists := w.db.manifest.State().RuleLists; len(lists) != 1 {
		t.Errorf("%d lists, want the one whose series has buckets and no samples", len(lists))
	}
	before := w.db.manifest.State().RollupBlocks()[0].Name
	w.write(0, every(dayAt(9)+7*model.HourMs, 60_000, 100))
	w.compact()
	after := w.db.manifest.State().RollupBlocks()[0].Name
	v := w.view()
	defer v.Release()
	got := w.read(v, block.Hour, model.TimeRange{Min: dayAt(9), Max: dayAt(8)})
	for i, want := range []uint64{400, 300} {
		n := uint64(0)
		if rows := got.rows[fmt.Sprint(i)]; rows != nil {
			for _, c := range rows.Count {
				n += uint64(c)
			}
		}
		if n != want {
			t.Errorf("buckets of series %d hold %d samples, want %d", i, n, want)
		}
	}
	if before == after || len(got.warnings) > 0 {
		t.Errorf("rolled up again: %v, warnings %v", before != after, got.warnings)
	}
}

// The series of the head come after blocks that have none of them in the order of their
// labels.
func TestSeriesOfTheHeadAreSortedBesideAnEmptyBlock(t *testing.T) {
	w := newTieredWorld(t)
	w.write(9, every(dayAt(3)+7, 1000, 3))
	w.write(8, every(dayAt(1)+7, 1000, 3))
	w.flush()
	for _, i := range []int{5, 3, 8, 1, 7, 2} {
		w.write(i, every(dayAt(2)+7, 1000, 3))
	}
	v := w.view()
	defer v.Release()
	set, err := v.Select(w.ctx, model.DefaultTenant, model.TimeRange{Min: dayAt(2), Max: dayAt(1)}, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(t, err)
	for i := 1; i < set.Len(); i++ {
		if labels.Compare(set.At(i-1).Labels, set.At(i).Labels) >= 0 {
			t.Fatalf("%v before %v", set.At(i-1).Labels, set.At(i).Labels)
		}
	}
}

// Floors of rules move within a minute after midnight.
func TestFloorsMoveWithinAMinute(t *testing.T) {
	if retainEvery > time.Minute {
		t.Errorf("floors are looked at every %v", retainEvery)
	}
}
