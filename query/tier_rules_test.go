package query_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/storage"
)

// By a retention rule the samples of some series expire, and buckets of hours are left of
// them. The same questions before and after have the same answers, unless they say that
// samples have expired or are refused: those about both kinds of series too.
func TestAnswersBySamplesThatARuleLetExpireAreTheSameOrSaySo(t *testing.T) {
	worlds := questions(t, 4000, 1000) / 1000
	var n expiredCounts
	old := 0
	for seed := range worlds {
		w := newTierWorld(t, uint64(seed))
		if seed%2 == 0 {
			w.tiers = map[block.Tier]int64{block.Hour: 0}
		}
		if seed%3 == 0 {
			w.tiers[block.Hours6] = 0
		}
		w.restart()
		w.compact()
		raw := query.WithResolution(nil, resolutionOf(t, "raw"))
		type asked struct {
			q       question
			rounded *roundedCall
			want    *promql.Result
		}
		var all []asked
		g := tierQuestions{w.r}
		for range 300 {
			q, rounded := g.question()
			all = append(all, asked{q: q, rounded: rounded, want: w.ask(q, raw)})
		}
		const keep = 4 * model.DayMs
		w.must(w.db.SetRetention(t.Context(), storage.Retention{TierMs: w.tiers, Rules: []storage.RetentionRule{
			{Selectors: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "i", "1")}}, Keep: map[block.Tier]int64{block.Raw: keep}},
		}}))
		w.clock.Advance(24 * time.Hour)
		w.compact()
		v, err := w.db.View()
		w.must(err)
		if v.RawFloor() > tierStart || !v.HasRules() {
			t.Fatalf("the floor of all samples is %s", model.FormatTime(v.RawFloor()))
		}
		floor := v.FloorFor(nil, block.Raw)
		if other := v.FloorFor([]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "i", "0")}, block.Raw); other > tierStart {
			t.Errorf("the rule is thought to concern other series: %s", model.FormatTime(other))
		}
		v.Release()
		if floor <= tierStart+model.DayMs || floor >= tierEnd-model.DayMs {
			t.Fatalf("the floor of the rule is %s", model.FormatTime(floor))
		}
		for _, a := range all {
			got := w.ask(a.q, nil)
			if a.q.start < floor {
				old++
			}
			n.judge(t, w, a.q, a.rounded, got, a.want)
		}
		w.close()
	}
	t.Logf("%d answers were the same, %d said that samples have expired, %d were refused; %d began before the floor", n.same, n.told, n.refused, old)
	if n.told < 20*worlds || n.same < 100*worlds {
		t.Error("too few of a kind")
	}
}

// ruleOf returns a rule for the series with a value of the label i.
func ruleOf(i string, keep map[block.Tier]int64) storage.RetentionRule {
	return storage.RetentionRule{Selectors: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "i", i)}}, Keep: keep}
}

// A rule that lets hours of some series expire does not take them from others: neither
// where there are no minutes that have all, nor for minutes that have less.
func TestHoursThatARuleLetExpireDoNotHideThoseOfOthers(t *testing.T) {
	count := question{text: "count_over_time(ints[1h])", start: tierDense + 2*model.HourMs, end: tierDense + 6*model.HourMs, step: model.HourMs}
	narrow := question{text: "count_over_time(ints[5m])", start: tierDense + 2*model.HourMs, end: tierDense + 6*model.HourMs, step: model.HourMs}
	for _, minutes := range []bool{false, true} {
		w := newTierWorld(t, 3)
		w.tiers = map[block.Tier]int64{block.Hour: 0}
		if minutes {
			w.tiers[block.Minute] = 0
		}
		w.restart()
		w.compact()
		want := w.ask(count, nil)
		if m, err := want.Matrix(); err != nil || len(m) != 2 {
			t.Fatal(want)
		}
		w.clock.Advance(24 * time.Hour)
		w.keepMs = 4 * model.DayMs
		w.restart()
		w.compact() // the first days are left as buckets
		w.tiers[block.Minute] = 0
		w.restart()
		w.compact()
		rules := []storage.RetentionRule{ruleOf("9", map[block.Tier]int64{block.Minute: model.DayMs, block.Hour: model.DayMs})}
		if minutes {
			rules = append(rules, ruleOf("1", map[block.Tier]int64{block.Minute: model.DayMs}))
		}
		w.must(w.db.SetRetention(t.Context(), storage.Retention{RawMs: w.keepMs, TierMs: w.tiers, Rules: rules}))
		if why := differs(count, w.ask(count, nil), want, 0); why != "" {
			t.Errorf("minutes %v: %s", minutes, why)
		}
		got := w.ask(narrow, nil)
		if m, err := got.Matrix(); err != nil || len(m) != 2 || !saysExpired(got) {
			t.Errorf("minutes %v: %s, %v", minutes, clip(got), got.Warnings)
		}
		w.close()
	}
}

// Where rules keep some series in one tier only and others in another only, an answer
// says that it lacks some.
func TestAnswersOfOneTierSayThatOthersHaveMore(t *testing.T) {
	w := newTierWorld(t, 3)
	w.tiers = map[block.Tier]int64{block.Minute: 0, block.Hour: 0}
	w.restart()
	w.compact()
	w.clock.Advance(24 * time.Hour)
	w.must(w.db.SetRetention(t.Context(), storage.Retention{TierMs: w.tiers, Rules: []storage.RetentionRule{
		ruleOf("0", map[block.Tier]int64{block.Raw: 3 * model.DayMs, block.Hour: storage.KeepNone}),
		ruleOf("1", map[block.Tier]int64{block.Raw: 3 * model.DayMs, block.Minute: storage.KeepNone}),
	}}))
	w.compact()
	q := question{text: "count_over_time(ints[1h])", start: tierDense + model.HourMs, end: tierDense + 3*model.HourMs, step: model.HourMs}
	if r := w.ask(q, nil); !strings.Contains(fmt.Sprint(r.Warnings), "left only in a rollup of another resolution") {
		t.Errorf("%s, %v", clip(r), r.Warnings)
	}
	q.text = `count_over_time(ints{i="1"}[1h])`
	if r := w.ask(q, nil); len(r.Warnings) > 0 || r.Err != nil {
		t.Errorf("%s, %v", clip(r), r.Warnings)
	}
	w.close()
}
