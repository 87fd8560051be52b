package query_test

import (
	"fmt"
	"math/rand/v2"

	"tsdb/internal/model"
)

// tierQuestions generates questions that buckets may answer, and some that they
// cannot.
type tierQuestions struct{ r *rand.Rand }

func (g *tierQuestions) chance(percent int) bool { return g.r.IntN(100) < percent }

// The functions that buckets answer to the bit, and those that they answer to the bit
// only for integers.
var (
	exactFunctions = []string{
		"delta", "irate", "idelta", "count_over_time", "present_over_time", "last_over_time", "first_over_time", "ts_of_last_over_time",
		"ts_of_first_over_time", "max_over_time", "min_over_time", "changes", "resets", "absent_over_time",
	}
	roundedFunctions = []string{"rate", "rate", "rate", "increase", "increase", "sum_over_time", "avg_over_time"}
	sampleFunctions  = []string{"quantile_over_time(0.9, %s)", "stddev_over_time(%s)", "deriv(%s)"}

	integralNames = []string{"requests_total", "ints"}
	otherNames    = []string{"seconds_total", "gauge", "odd", "constant", "mixed"}
)

// question returns a question. rounded is the question if it is a call whose sums may
// be rounded otherwise; nil if the bits of the answer must be the same.
func (g *tierQuestions) question() (q question, rounded *roundedCall) {
	align := pickOf(g.r, 6*model.HourMs, model.HourMs, model.HourMs, model.MinuteMs, model.MinuteMs, 1000, 1)
	step := pickOf(g.r, model.MinuteMs, 5*model.MinuteMs, 15*model.MinuteMs, model.HourMs, model.HourMs, 2*model.HourMs, 6*model.HourMs, 77_000, 17*model.MinuteMs)
	n := g.r.Int64N(40)
	q.start = tierStart + g.r.Int64N(tierEnd-tierStart+2*model.HourMs)
	if g.chance(50) {
		q.start = tierDense + g.r.Int64N(tierDenseEnd-tierDense)
	}
	q.start -= q.start % align
	q.step, q.end = step, q.start+n*step
	if q.instant = g.chance(20); q.instant {
		q.end = q.start
	}
	switch k := g.r.IntN(100); {
	case k < 30:
		rounded = g.rounded(step)
		q.text = rounded.String()
	case k < 55:
		q.text = g.exact(step)
	case k < 65:
		q.text = g.instant()
	case k < 72:
		op := pickOf(g.r, "sum", "max", "avg", "count", "topk", "quantile")
		param := map[string]string{"topk": "2, ", "quantile": "0.5, "}[op]
		q.text = fmt.Sprintf("%s%s (%s%s)", op, pickOf(g.r, "", " by (g)", " by (i)"), param, g.exact(step))
	case k < 80:
		q.text = fmt.Sprintf("%s %s %s", g.exact(step), pickOf(g.r, "+", "-", "/", ">", "and", "or", "unless", "== bool"), g.exact(step))
	case k < 90:
		inner := pickOf(g.r, "1m", "5m", "1h", "7m")
		q.text = fmt.Sprintf("%s((%s)[%s:%s]%s)", pickOf(g.r, "max_over_time", "sum_over_time", "last_over_time", "count_over_time"), g.exact(step), pickOf(g.r, "10m", "1h", "6h"), inner, g.modifiers())
	case k < 95:
		q.text = pickOf(g.r, "timestamp(%s)", "-%s", "abs(%s)", "absent(%s)", "%s > 3", "sum(%s)")
		q.text = fmt.Sprintf(q.text, g.selector(append(integralNames, otherNames...))+g.modifiers())
	default:
		q.text = fmt.Sprintf(pickOf(g.r, sampleFunctions...), g.ranged(append(integralNames, otherNames...), step).String())
	}
	return q, rounded
}

// rangedSelector is a range selector.
type rangedSelector struct {
	selector, modifiers string
	width               int64 // milliseconds
}

func (r rangedSelector) String() string {
	return fmt.Sprintf("%s[%dms]%s", r.selector, r.width, r.modifiers)
}

// roundedCall is a call of a function whose sums may be rounded otherwise.
type roundedCall struct {
	function string
	rangedSelector
}

func (c *roundedCall) String() string { return fmt.Sprintf("%s(%s)", c.function, c.rangedSelector) }

func (g *tierQuestions) rounded(step int64) *roundedCall {
	return &roundedCall{pickOf(g.r, roundedFunctions...), g.ranged(append(integralNames, otherNames...), step)}
}

// exact returns a call that buckets answer to the bit, over all kinds of series or, if
// it adds up, over integers.
func (g *tierQuestions) exact(step int64) string {
	if g.chance(35) {
		return (&roundedCall{pickOf(g.r, roundedFunctions...), g.ranged(integralNames, step)}).String()
	}
	return (&roundedCall{pickOf(g.r, exactFunctions...), g.ranged(append(integralNames, otherNames...), step)}).String()
}

func (g *tierQuestions) selector(names []string) string {
	s := pickOf(g.r, names...)
	if g.chance(60) {
		s += pickOf(g.r, `{i="0"}`, `{i="1"}`, `{i="1"}`, `{g=~"0|1"}`, `{i!="0"}`)
	}
	return s
}

func (g *tierQuestions) instant() string {
	return g.selector(append(integralNames, otherNames...)) + g.modifiers()
}

func (g *tierQuestions) ranged(names []string, step int64) rangedSelector {
	width := pickOf(g.r, step, step, step+15_000, step+60_000, step+1000, model.MinuteMs, 5*model.MinuteMs, model.HourMs, 2*model.HourMs, 6*model.HourMs,
		61*model.MinuteMs, 24*model.HourMs, 90_000, 1+g.r.Int64N(10*model.HourMs))
	return rangedSelector{g.selector(names), g.modifiers(), width}
}

func (g *tierQuestions) modifiers() string {
	s := ""
	if g.chance(10) {
		s += " offset " + pickOf(g.r, "1h", "-1h", "5m", "1d", "13s")
	}
	if g.chance(6) {
		s += pickOf(g.r, " @ start()", " @ end()", fmt.Sprintf(" @ %d", (tierStart+model.DayMs+g.r.Int64N(model.DayMs)/model.HourMs*model.HourMs)/1000), fmt.Sprintf(" @ %d.5", (tierStart+g.r.Int64N(model.DayMs))/1000))
	}
	return s
}
