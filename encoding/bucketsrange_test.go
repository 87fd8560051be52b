package encoding

import (
	"math"
	"math/rand/v2"
	"testing"

	"tsdb/internal/model"
)

// decodeBucketRange decodes the columns of need of rows [i, j) of the column values of
// the rows of b, into rows that held something else.
func decodeBucketRange(b *model.Buckets, values []byte, i, j int, need model.BucketColumns) (*model.Buckets, error) {
	var got model.Buckets
	got.AppendRange(b, i, j)
	rows := rowsOfBuckets(&got, 0)
	for k := range bucketNeeds {
		for row := range rows.floats[k] {
			rows.floats[k][row] = 1e300
		}
		for row := range rows.numbers[k] {
			rows.numbers[k][row] = 1 << 31
		}
	}
	err := DecodeBucketValuesRange(&got, 0, values, b.Len(), i, need)
	return onlyBuckets(&got, need), err
}

// bucketRanges calls f with ranges of n rows: all, halves, single rows, and others.
func bucketRanges(r *rand.Rand, n int, f func(i, j int)) {
	for _, p := range [][2]int{{0, n}, {0, n / 2}, {n / 2, n}, {0, 1}, {n - 1, n}, {1, n}, {0, n - 1}, {n / 3, n/3 + 1}} {
		if 0 <= p[0] && p[0] <= p[1] && p[1] <= n {
			f(p[0], p[1])
		}
	}
	for range 12 {
		i := r.IntN(n + 1)
		f(i, i+r.IntN(n-i+1))
	}
}

// A range of rows has the bits of the whole, in any columns.
func TestBucketRangeEqualsTheWhole(t *testing.T) {
	eachBuckets(t, func(t *testing.T, b *model.Buckets, _ int64) {
		r := rand.New(rand.NewPCG(5, 6))
		values := AppendBucketValues(nil, b)
		bucketRanges(r, b.Len(), func(i, j int) {
			for _, need := range []model.BucketColumns{
				model.AllBucketColumns, model.ColumnFirst, model.ColumnSum, model.ColumnFirst | model.ColumnLast | model.ColumnLost,
				model.BucketColumns(r.IntN(model.AllBucketColumns + 1)),
			} {
				got, err := decodeBucketRange(b, values, i, j, need)
				if err != nil {
					t.Fatalf("rows %d to %d of %d, columns %b: %v", i, j, b.Len(), need, err)
				}
				part := b.Slice(i, j)
				if !equalBuckets(got, onlyBuckets(&part, need)) {
					t.Fatalf("rows %d to %d of %d, columns %b: other values", i, j, b.Len(), need)
				}
			}
		})
	})
}

func TestBucketRangeMustLieInTheColumn(t *testing.T) {
	b := bucketPatterns[0].buckets(rand.New(rand.NewPCG(1, 2)), 24)
	values := AppendBucketValues(nil, b)
	for _, i := range []int{-1, 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("24 rows of 24 from %d on: no panic", i)
				}
			}()
			DecodeBucketValuesRange(b, 0, values, 24, i, model.ColumnLast)
		}()
	}
}

// FuzzDecodeBucketRange decodes ranges of arbitrary bytes: there is no panic, and where
// the whole column is accepted the range has its bits.
func FuzzDecodeBucketRange(f *testing.F) {
	r := rand.New(rand.NewPCG(23, 24))
	for _, p := range bucketPatterns {
		for _, n := range []int{1, 24, 300, 1536} {
			b := p.buckets(r, n)
			f.Add(AppendBucketTimes(nil, b, p.resolution), AppendBucketValues(nil, b), uint16(b.Len()), uint16(n/3), uint16(n/2), uint16(0xffff), uint32(p.resolution))
		}
	}
	f.Fuzz(func(t *testing.T, times, values []byte, n, i, j, need uint16, millis uint32) {
		columns := model.BucketColumns(need) & model.AllBucketColumns
		whole, err := decodeBuckets(times, values, int(n), max(int64(millis), 1), columns)
		if whole == nil || n == 0 {
			return
		}
		i %= n
		j = i + j%(n-i) + 1
		got, partErr := decodeBucketRange(whole, values, int(i), int(j), columns)
		if err != nil {
			return
		}
		if part := whole.Slice(int(i), int(j)); partErr != nil || !equalBuckets(got, onlyBuckets(&part, columns)) {
			t.Fatalf("rows %d to %d of %d, columns %b: other values or error: %v", i, j, n, columns, partErr)
		}
	})
}

// lowerOf chooses like a comparison, for all pairs of floats that are strange.
func TestLowerOf(t *testing.T) {
	nan, negative := math.NaN(), math.Float64frombits(math.Float64bits(math.NaN())|1<<63)
	values := []float64{0, math.Copysign(0, -1), 1, -1, 5e-324, -5e-324, 1e-310, math.MaxFloat64, -math.MaxFloat64, math.Inf(1), math.Inf(-1), nan, negative}
	f := func(as, bs []float64) {
		for _, sign := range []float64{1, -1} {
			dst := make([]float64, len(as))
			lowerOf(dst, as, bs, sign)
			for i, got := range dst {
				want := as[i]
				if sign > 0 && bs[i] < want || sign < 0 && bs[i] > want {
					want = bs[i]
				}
				if math.Float64bits(got) != math.Float64bits(want) {
					t.Errorf("sign %v: %v of %v and %v, want %v", sign, got, as[i], bs[i], want)
				}
			}
		}
	}
	for _, a := range values {
		for _, b := range values {
			f([]float64{a}, []float64{b})
			f([]float64{3, a, b, 1}, []float64{4, b, a, 0.5})
		}
	}
}
