package encoding

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"tsdb/internal/model"
)

// rowsOf returns buckets of a pattern with at most n rows.
func (p bucketPattern) buckets(r *rand.Rand, n int) *model.Buckets {
	ts, vs := p.make(r, n)
	b := bucketsOf(ts, vs, p.resolution)
	b.Truncate(min(n, b.Len()))
	return b
}

// noResets returns b as buckets of a series that falls often, without clearing what is
// not stored of them.
func noResets(b *model.Buckets) *model.Buckets {
	c := &model.Buckets{}
	c.AppendRange(b, 0, b.Len())
	for i := range c.Flags {
		c.Flags[i] |= model.BucketNoResets
	}
	return c
}

// eachBuckets calls f with buckets of every pattern in several sizes, with and without
// resets.
func eachBuckets(t *testing.T, f func(t *testing.T, b *model.Buckets, resolution int64)) {
	for _, p := range bucketPatterns {
		t.Run(p.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for _, n := range []int{0, 1, 2, 3, 7, 24, 300, 1536} {
				if n > 300 && raceEnabled {
					break
				}
				b := p.buckets(r, n)
				f(t, b, p.resolution)
				f(t, onlyBuckets(noResets(b), model.AllBucketColumns), p.resolution)
			}
		})
	}
}

func decodeBuckets(times, values []byte, n int, resolution int64, need model.BucketColumns) (*model.Buckets, error) {
	var b model.Buckets
	if err := DecodeBucketTimes(&b, times, n, resolution); err != nil {
		return nil, err
	}
	return &b, DecodeBucketValues(&b, 0, values, need)
}

// onlyBuckets returns a copy of b with the given columns of values, as far as they are
// stored.
func onlyBuckets(b *model.Buckets, need model.BucketColumns) *model.Buckets {
	c := &model.Buckets{}
	c.AppendRange(b, 0, b.Len())
	rows := rowsOfBuckets(c, 0)
	if b.Len() > 0 && b.Flags[0]&model.BucketNoResets != 0 {
		need &^= model.ResetColumns
	}
	for k, column := range bucketNeeds {
		if need&column == 0 {
			clear(rows.floats[k])
			clear(rows.numbers[k])
		}
	}
	return c
}

// equalBuckets compares all columns, floats bit for bit.
func equalBuckets(a, b *model.Buckets) bool {
	bits := func(b *model.Buckets) (all [][]uint64) {
		for _, vs := range rowsOfBuckets(b, 0).floats {
			all = append(all, append([]uint64{}, words(vs)...))
		}
		return all
	}
	integers := func(b *model.Buckets) (all []any) {
		return []any{append([]int64{}, b.End...), append([]int64{}, b.First...), append([]int64{}, b.T1...), append([]int64{}, b.T2...),
			append([]int64{}, b.T3...), append([]uint32{}, b.Count...), append([]uint32{}, b.Changes...), append([]uint32{}, b.Resets...),
			append([]model.BucketFlags{}, b.Flags...)}
	}
	return reflect.DeepEqual(bits(a), bits(b)) && reflect.DeepEqual(integers(a), integers(b))
}

func TestBucketsComeBackWithTheSameBits(t *testing.T) {
	eachBuckets(t, func(t *testing.T, b *model.Buckets, resolution int64) {
		times, values := AppendBucketTimes(nil, b, resolution), AppendBucketValues(nil, b)
		got, err := decodeBuckets(times, values, b.Len(), resolution, model.AllBucketColumns)
		if err != nil || !equalBuckets(got, b) {
			t.Fatalf("%d rows: other values or error: %v\n%x\n%x", b.Len(), err, times, values)
		}
	})
}

func TestBucketColumnsAreDecodedAlone(t *testing.T) {
	eachBuckets(t, func(t *testing.T, b *model.Buckets, resolution int64) {
		times, values := AppendBucketTimes(nil, b, resolution), AppendBucketValues(nil, b)
		needs := []model.BucketColumns{0, model.ColumnFirst | model.ColumnLast | model.ColumnLost, model.ColumnMin | model.ColumnMax,
			model.ColumnChanges | model.ColumnResets}
		for c := model.ColumnFirst; c < model.AllBucketColumns; c <<= 1 {
			needs = append(needs, c)
		}
		for _, need := range needs {
			got, err := decodeBuckets(times, values, b.Len(), resolution, need)
			if err != nil || !equalBuckets(got, onlyBuckets(b, need)) {
				t.Fatalf("%d rows, columns %#x: other values or error: %v", b.Len(), need, err)
			}
		}
	})
}

