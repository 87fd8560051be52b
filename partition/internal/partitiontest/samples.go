package partitiontest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// IDSeed is the seed of the identities in test data.
const IDSeed = 7

// FirstDay is the first millisecond of a partition.
const FirstDay int64 = 20_000*model.DayMs + 1

// Must fails the test on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// NewRand returns a source whose seed the test logs.
func NewRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// SamplesOf appends the samples of a series of b that lie in tr to dst.
func SamplesOf(ctx context.Context, b *block.Block, ord uint32, tr model.TimeRange, dst *model.Samples) error {
	r := b.Reader()
	defer r.Release()
	return r.Append(ctx, ord, tr, dst)
}

// DiffSamples describes the first difference between two columns of samples, ""
// if there is none.
func DiffSamples(got, want *model.Samples) string {
	for i := range min(got.Len(), want.Len()) {
		if !got.EqualAt(i, want, i) {
			return fmt.Sprintf("sample %d: t=%d v=%x st=%d %v, want t=%d v=%x st=%d %v", i,
				got.T[i], math.Float64bits(got.V[i]), got.StartAt(i), got.HistogramAt(i),
				want.T[i], math.Float64bits(want.V[i]), want.StartAt(i), want.HistogramAt(i))
		}
	}
	if got.Len() != want.Len() {
		return fmt.Sprintf("%d samples, want %d", got.Len(), want.Len())
	}
	return ""
}

// RandomHistogram returns a small histogram, with counts of integers or floats.
func RandomHistogram(rnd *rand.Rand) model.Histogram {
	if rnd.IntN(2) == 0 {
		h := &histogram.Histogram{
			Schema: 1, ZeroThreshold: 0.001, ZeroCount: 2, Count: 12, Sum: rnd.Float64(),
			PositiveSpans:   []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 1}},
			PositiveBuckets: []int64{1, int64(rnd.IntN(3)), -1},
		}
		if rnd.IntN(4) == 0 {
			h.CounterResetHint = histogram.GaugeType
		}
		return model.Histogram{Int: h}
	}
	return model.Histogram{Float: &histogram.FloatHistogram{
		Schema: 2, Count: 3.5, Sum: rnd.NormFloat64(), ZeroThreshold: 1e-128,
		NegativeSpans: []histogram.Span{{Offset: -2, Length: 1}}, NegativeBuckets: []float64{rnd.Float64()},
	}}
}
