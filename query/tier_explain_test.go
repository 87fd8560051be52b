package query_test

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/stats"

	"tsdb/internal/model"
	"tsdb/query"
)

// What is explained is never less than what is then read, and not much more: with
// dirty series, buckets without resets, days that are not rolled up, expired samples,
// and windows that cut buckets. Series have no floats of which buckets cannot answer.
func TestExplainBoundsWhatIsRead(t *testing.T) {
	worlds := questions(t, 3600, 800) / 400
	type sums struct{ samples, buckets float64 }
	var read, bound sums
	less := 0
	for seed := range worlds {
		w := newTierWorld(t, uint64(seed))
		w.compact()
		if seed%3 == 2 {
			w.keepMs = 3 * model.DayMs
			w.restart()
			w.clock.Advance(12 * time.Hour)
			w.compact()
		}
		g := tierQuestions{w.r}
		for i := range 400 {
			if i%40 == 39 && w.keepMs == 0 {
				w.change()
			}
			q, _ := g.question()
			only := false // buckets are compared
			switch k := w.r.IntN(4); {
			case k == 0: // of these, samples are counted at each step
				only = true
				q.text = g.selector([]string{"requests_total", "gauge", "ints", "constant"}) + g.modifiers()
			default:
				q.text = (&roundedCall{pickOf(w.r, append(exactFunctions, roundedFunctions...)...), g.ranged([]string{"requests_total", "gauge", "ints", "constant"}, q.step)}).String()
			}
			opts := query.WithResolution(nil, resolutionOf(t, pickOf(w.r, "auto", "auto", "1m", "1h", "raw")))
			got, explained := w.explainAndRun(q, opts)
			if got.err != nil {
				continue
			}
			read.samples, read.buckets = read.samples+got.samples, read.buckets+got.buckets
			bound.samples, bound.buckets = bound.samples+explained.samples, bound.buckets+explained.buckets
			if explained.samples < got.samples && !only || explained.buckets < got.buckets {
				less++
				t.Errorf("seed %d, question %d: %v: explained %+v, read %+v", seed, i, q, explained, got)
			}
		}
		w.close()
		if less > 5 {
			break
		}
	}
	t.Logf("read %.0f samples and %.0f buckets, explained %.0f and %.0f", read.samples, read.buckets, bound.samples, bound.buckets)
	if bound.samples > 3*read.samples || bound.buckets > 5*read.buckets {
		t.Error("the bound is not tight")
	}
}

type readCounts struct {
	samples, buckets float64
	err              error
}

// explainAndRun explains a query, runs it, and returns what it read.
func (w *tierWorld) explainAndRun(q question, opts promql.QueryOpts) (read, explained readCounts) {
	var p *query.Query
	var err error
	if q.instant {
		p, err = w.engine.Instant(w.t.Context(), w.q, opts, q.text, time.UnixMilli(q.start))
	} else {
		p, err = w.engine.Range(w.t.Context(), w.q, opts, q.text, time.UnixMilli(q.start), time.UnixMilli(q.end), time.Duration(q.step)*time.Millisecond)
	}
	w.must(err)
	defer p.Close()
	v, err := w.db.View()
	w.must(err)
	defer v.Release()
	plans, err := p.PlanTiers(v)
	if err != nil {
		return readCounts{err: err}, readCounts{}
	}
	for i := range plans {
		c, _, err := plans[i].Cost(w.t.Context(), v, model.DefaultTenant)
		w.must(err)
		explained.samples += float64(c.Raw.Samples)
		explained.buckets += float64(c.Buckets.Samples)
	}
	read.err = p.Exec(w.t.Context()).Err
	read.buckets = float64(p.BucketsRead())
	read.samples = float64(stats.NewQueryStats(p.Stats()).Builtin().Samples.SamplesRead) - read.buckets
	return read, explained
}