// Series scraped together have equal times, whatever their values.
func TestTimesOfBucketsDependOnTimesAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	ts, vs := bucketPatterns[0].make(r, 100)
	a := bucketsOf(ts, vs, 3_600_000)
	for i := range vs {
		vs[i] = r.NormFloat64()
	}
	b := bucketsOf(ts, vs, 3_600_000)
	x, y := AppendBucketTimes(nil, a, 3_600_000), AppendBucketTimes(nil, b, 3_600_000)
	if !bytes.Equal(x, y) {
		t.Fatalf("%x\n%x", x, y)
	}
}

// The times of regular scrapes take some twenty bytes at any number of rows and any
// interval, and a constant takes few bytes.
func TestRegularBucketsTakeFewBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, interval := range []int64{1000, 5000, 7000, 13_000, 15_000, 30_000, 300_000} {
		ts := scrapes(r, 1536, 3_600_000, interval, 0)
		b := bucketsOf(ts, fill(len(ts), func(int) float64 { return 0.1 }), 3_600_000)
		if times := AppendBucketTimes(nil, b, 3_600_000); len(times) > 60 {
			t.Errorf("interval %d: times take %d bytes", interval, len(times))
		}
		if values := AppendBucketValues(nil, b); len(values) > 30 {
			t.Errorf("interval %d: values take %d bytes", interval, len(values))
		}
	}
}

// The bits of a NaN that comes from arithmetic depend on the machine, so no prediction
// is one.
func TestPredictionsOfBucketsAreFinite(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct{ a, b float64 }{{inf, -inf}, {-inf, inf}, {inf, 1}, {math.MaxFloat64, math.MaxFloat64}, {math.NaN(), 1}, {1, math.NaN()}} {
		if v := trapezoid(7, c.a, c.b); v != 0 {
			t.Errorf("line from %v to %v: %v", c.a, c.b, v)
		}
	}
	if v := trapezoid(7, 1, 2); v != 10.5 {
		t.Errorf("line from 1 to 2: %v", v)
	}
	rows := bucketRows{counts: []uint32{2, 0, 2, 4}}
	rows.numbers[bucketResets] = []uint32{1, 1, 1, 2}
	for _, k := range []int{bucketLast, bucketFirst, bucketMax, bucketSum} {
		rows.floats[k] = []float64{inf, inf, math.NaN(), 6}
	}
	for form, want := range map[bucketForm][]float64{formFirst: {0, 0, 0, 12}, formSecond: {0, 0, 0, 3}} {
		if got := predictFloats(make([]float64, 4), bucketLost, form, &rows); !equalBits(got, want) {
			t.Errorf("lost, form %d: %v, want %v", form, got, want)
		}
	}
	for _, v := range []float64{inf, -inf, math.NaN(), 1e300, 1 << 53} {
		if k := nearestInteger(v, 10); k != 0 {
			t.Errorf("the integer of %v is %d", v, k)
		}
	}
}

// Sums of gauges are stored so that an average reads neither min nor max, unless that
// takes an eighth more bytes.
func TestSumsOfGaugesNeedNoExtremes(t *testing.T) {
	gauges := map[string]bool{"load": true, "memory": true, "tsbs": true}
	for _, p := range bucketPatterns {
		if !gauges[p.name] {
			continue
		}
		var parts bucketParts
		if _, err := parts.parseValues(AppendBucketValues(nil, p.buckets(rand.New(rand.NewPCG(1, 2)), 1536))); err != nil {
			t.Fatal(err)
		}
		if need := parts.predictors(bucketSum); need&(model.ColumnMin|model.ColumnMax) != 0 {
			t.Errorf("%s: sums in form %d", p.name, parts.forms[bucketSum])
		}
		delete(gauges, p.name)
	}
	if len(gauges) > 0 {
		t.Errorf("no patterns %v", gauges)
	}
}

