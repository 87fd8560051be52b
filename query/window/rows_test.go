package window

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"tsdb/internal/model"
	"tsdb/query/steps"
	"tsdb/rollup/bucket"
)

// rowCase is a series, as samples and as rows that summarise some of them, and the
// windows of a query.
type rowCase struct {
	ts         []int64
	vs         []float64 // with stale markers
	resolution int64
	rows       *model.Buckets
	w          *Windows
	uncut      bool // see FailingRows
	integral   bool // all values are integers, and none is -0
}

func newRowCase(seed uint64) *rowCase {
	r := rand.New(rand.NewPCG(seed, 7))
	c := new(rowCase)
	c.ts, c.vs = randomSamples(r)
	if r.IntN(3) == 0 { // samples closer together, so that buckets hold many
		for i := range c.ts {
			c.ts[i] = c.ts[i]/15 + int64(i)
		}
	}
	c.integral = true
	for i, v := range c.vs {
		if r.IntN(40) == 0 {
			c.vs[i] = staleMarkers[0]
		}
		c.integral = c.integral && v == math.Trunc(v) && math.Abs(v) < 1<<40 && (v != 0 || !math.Signbit(v))
	}
	c.resolution = []int64{7, 1000, 20_000, 60_000, 300_000, 3_600_000}[r.IntN(6)]
	c.w = &Windows{
		Grid:   steps.Grid{Start: r.Int64N(1_000_000) - 100_000, Step: 1 + r.Int64N(120_000), N: 1 + r.IntN(60)},
		Moment: steps.Moment{Offset: r.Int64N(200_000) - 50_000},
		Width:  1 + r.Int64N(900_000),
	}
	switch r.IntN(4) {
	case 0: // windows of whole steps
		c.w.Width = c.w.Step * (1 + r.Int64N(10))
	case 1: // windows of whole buckets
		c.align(r)
	case 2: // $__rate_interval: windows that begin a scrape interval before a bucket does
		c.align(r)
		c.w.Width += 15_000
	}
	if r.IntN(30) == 0 {
		at := c.w.Grid.Start
		c.w.Moment = steps.MomentOf(&at, 0)
	}

	c.uncut = r.IntN(4) == 0

	// Some buckets are left as samples, as where rollups do not reach.
	all := bucket.FromSamples(c.resolution, &model.ColumnSet{T: c.ts, V: c.vs})
	c.rows = new(model.Buckets)
	asSamples := r.IntN(3) == 0
	for i := range all.End {
		if r.IntN(8) == 0 {
			asSamples = !asSamples
		}
		if asSamples {
			c.appendSamples(c.rows, all.End[i])
		} else {
			c.rows.AppendRange(all, i, i+1)
		}
	}
	return c
}

// align makes the windows begin and end at ends of buckets.
func (c *rowCase) align(r *rand.Rand) {
	c.w.Grid.Start, c.w.Offset = (r.Int64N(20)-2)*c.resolution, (r.Int64N(5)-1)*c.resolution
	c.w.Step, c.w.Width = (1+r.Int64N(3))*c.resolution, (1+r.Int64N(12))*c.resolution
}

// appendSamples appends the samples of the bucket with an end.
func (c *rowCase) appendSamples(dst *model.Buckets, end int64) {
	for i, t := range c.ts {
		if end-c.resolution < t && t <= end {
			dst.AppendSample(t, c.vs[i])
		}
	}
}

// replaced returns the rows for f: failing ones are replaced by their samples.
func (c *rowCase) replaced(f bucket.Function) (rows *model.Buckets, failing int) {
	rows = new(model.Buckets)
	fails := FailingRows(c.w, c.rows, c.resolution, f, c.uncut, nil)
	for i := range c.rows.End {
		if slices.Contains(fails, i) {
			c.appendSamples(rows, c.rows.End[i])
		} else {
			rows.AppendRange(c.rows, i, i+1)
		}
	}
	return rows, len(fails)
}

// window returns the values in window i without stale markers.
func (c *rowCase) window(i int) (vs []float64) {
	end := c.w.Resolve(c.w.Grid.At(i))
	for k, t := range c.ts {
		if t > end-c.w.Width && t <= end && !isStale(c.vs[k]) {
			vs = append(vs, c.vs[k])
		}
	}
	return vs
}

