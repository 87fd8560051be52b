package block

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// sameAggregate compares bits.
func sameAggregate(a, b Aggregate) bool {
	for _, field := range aggregateFields {
		if math.Float64bits(*field(&a)) != math.Float64bits(*field(&b)) {
			return false
		}
	}
	return a.Count == b.Count
}

func TestAggregatesAreThoseOfTheValues(t *testing.T) {
	negativeZero := math.Copysign(0, -1)
	for _, c := range []struct {
		name string
		vs   []float64
		want Aggregate
		ok   bool
	}{
		{"one", []float64{2.5}, Aggregate{1, 2.5, 2.5, 2.5, 0}, true},
		{"what rounding takes", []float64{1, 1e100, 1, -1e100}, Aggregate{4, -1e100, 1e100, 0, 2}, true},
		{"the first of equal zeros", []float64{negativeZero, 0}, Aggregate{2, negativeZero, negativeZero, 0, 0}, true},
		{"and the other way", []float64{0, negativeZero}, Aggregate{2, 0, 0, 0, 0}, true},
		{"the stale marker", []float64{1, math.Float64frombits(value.StaleNaN)}, Aggregate{}, false},
		{"NaN first", []float64{math.NaN(), 1}, Aggregate{}, false},
		{"infinity", []float64{1, math.Inf(-1), 1}, Aggregate{}, false},
		{"both infinities", []float64{math.Inf(1), math.Inf(-1)}, Aggregate{}, false},
		{"a sum that is none", []float64{math.MaxFloat64, math.MaxFloat64, -math.MaxFloat64}, Aggregate{}, false},
	} {
		a, ok := AggregateOf(c.vs)
		if ok != c.ok || ok && !sameAggregate(a, c.want) {
			t.Errorf("%s: %+v %v, want %+v %v", c.name, a, ok, c.want, c.ok)
		}
	}
}

func TestShortFloatsKeepTheirBits(t *testing.T) {
	rnd := newRand(t)
	vs := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, -2.25, 1e-6, 1e-7, 1 << 52, 1<<53 - 1, 1 << 53, 1 << 60, 1e15 + 0.3,
		math.MaxFloat64, math.SmallestNonzeroFloat64, 123456.789}
	for range 20_000 {
		vs = append(vs, math.Float64frombits(rnd.Uint64()), float64(rnd.Int64N(1<<40))/powersOfTen[rnd.IntN(7)])
	}
	for _, v := range vs {
		b := appendShortFloat(nil, v)
		r := format.Reader{B: b}
		if got := readShortFloat(&r); math.Float64bits(got) != math.Float64bits(v) || r.End("float") != nil || len(b) > 9 {
			t.Fatalf("%v (%x) as %x gives %v, %v", v, math.Float64bits(v), b, got, r.Err)
		}
	}
	for v, n := range map[float64]int{0: 1, 7: 1, -7: 1, 0.5: 1, 21.5: 2, 1234.56: 3, 1 << 52: 3} {
		if b := appendShortFloat(nil, v); len(b) != n {
			t.Errorf("%v takes %d bytes, want %d: %x", v, len(b), n, b)
		}
	}
}

// Every chunk that has an aggregate has that of its samples, however the block
// came about; chunks that can have none have none; long plain ones have one.
func TestChunksHaveTheAggregatesOfTheirSamples(t *testing.T) {
	rnd := newRand(t)
	m := &modelBlock{meta: Meta{Key: Key{Partition: firstDay, Level: L2}, MinGen: 1, MaxGen: 1, Inputs: []string{"x"}}}
	add := func(name string, n int, v func(i int) float64) {
		s := modelSeries{labels: labels.FromStrings(MetricName, name)}
		for i := range n {
			s.samples.Append(firstDay+int64(i)*10_000, 0, v(i), model.Histogram{})
		}
		m.series = append(m.series, s)
	}
	noted, derived, none := "noted", "derived", "none"
	add(noted+"_noise", 8640, func(int) float64 { return rnd.NormFloat64() })
	add(noted+"_steps", 8640, func(int) float64 { return float64(rnd.IntN(1000)) / 100 })
	add(derived+"_constant", 8640, func(int) float64 { return 0.1 })
	add(derived+"_one", 1, func(int) float64 { return -3 })
	add(none+"_nan", 4000, func(i int) float64 { return []float64{rnd.Float64(), math.NaN()}[i/3999] })
	add(none+"_stale", 4000, func(i int) float64 {
		if i == 17 {
			return math.Float64frombits(value.StaleNaN)
		}
		return rnd.Float64()
	})
	add(none+"_infinite", 4000, func(i int) float64 { return []float64{rnd.Float64(), math.Inf(1)}[i/3999] })
	add(none+"_short", 100, func(int) float64 { return rnd.Float64() })
	add(none+"_const_stale", 100, func(int) float64 { return math.Float64frombits(value.StaleNaN) })
	add(none+"_const_infinite", 100, func(int) float64 { return math.Inf(-1) })
	m.sort()
	mem := vfs.NewMem()
	first := openTest(t, mem, m.write(t, mem, "data", 1<<20), nil)
	copied := openTest(t, mem, rewrite(t, mem, first, Meta{Key: Key{Partition: firstDay, Level: L2}, MinGen: 2, MaxGen: 2, Inputs: []string{"y"}},
		func(Chunk) bool { return true }), nil)
	for _, b := range []*Block{first, copied} {
		mustBeClean(t, b)
		for ord := range m.series {
			name := m.series[ord].labels.Get(MetricName)
			chunks, err := b.Chunks(uint32(ord), model.AllTime, nil)
			must(t, err)
			for _, c := range chunks {
				a, ok := c.Aggregate()
				if ok == (name[:4] == none) {
					t.Fatalf("%s: aggregate %+v %v", name, a, ok)
				}
				if !ok {
					continue
				}
				all := &m.series[ord].samples
				want, _ := AggregateOf(all.V[all.Search(c.MinTime):all.Search(c.MaxTime+1)])
				if name[:len(derived)] == derived {
					if sum := want.Sum + want.Comp; a.Min != want.Min || a.Max != want.Max || a.Count != want.Count ||
						math.Abs(a.Sum+a.Comp-sum) > 1e-12*math.Abs(sum) {
						t.Fatalf("%s: %+v, want %+v", name, a, want)
					}
				} else if !sameAggregate(a, want) {
					t.Fatalf("%s: %+v, want %+v", name, a, want)
				}
			}
		}
	}
}