// Chunks of 64 days of hours take the bytes that BenchmarkBucketBytes reports, not more.
func TestBucketsOfHoursTakeFewBytes(t *testing.T) {
	limits := map[string]float64{"requests": 5.35, "bytes": 11.2, "seconds": 6.7, "fractions": 20.1, "rare": 1, "resets": 7, "noise": 7.75,
		"load": 8.95, "memory": 11.5, "idle": 0.65, "constant": 0.01, "tsbs": 6.55, "jitter": 0.03, "five minutes": 2}
	for _, p := range bucketPatterns {
		limit, ok := limits[p.name]
		if !ok || raceEnabled {
			continue
		}
		b := p.buckets(rand.New(rand.NewPCG(1, 2)), 1536)
		if size := float64(len(AppendBucketValues(nil, b))) / float64(b.Len()); size > limit {
			t.Errorf("%s: %.2f bytes a row, at most %v", p.name, size, limit)
		}
	}
}

// Changes, resets and lost of buckets without resets take no byte, whatever they are, and
// are not predicted either. That there are none is known whatever is needed.
func TestResetsAreLeftOut(t *testing.T) {
	eachBuckets(t, func(t *testing.T, b *model.Buckets, resolution int64) {
		if b.Len() == 0 {
			return
		}
		left := noResets(b)
		times, values := AppendBucketTimes(nil, left, resolution), AppendBucketValues(nil, left)
		if cleared := AppendBucketValues(nil, onlyBuckets(left, model.AllBucketColumns)); !bytes.Equal(values, cleared) {
			t.Fatal("columns that are left out change the bytes")
		}
		for _, need := range []model.BucketColumns{0, model.ResetColumns, model.ColumnLost | model.ColumnMax, model.AllBucketColumns} {
			got, err := decodeBuckets(times, values, b.Len(), resolution, need)
			if err != nil || !equalBuckets(got, onlyBuckets(left, need)) {
				t.Fatalf("%d rows, columns %#x: other rows or error: %v", b.Len(), need, err)
			}
		}
		fields, err := BucketFields(KindBucketValues, values, b.Len())
		if err != nil {
			t.Fatal(err)
		}
		for k, f := range fields {
			if isLeftOut(k) != (f.String() == f.Name+": left out") {
				t.Fatalf("%v", f)
			}
		}
		if whole := AppendBucketValues(nil, b); b.Flags[0]&model.BucketNoResets == 0 {
			whole[0] = maskResets
			stored := false
			fields, _ := BucketFields(KindBucketValues, AppendBucketValues(nil, b), b.Len())
			for k, f := range fields {
				stored = stored || isLeftOut(k) && f.Info.Bytes > 0
			}
			if _, err := decodeBuckets(times, whole, b.Len(), resolution, 0); errors.Is(err, ErrCorrupt) != stored {
				t.Fatalf("columns left out, and stored %v: %v", stored, err)
			}
		}
	})
}

func TestBucketsWithUnknownBitsAreRefused(t *testing.T) {
	b := bucketPatterns[0].buckets(rand.New(rand.NewPCG(1, 2)), 24)
	times, values := AppendBucketTimes(nil, b, 3_600_000), AppendBucketValues(nil, b)
	for bit := 1; bit < 8; bit++ {
		values[0] = 1 << bit
		if _, err := decodeBuckets(times, values, 24, 3_600_000, 0); !errors.Is(err, ErrCorrupt) {
			t.Errorf("mask %#x: %v", values[0], err)
		}
	}
	for k := range maxBucketParts + 2 {
		for f := range bucketForm(1 << formBits) {
			var p bucketParts
			forms := uint64(f) << (formBits * k)
			known := f == 0 || k < bucketValues && bucketValuesParts[k].forms>>f&1 != 0
			src := append(binary.AppendUvarint(nil, forms), 1)
			if f == 0 {
				src = src[:1]
			}
			if err := p.parse(src, bucketValuesParts[:]); (err == nil) != known {
				t.Errorf("form %d of part %d: %v", f, k, err)
			}
		}
	}
	for _, flags := range []model.BucketFlags{16, 128, model.BucketNoResets} { // the last: not of all rows
		c := onlyBuckets(b, model.AllBucketColumns)
		c.Flags[3] = flags
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("flags %#x are accepted", flags)
				}
			}()
			AppendBucketValues(nil, c)
		}()
	}
}

