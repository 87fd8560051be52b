package storage_test

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
)

// seriesKind is the kind of values that a series of a life test has.
type seriesKind uint8

const (
	counterKind seriesKind = iota // integers that mostly rise
	integerKind
	gaugeKind // fractions
	oddKind   // NaN, infinities, -0
	constantKind
	mixedKind // numbers and native histograms
	numKinds
)

func kindOf(series int) seriesKind { return seriesKind(series % int(numKinds)) }

func (k seriesKind) metric() string {
	return [...]string{"requests_total", "ints", "gauge", "odd", "constant", "mixed"}[k]
}

// burst is a run of samples of one series at equal distances. The values follow from the
// seed, so an equal burst is an identical duplicate.
type burst struct {
	series   int
	from     int64 // Unix milliseconds
	step     int64 // milliseconds, > 0
	n        int
	seed     uint64
	stale    bool // stale markers instead of numbers
	starts   bool // with start timestamps
	exemplar bool // with an exemplar at the first sample
}

func (b burst) String() string {
	s := fmt.Sprintf("%d@%s", b.series, lifeTime(b.from))
	if b.n > 1 {
		s += fmt.Sprintf("+%dx%d", b.n-1, b.step)
	}
	switch {
	case b.stale:
		s += " stale"
	default:
		s += fmt.Sprintf(" seed=%d", b.seed)
	}
	if b.starts {
		s += " starts"
	}
	if b.exemplar {
		s += " exemplar"
	}
	return s
}

func (b burst) samples() (s model.Samples) {
	r := rand.New(rand.NewPCG(b.seed, uint64(b.series)))
	for k := range int64(b.n) {
		t := b.from + k*b.step
		v, h := kindOf(b.series).value(r, t)
		if b.stale {
			v, h = math.Float64frombits(value.StaleNaN), model.Histogram{}
		}
		start := int64(0)
		if b.starts {
			start = t - 1 - int64(b.seed%3)*1000
		}
		s.Append(t, start, v, h)
	}
	return s
}

// exemplarOf returns the exemplar that a burst has beside those of its samples that are
// taken.
func (b burst) exemplarOf(taken *model.Samples) (model.Exemplar, bool) {
	if !b.exemplar || taken.Len() == 0 {
		return model.Exemplar{}, false
	}
	return model.Exemplar{T: taken.T[0], V: float64(b.seed), Labels: labels.FromStrings("trace", fmt.Sprint(b.seed))}, true
}

func (k seriesKind) value(r *rand.Rand, t int64) (float64, model.Histogram) {
	switch k {
	case counterKind:
		return float64(t%(40*model.DayMs)/1000 + r.Int64N(8)), model.Histogram{}
	case integerKind:
		return float64(r.IntN(9) - 4), model.Histogram{}
	case gaugeKind:
		return r.NormFloat64() * 100, model.Histogram{}
	case oddKind:
		of := [...]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0, 5e-324, 1, 2, 3, 4, 5, 6}
		return of[r.IntN(len(of))], model.Histogram{}
	case mixedKind:
		if r.IntN(3) == 0 {
			n := r.IntN(20)
			return 0, model.Histogram{Int: &histogram.Histogram{
				Schema: 1, ZeroThreshold: 0.001, ZeroCount: 1, Count: uint64(2*n + 3), Sum: float64(n),
				PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{int64(n), 2},
			}}
		}
	default:
	}
	return 5, model.Histogram{}
}