// instant returns the value of an instant selector at step i and the sample's time, a
// stale marker if there is none.
func (c *rowCase) instant(i int) (float64, int64) {
	end := c.w.Resolve(c.w.Grid.At(i))
	for k := len(c.ts) - 1; k >= 0; k-- {
		if t := c.ts[k]; t <= end {
			if t <= end-c.w.Width {
				break
			}
			return c.vs[k], t
		}
	}
	return staleMarkers[0], 0
}

// run evaluates f over rows and over samples.
func (c *rowCase) run(t *testing.T, f bucket.Function, rows *model.Buckets) (got, want []float64) {
	t.Helper()
	var g, x testColumn
	g.reset(c.w.N)
	x.reset(c.w.N)
	rows = withoutColumns(rows, model.AllBucketColumns&^f.Needs(!c.uncut && !c.w.BeginAt(c.resolution)))
	var sc Scratch
	var known RowTimesCache
	sc.RowTimes(c.w, rows, f, &known) // the second time it is cached
	p := sc.LoadRows(rows, sc.RowTimes(c.w, rows, f, &known), quiet{})
	if err := RowKernels[f](p, g.v); err != nil {
		t.Fatal(err)
	}
	if f == bucket.Instant {
		for i := range x.v {
			x.v[i], _ = c.instant(i)
		}
		return g.v, x.v
	}
	var raw Scratch
	rp := raw.Load(c.w, Samples{T: c.ts, V: c.vs, Stale: true}, new(BoundsCache), nil, quiet{})
	if err := Kernels[f.String()](rp, x.v); err != nil {
		t.Fatal(err)
	}
	return g.v, x.v
}

// withoutColumns returns rows with some columns that hold anything.
func withoutColumns(rows *model.Buckets, no model.BucketColumns) *model.Buckets {
	c := new(model.Buckets)
	c.AppendRange(rows, 0, rows.Len())
	for _, x := range []struct {
		column model.BucketColumns
		vs     []float64
	}{
		{model.ColumnFirst, c.FirstV}, {model.ColumnLast, c.V1}, {model.ColumnLast2, c.V2}, {model.ColumnMin, c.Min},
		{model.ColumnMax, c.Max}, {model.ColumnSum, c.Sum}, {model.ColumnLost, c.Lost},
	} {
		for i := range x.vs {
			if no&x.column != 0 {
				x.vs[i] = 1e9 - x.vs[i]
			}
		}
	}
	for i := range c.End {
		if no&model.ColumnResets != 0 {
			c.Resets[i] = 77
		}
		if no&model.ColumnChanges != 0 {
			c.Changes[i] = 77
		}
	}
	return c
}

// agrees reports whether a value computed from rows is the one of samples, within the
// limits that RowKernels states.
func (c *rowCase) agrees(f bucket.Function, rows *model.Buckets, i int, got, want float64) bool {
	if math.Float64bits(got) == math.Float64bits(want) || math.IsNaN(got) && math.IsNaN(want) && isStale(got) == isStale(want) &&
		!slices.Contains([]bucket.Function{bucket.Min, bucket.Max, bucket.Last, bucket.First, bucket.Instant}, f) {
		return true
	}
	if c.integral || isStale(got) != isStale(want) {
		return false
	}
	scale, window := 0.0, c.window(i)
	for _, v := range window {
		if !math.IsNaN(v) {
			scale += math.Abs(v)
		}
	}
	switch f {
	case bucket.Sum:
		return math.Abs(got-want) <= 1e-12*scale
	case bucket.Avg:
		return math.Abs(got-want) <= 1e-12*scale/float64(len(window)) || scale > 1e300 && math.Abs(got-want) <= 1e-12*math.MaxFloat64
	case bucket.Rate, bucket.Increase:
		if got == 0 && want == 0 {
			return true
		}
		if f == bucket.Rate {
			scale /= float64(c.w.Width) / 1000
		}
		return slices.ContainsFunc(rows.Resets, func(n uint32) bool { return n >= 2 }) && math.Abs(got-want) <= 1e-11*scale
	}
	return false
}

