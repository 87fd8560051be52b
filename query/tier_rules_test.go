package query_test

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/query/tiers"
	"tsdb/storage"
)

// By a retention rule the samples of some series expire, and buckets of hours are left of
// them. The same questions before and after have the same answers, unless they say that
// samples have expired or are refused: those about both kinds of series too.
func TestAnswersBySamplesThatARuleLetExpireAreTheSameOrSaySo(t *testing.T) {
	worlds := questions(t, 4000, 1000) / 1000
	var same, told, refused, old int
	for seed := range worlds {
		w := newTierWorld(t, uint64(seed))
		if seed%2 == 0 {
			w.tiers = map[block.Tier]int64{block.Hour: 0}
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
			var expired *tiers.ExpiredError
			switch {
			case errors.As(got.Err, &expired):
				refused++
			case saysExpired(got):
				told++
			case a.rounded != nil && got.Err == nil && a.want.Err == nil && differs(a.q, got, a.want, 1e-9) == "":
				same++
			default:
				if why := differs(a.q, got, a.want, 0); why != "" {
					t.Errorf("seed %d: %v: %s\ngot  %s\nwant %s", seed, a.q, why, clip(got), clip(a.want))
				}
				same++
			}
		}
		w.close()
	}
	t.Logf("%d answers were the same, %d said that samples have expired, %d were refused; %d began before the floor", same, told, refused, old)
	if told < 20*worlds || same < 100*worlds {
		t.Error("too few of a kind")
	}
}