// gauges makes the values of a series as fleets of hosts have them, metric by
// metric: counters, memory in pages, percentages, temperatures, flags, times.
func gauges(rnd *rand.Rand, metric, n int) []float64 {
	vs := make([]float64, n)
	at := rnd.Int64N(1 << uint(10+metric%30))
	for i := range vs {
		step := rnd.Int64N(2000)
		switch metric % 8 {
		case 0, 1: // a counter
			at += step
			vs[i] = float64(at)
		case 2: // bytes of memory, in pages
			at = max(0, at+(step-1000)/20)
			vs[i] = float64(at * 4096)
		case 3: // seconds of a processor
			at += step
			vs[i] = float64(at) / 100
		case 4: // a percentage of two numbers
			at = max(0, at+step-1000)
			vs[i] = float64(at%1e9) / 1e9 * 100
		case 5: // a temperature
			at += (step - 1000) / 100
			vs[i] = float64(at%1000) / 10
		case 6: // a flag
			vs[i] = 1
		case 7: // how long something took
			vs[i] = rnd.ExpFloat64() / 1000
		}
	}
	return vs
}

// The directory takes at most 12 bytes a chunk, and at most 36 with aggregates,
// in blocks of many chunks, columns that lie in it included.
func TestTheDirectoryTakesFewBytesAChunk(t *testing.T) {
	for _, c := range []struct {
		name                    string
		meta                    Meta
		targets, perTarget, len int
	}{
		{"long chunks", benchL2, 50, 200, 1440},
		{"short chunks", benchL0, 100, 120, 40},
	} {
		sets, times := fleet(c.targets, c.perTarget, c.len, 60_000)
		rnd := rand.New(rand.NewPCG(3, 3))
		mem := vfs.NewMem()
		w, err := Create(objstore.NewDir(mem, "data"), c.meta, WriterOptions{})
		must(t, err)
		for i, ls := range sets {
			id, _ := model.IdentityOf(idSeed, 0, ls, nil)
			must(t, w.Series(0, id, ls))
			must(t, w.Samples(&model.Samples{T: times[i%c.targets], V: gauges(rnd, i/c.targets, c.len)}))
		}
		info, err := w.Finish()
		must(t, err)
		b := openTest(t, mem, info, nil)
		var chunks, noted, with, without, pages int
		must(t, b.eachDirectoryPage(func(p page, _ int64, d *directoryPage, err error) error {
			must(t, err)
			with += int(p.stored)
			chunks, noted, pages = chunks+len(d.rows), noted+d.aggregates.n, pages+1
			d.aggregates = aggregateList{}
			for i := range d.rows {
				d.rows[i].flags &^= rowAggregate
			}
			without += len(d.append(nil))
			return err
		}))
		fences := b.table[sectionDirectory].length
		each := float64(without) / float64(chunks)
		t.Logf("%s: %d in %d pages, %d with aggregates; %.1f B each and %.2f B of fences, %.1f B an aggregate; %.1f B of the block each", c.name,
			chunks, pages, noted, each, float64(fences)/float64(chunks), float64(with-without)/float64(max(1, noted)), float64(info.Size)/float64(chunks))
		if chunks < 10_000 || c.meta.Level == L2 && noted < chunks/2 {
			t.Errorf("%s: %d, %d with aggregates", c.name, chunks, noted)
		}
		if each > 12 {
			t.Errorf("%s: %.1f B each, at most 12", c.name, each)
		}
		if noted > 0 && each+float64(with-without)/float64(noted) > 36 {
			t.Errorf("%s: %.1f B each, %.1f with an aggregate, at most 36", c.name, each, each+float64(with-without)/float64(noted))
		}
	}
}
