package query_test

import (
	"fmt"
	"testing"

	"tsdb/internal/model"
)

// longInstant returns a question of one long window, which mostly begins and ends
// inside buckets.
func (g *tierQuestions) longInstant() (q question, rounded *roundedCall) {
	width := pickOf(g.r, 24*model.HourMs, 24*model.HourMs+1, 25*model.HourMs, 36*model.HourMs, 3*model.DayMs, model.DayMs+g.r.Int64N(3*model.DayMs))
	q.start = tierStart + model.DayMs + g.r.Int64N(tierEnd-tierStart)
	q.start -= q.start % pickOf(g.r, model.HourMs, model.MinuteMs, 1000, 1000, 1)
	if width += pickOf(g.r, 0, 0, q.start%model.HourMs, q.start%model.HourMs); g.chance(10) {
		width += g.r.Int64N(2000) - 1000
	}
	q.end, q.step, q.instant = q.start, 1000, true
	width = max(width, 24*model.HourMs)
	names := append(integralNames, otherNames...)
	if g.chance(60) {
		rounded = &roundedCall{pickOf(g.r, roundedFunctions...), rangedSelector{g.selector(names), g.modifiers(), width}}
		q.text = rounded.String()
		return q, rounded
	}
	call := roundedCall{pickOf(g.r, exactFunctions...), rangedSelector{g.selector(names), g.modifiers(), width}}
	if q.text = call.String(); g.chance(20) {
		q.text = fmt.Sprintf("count by (g) (%s)", q.text)
	}
	return q, nil
}

// The ends of one long window are read as samples before it is known what the tier has
// of them, and mostly become one row. Answers are those of the samples all the same,
// with resets, stale markers, NaN, infinities, histograms, deletions and late samples
// at the ends or between.
func TestLongInstantsAnswerAsSamplesDo(t *testing.T) {
	n := questions(t, 3_000, 600)
	const perWorld, perChange = 150, 15
	var total tierCounts
	for first := 0; first < n && !t.Failed(); first += perWorld {
		w := newTierWorld(t, uint64(500+first/perWorld))
		w.compact()
		for i := range min(perWorld, n-first) {
			if i%perChange == perChange-1 {
				w.change()
			}
			q, rounded := (&tierQuestions{w.r}).longInstant()
			if w.check(w.engine, w.reg, q, rounded, pickOf(w.r, "auto", "1h", "1h", "1m"), &total) > 0 {
				total.tiered++
			}
			if t.Failed() {
				t.Logf("seed %d, question %d", w.seed, i)
				break
			}
		}
		w.close()
	}
	t.Logf("%d questions: %+v", n, total)
	if total.tiered < n/3 || total.rounded < n/100 || total.empty > n/4 {
		t.Errorf("too few of %d questions were answered from buckets: %+v", n, total)
	}
}