// Each function of rows gives what it gives of the samples, whatever the windows cut,
// for series of which any buckets are left as samples.
func TestRowsAnswerAsSamplesDo(t *testing.T) {
	for f := range RowKernels {
		t.Run(fmt.Sprint(f), func(t *testing.T) {
			values, kept, failed := 0, 0, 0
			for seed := range uint64(1500) {
				c := newRowCase(seed)
				rows, failing := c.replaced(f)
				failed += failing
				for _, n := range rows.Count {
					if n > 1 {
						kept++
					}
				}
				got, want := c.run(t, f, rows)
				for i := range want {
					if !c.agrees(f, rows, i, got[i], want[i]) {
						t.Fatalf("seed %d, step %d, buckets of %d ms: rows give %v (%x), samples %v (%x)", seed, i, c.resolution,
							got[i], math.Float64bits(got[i]), want[i], math.Float64bits(want[i]))
					}
					if !isStale(want[i]) {
						values++
					}
				}
			}
			if values < 5000 || kept < 4000 || failed < 500 {
				t.Errorf("%d values of %d buckets, %d replaced: the test covers too little", values, kept, failed)
			}
		})
	}
}

// Samples in place of failing rows do not fail, and none fails if windows are whole
// buckets of plain floats.
func TestReplacedRowsDoNotFail(t *testing.T) {
	for f := range RowKernels {
		for seed := range uint64(500) {
			c := newRowCase(seed)
			rows, _ := c.replaced(f)
			if again := FailingRows(c.w, rows, c.resolution, f, c.uncut, nil); len(again) > 0 {
				t.Fatalf("%v, seed %d: rows %v still fail", f, seed, again)
			}
			r := rand.New(rand.NewPCG(seed, 8))
			c.w.Moment = steps.Moment{}
			c.align(r)
			for _, k := range FailingRows(c.w, c.rows, c.resolution, f, c.uncut, nil) {
				if f.Answers(c.rows.Flags[k]) {
					t.Fatalf("%v, seed %d: row %d fails in aligned windows", f, seed, k)
				}
			}
		}
	}
}

// A step between a stale marker and the float after it in the same bucket is not
// answered from the float before the marker.
func TestInstantSelectorSeesMarkersInsideBuckets(t *testing.T) {
	c := &rowCase{
		ts: []int64{50, 130, 200}, vs: []float64{1, staleMarkers[0], 3}, resolution: 100,
		w: &Windows{Grid: steps.Grid{Start: 150, Step: 1, N: 1}, Width: 1000},
	}
	c.rows = bucket.FromSamples(c.resolution, &model.ColumnSet{T: c.ts, V: c.vs})
	if got := FailingRows(c.w, c.rows, c.resolution, bucket.Instant, false, nil); !slices.Equal(got, []int{1}) {
		t.Errorf("rows %v fail, want the second", got)
	}
	rows, _ := c.replaced(bucket.Instant)
	if got, _ := c.run(t, bucket.Instant, rows); !isStale(got[0]) {
		t.Errorf("%v after a stale marker", got[0])
	}
}

func TestSampleTimesOfRows(t *testing.T) {
	for seed := range uint64(500) {
		c := newRowCase(seed)
		rows, _ := c.replaced(bucket.Instant)
		var got testColumn
		got.reset(c.w.N)
		var sc Scratch
		p := sc.LoadRows(rows, sc.RowTimes(c.w, rows, bucket.Instant, nil), quiet{})
		p.SampleTimes()
		if err := RowKernels[bucket.Instant](p, got.v); err != nil {
			t.Fatal(err)
		}
		for i, x := range got.v {
			v, at := c.instant(i)
			if isStale(v) != isStale(x) || !isStale(v) && x != float64(at)/1000 {
				t.Fatalf("seed %d, step %d: time %v, want %d ms of %v", seed, i, x, at, v)
			}
		}
	}
}

// A row counts as one sample of a query.
func TestRowsCountAsOneSample(t *testing.T) {
	ts := []int64{1, 2, 3, 11, 12, 21}
	rows := bucket.FromSamples(10, &model.ColumnSet{T: ts, V: make([]float64, len(ts))})
	w := &Windows{Grid: steps.Grid{Start: 20, Step: 10, N: 2}, Width: 20}
	var sc Scratch
	p := sc.LoadRows(rows, sc.RowTimes(w, rows, bucket.Count, nil), quiet{})
	if p.Total != 4 || p.Read != 3 || p.Weight(p.Lo[0], p.Hi[0]) != 2 {
		t.Errorf("%d samples in windows, %d read, %d in the first; want 4, 3, 2", p.Total, p.Read, p.Weight(p.Lo[0], p.Hi[0]))
	}
}
