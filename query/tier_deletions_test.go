package query_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/query"
)

// Of a bucket that a deletion cuts after its samples have expired nothing is left. Every
// query over it says so, from the deletion on; queries over other buckets and series, or
// over buckets that are deleted whole, do not.
func TestBucketsThatDeletionsCutAreMissedAloud(t *testing.T) {
	const hour = model.HourMs
	w := newExpiringWorld(t)
	defer w.close()
	w.add("x", "0", w.ints())
	w.add("x", "1", w.ints())
	b := w.db.NewBatch("test", model.DefaultTenant)
	for at := int64(tierStart) + 7000; at < tierEnd; at += 30_000 {
		w.append(b, w.series[1], at)
	}
	w.commit(b)
	w.fillEvenly(w.series[0])
	remove := func(i string, from, to int64) {
		t.Helper()
		w.must(w.db.Delete(context.Background(), model.DefaultTenant, model.TimeRange{Min: tierStart + from + 1, Max: tierStart + to + 1},
			labels.MustNewMatcher(labels.MatchEqual, "__name__", "x"), labels.MustNewMatcher(labels.MatchEqual, "i", i)))
	}
	remove("0", 5*hour, 8*hour)          // whole buckets
	remove("0", 12*hour, 13*hour+hour/2) // and half of one
	remove("0", 20*hour, 20*hour+hour/2) // two deletions of one bucket
	remove("0", 20*hour+hour/2, 21*hour)
	remove("0", (tierDays-1)*24*hour+hour/4, (tierDays-1)*24*hour+hour/2) // of samples

	const (
		now   = "raw samples up to 2022-01-10T00:00:00.000Z have expired: the 1h rollup lacks what a deletion left of the bucket from 2022-01-08T13:00:00.001Z to 2022-01-08T14:00:00.000Z"
		later = "the 1h rollup lacks samples from 2022-01-08T13:00:00.001Z to 2022-01-08T14:00:00.000Z: they were unreadable, or have expired where a deletion cuts a bucket"
	)
	f := func(text string, at int64, want float64, says string) {
		t.Helper()
		res := w.ask(question{text: text, start: tierStart + at, instant: true}, nil)
		v, ok := res.Value.(promql.Vector)
		got := 0.0
		if ok && len(v) == 1 {
			got = v[0].F
		}
		warnings, _ := res.Warnings.AsStrings(text, 0, 0)
		if res.Err != nil || !ok || got != want || strings.Join(warnings, ", ") != says {
			t.Errorf("%s at hour %v: %v, warnings %q, want %v, %q", text, float64(at)/float64(hour), res, warnings, want, says)
		}
	}
	const day = tierDays - 1
	f(`count_over_time(x{i="0"}[12h])`, 12*hour, 9*120, "")
	f(`count_over_time(x{i="0"}[4h])`, 16*hour, 2*120, now)
	f(`count_over_time(x{i="0"}[1h])`, 14*hour, 0, now)
	f(`x{i="0"} * 0 + 1`, 14*hour, 0, now)
	f(`count_over_time(x{i="0"}[1h])`, 13*hour, 0, "")
	f(`count_over_time(x{i="0"}[2h])`, 22*hour, 120, "")
	f(`count_over_time(x{i="1"}[4h])`, 16*hour, 4*120, "")
	f(`count_over_time(x{i="0"}[2h])`, day*24*hour+hour, 240-30, "")
	f(`sum(count_over_time(x[4h]))`, 16*hour, 6*120, now)
	b = w.db.NewBatch("test", model.DefaultTenant)
	w.append(b, w.series[1], tierEnd+hour) // there is no cut without samples
	w.commit(b)
	w.compact()
	f(`count_over_time(x{i="0"}[4h])`, 16*hour, 2*120, later)
	f(`count_over_time(x{i="0"}[12h])`, 12*hour, 9*120, "")

	// Samples that stand in answer instead.
	w = newExpiringWorld(t)
	defer w.close()
	w.tiers[block.Minute] = 0
	w.restart()
	w.add("x", "0", w.ints())
	w.fillEvenly(w.series[0])
	remove("0", 12*hour, 13*hour+hour/2)
	for range 2 {
		f(`count_over_time(x{i="0"}[4h])`, 16*hour, 300, "")
		w.restart()
	}
}

// Series are deleted in part after samples have expired, and in a second database whose
// samples have not. The answers are the same, or say what they lack.
func TestAnswersAfterDeletionsOfExpiredSamplesAreTheSameOrSaySo(t *testing.T) {
	worlds := questions(t, 3600, 300) / 300
	var n expiredCounts
	for seed := range worlds {
		w, whole := newTierWorld(t, uint64(seed)), newTierWorld(t, uint64(seed))
		both := []*tierWorld{w, whole}
		for _, x := range both {
			x.tiers = map[block.Tier]int64{block.Minute: int64(seed%2) * 5 * model.DayMs, block.Hour: 0}
			x.restart()
			x.compact()
		}
		w.keepMs = 3 * model.DayMs
		w.restart()
		w.clock.Advance(24 * time.Hour)
		w.compact()
		g := tierQuestions{w.r}
		for round := range 6 {
			s, tr := w.any(), model.TimeRange{Min: tierStart + w.r.Int64N(2*model.DayMs)}
			tr.Max = tr.Min + 1 + w.r.Int64N(pickOf(w.r, model.MinuteMs, model.HourMs, 10*model.HourMs))
			for _, x := range both {
				w.must(x.db.Delete(context.Background(), model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, "__name__", s.name), labels.MustNewMatcher(labels.MatchEqual, "i", s.i)))
			}
			if round%3 == 2 {
				b := w.db.NewBatch("test", model.DefaultTenant)
				b.Float(w.ref(b, &tierSeries{labels: labels.FromStrings("__name__", "other")}), tierEnd+model.DayMs, 0, 1)
				w.commit(b)
				w.compact()
			}
			for range 50 {
				q, rounded := g.question()
				if w.chance(50) { // over what was deleted
					move := (tr.Min - q.start) / model.HourMs * model.HourMs
					q.start, q.end = q.start+move, q.end+move
				}
				got, want := w.ask(q, nil), whole.ask(q, query.WithResolution(nil, resolutionOf(t, "raw")))
				n.judge(t, w, q, rounded, got, want)
			}
		}
		w.close()
		whole.close()
	}
	t.Logf("%d answers were the same, %d said what they lack, %d were refused", n.same, n.told, n.refused)
	if n.told < 20*worlds || n.same < 50*worlds {
		t.Error("too few of a kind")
	}
}