// Times that contradict each other are an error for the decoder and a bug of the
// encoder's caller.
func TestContradictingTimesOfBucketsAreRefused(t *testing.T) {
	row := func(end int64, count uint32, first, t3, t2, t1 int64) *model.Buckets {
		b := &model.Buckets{}
		b.Grow(1)
		b.End[0], b.Count[0], b.First[0], b.T3[0], b.T2[0], b.T1[0] = end, count, first, t3, t2, t1
		return b
	}
	for name, c := range map[string]struct {
		b  *model.Buckets
		ok bool
	}{
		"none":                       {row(60_000, 0, 0, 0, 0, 0), true},
		"none but a time":            {row(60_000, 0, 1, 0, 0, 0), false},
		"one at the end":             {row(60_000, 1, 60_000, 0, 0, 60_000), true},
		"one at the start":           {row(60_000, 1, 1, 0, 0, 1), true},
		"one before the start":       {row(60_000, 1, 0, 0, 0, 0), false},
		"one after the end":          {row(60_000, 1, 60_001, 0, 0, 60_001), false},
		"one at two times":           {row(60_000, 1, 1, 0, 0, 2), false},
		"off the grid":               {row(60_001, 1, 60_000, 0, 0, 60_000), false},
		"two":                        {row(60_000, 2, 1, 0, 1, 2), true},
		"two at one time":            {row(60_000, 2, 1, 0, 1, 1), false},
		"two with a third":           {row(60_000, 2, 1, 1, 1, 2), false},
		"three":                      {row(60_000, 3, 1, 1, 2, 3), true},
		"three, not the first":       {row(60_000, 3, 1, 2, 3, 4), false},
		"four":                       {row(60_000, 4, 1, 2, 3, 4), true},
		"four at three times":        {row(60_000, 4, 2, 2, 3, 4), false},
		"more than milliseconds":     {row(60_000, 5, 1, 2, 3, 4), false},
		"the last end that there is": {row(math.MaxInt64/60_000*60_000, 0, 0, 0, 0, 0), false},
	} {
		if err := checkBuckets(c.b, 0, 60_000); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		func() {
			defer func() {
				if p := recover(); (p == nil) != c.ok {
					t.Errorf("%s: panic %v", name, p)
				}
			}()
			AppendBucketTimes(nil, c.b, 60_000)
		}()
	}
	falling := &model.Buckets{}
	falling.Grow(2)
	falling.End[0], falling.End[1] = 120_000, 120_000
	if checkBuckets(falling, 0, 60_000) == nil {
		t.Error("two rows with one end")
	}
}

// What rows held before their values are decoded does not show in columns that are
// needed, nor in the flags.
func TestBucketValuesReplaceWhatRowsHeld(t *testing.T) {
	eachBuckets(t, func(t *testing.T, b *model.Buckets, resolution int64) {
		values := AppendBucketValues(nil, b)
		r := rand.New(rand.NewPCG(3, 4))
		for range 20 {
			need := model.BucketColumns(r.IntN(model.AllBucketColumns + 1))
			var got model.Buckets
			got.AppendRange(b, 0, b.Len())
			rows := rowsOfBuckets(&got, 0)
			for i := range got.End {
				got.Flags[i] = 0xff
				for k := range bucketNeeds {
					if rows.floats[k] != nil {
						rows.floats[k][i] = 1e300
					} else if rows.numbers[k] != nil {
						rows.numbers[k][i] = 1 << 31
					}
				}
			}
			if err := DecodeBucketValues(&got, 0, values, need); err != nil {
				t.Fatal(err)
			}
			if got, want := onlyBuckets(&got, need), onlyBuckets(b, need); !equalBuckets(got, want) {
				t.Fatalf("%d rows, columns %b: other values", b.Len(), need)
			}
		}
	})
}
