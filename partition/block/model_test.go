package block

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
)

// The model of a block is a sorted list of series with all they were given.
// What a Block answers is held against it.

const firstDay int64 = 20_000*model.DayMs + 1 // first millisecond of a partition

const idSeed = 7

type modelSeries struct {
	tenant    uint32
	labels    labels.Labels
	samples   model.Samples
	exemplars []model.Exemplar
	gen       uint64 // 0 = the newest of the block
}

func (s *modelSeries) id() model.Identity {
	id, _ := model.IdentityOf(idSeed, s.tenant, s.labels, nil)
	return id
}

type modelBlock struct {
	meta     Meta
	series   []modelSeries // in block order
	notes    []MetricMetadata
	repeated Repeated
}

func (m *modelBlock) sort() {
	slices.SortFunc(m.series, func(a, b modelSeries) int { return Compare(a.tenant, a.labels, b.tenant, b.labels) })
	m.series = slices.CompactFunc(m.series, func(a, b modelSeries) bool {
		return Compare(a.tenant, a.labels, b.tenant, b.labels) == 0
	})
}

// write writes the block, in batches of at most batch samples.
func (m *modelBlock) write(t testing.TB, fs vfs.FS, dir string, batch int) Info {
	t.Helper()
	return m.writeWith(t, fs, dir, batch, WriterOptions{})
}

func (m *modelBlock) writeWith(t testing.TB, fs vfs.FS, dir string, batch int, o WriterOptions) Info {
	t.Helper()
	o.Repeated = m.repeated
	w, err := Create(objstore.NewDir(fs, dir), m.meta, o)
	must(t, err)
	for i := range m.series {
		s := &m.series[i]
		must(t, w.Series(s.tenant, s.id(), s.labels))
		for from := 0; from < s.samples.Len(); from += batch {
			part := s.samples.Slice(from, min(from+batch, s.samples.Len()))
			must(t, w.Samples(&part))
		}
		must(t, w.Exemplars(s.exemplars))
		if s.gen > 0 {
			must(t, w.Generation(s.gen))
		}
	}
	for _, n := range m.notes {
		must(t, w.Metadata(n.Tenant, n.Metric, n.Metadata))
	}
	info, err := w.Finish()
	must(t, err)
	return info
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// samplesOf appends the samples of a series of b that lie in tr to dst.
func samplesOf(ctx context.Context, b *Block, ord uint32, tr model.TimeRange, dst *model.Samples) error {
	r := b.Reader()
	defer r.Release()
	return r.Append(ctx, ord, tr, dst)
}

// check compares everything a block answers with the model.
func (m *modelBlock) check(t testing.TB, b *Block) {
	t.Helper()
	if got := b.Info().Series; got != uint64(len(m.series)) {
		t.Fatalf("%d series, want %d", got, len(m.series))
	}
	var got model.Samples
	for i := range m.series {
		want := &m.series[i]
		e, err := b.Series(uint32(i))
		must(t, err)
		if e.Tenant != want.tenant || e.ID != want.id() || !labels.Equal(e.Labels, want.labels) {
			t.Fatalf("series %d: %v, want %v", i, e, want.labels)
		}
		id, err := b.ID(uint32(i))
		must(t, err)
		if id != want.id() {
			t.Fatalf("series %d: identity %v, want %v", i, id, want.id())
		}
		if gen, err := b.Generation(uint32(i)); err != nil || gen != cmp.Or(want.gen, m.meta.MaxGen) {
			t.Fatalf("series %d: generation %d, %v, want %d", i, gen, err, want.gen)
		}
		got.Reset()
		must(t, samplesOf(context.Background(), b, uint32(i), model.AllTime, &got))
		if d := diffSamples(&got, &want.samples); d != "" {
			t.Fatalf("series %d %v: %s", i, want.labels, d)
		}
		es, err := b.Exemplars(uint32(i))
		must(t, err)
		if !slices.EqualFunc(es, want.exemplars, model.Exemplar.Equal) {
			t.Fatalf("series %d: exemplars %v, want %v", i, es, want.exemplars)
		}
	}
	if got := b.Repeated(); !reflect.DeepEqual(got, m.repeated) {
		t.Fatalf("footer repeats %+v, want %+v", got, m.repeated)
	}
	notes, err := b.Metadata()
	must(t, err)
	if !slices.Equal(notes, m.notes) {
		t.Fatalf("metadata %v, want %v", notes, m.notes)
	}
}

// diffSamples says where two columns of samples differ, "" if nowhere.
func diffSamples(got, want *model.Samples) string {
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

// randomBlock makes a block with up to n series of every sort.
func randomBlock(rnd *rand.Rand, level Level, n int) *modelBlock {
	m := &modelBlock{meta: Meta{Key: SpanningKey(level), MinGen: 3, MaxGen: 3}}
	if level != L0 {
		m.meta.Partition = firstDay
		m.meta.Inputs = []string{"l0/3-3.tsb", "l0/4-4.tsb"}
		m.meta.MaxGen = 4
	}
	for range n {
		m.series = append(m.series, randomSeries(rnd, level))
	}
	m.sort()
	for i := range rnd.IntN(4) {
		m.notes = append(m.notes, MetricMetadata{
			Tenant: uint32(i / 2), Metric: fmt.Sprintf("metric_%d", i),
			Metadata: model.Metadata{Type: "counter", Unit: "s", Help: fmt.Sprintf("help %d", i)},
		})
	}
	return m
}

func randomSeries(rnd *rand.Rand, level Level) modelSeries {
	s := modelSeries{tenant: uint32(rnd.IntN(3) * 5 / 4)}
	b := labels.NewScratchBuilder(4)
	if rnd.IntN(20) > 0 {
		b.Add(MetricName, fmt.Sprintf("metric_%d", rnd.IntN(5)))
	}
	b.Add("instance", fmt.Sprintf("host-%d:9100", rnd.IntN(50)))
	for _, name := range []string{"Zone", "cpu", "mode", "Öl", "job"} {
		if rnd.IntN(3) == 0 {
			b.Add(name, fmt.Sprintf("%s-%d", name, rnd.IntN(30)))
		}
	}
	b.Sort()
	s.labels = b.Labels()
	s.samples = randomSamples(rnd, level)
	for range rnd.IntN(3) * rnd.IntN(2) {
		e := model.Exemplar{T: firstDay + rnd.Int64N(1000), V: rnd.Float64()}
		if rnd.IntN(2) == 0 {
			e.Labels = labels.FromStrings("trace_id", fmt.Sprint(rnd.Uint32()))
		}
		s.exemplars = append(s.exemplars, e)
	}
	return s
}

var oddFloats = []float64{
	math.Float64frombits(value.StaleNaN), math.Float64frombits(value.NormalNaN), math.Float64frombits(0xfff8000000001234),
	math.Inf(1), math.Inf(-1), math.Copysign(0, -1), math.SmallestNonzeroFloat64, math.MaxFloat64,
}

func randomSamples(rnd *rand.Rand, level Level) model.Samples {
	var s model.Samples
	days := int64(1)
	if level == L0 {
		days = 3
	}
	n := 1 + rnd.IntN(60)
	switch rnd.IntN(12) {
	case 0:
		n = 200 + rnd.IntN(2000)
	case 1:
		n = 6000 + rnd.IntN(3000)
	}
	end := firstDay + days*model.DayMs
	step := max(1, (end-firstDay)/int64(n+1)/(1+rnd.Int64N(50)))
	t := firstDay + rnd.Int64N(step)
	kind, starts := rnd.IntN(6), rnd.IntN(4) == 0
	jitter := rnd.IntN(2) == 0
	v := float64(rnd.IntN(1000))
	for range n {
		st := int64(0)
		if starts && rnd.IntN(3) > 0 {
			st = firstDay - 1000 + rnd.Int64N(3)
		}
		switch rnd.IntN(8) {
		case 0:
			v = rnd.NormFloat64()
		case 1:
			if rnd.IntN(10) == 0 {
				v = oddFloats[rnd.IntN(len(oddFloats))]
			}
		case 2, 3, 4:
			v = math.Trunc(v) + float64(rnd.IntN(5))
		}
		var h model.Histogram
		if kind == 0 || kind == 1 && rnd.IntN(3) == 0 {
			h = randomHistogram(rnd)
			s.Append(t, st, 0, h)
		} else {
			s.Append(t, st, v, h)
		}
		d := step
		if jitter {
			d = 1 + rnd.Int64N(step)
		}
		if t += d; t >= end {
			break
		}
	}
	return s
}

func randomHistogram(rnd *rand.Rand) model.Histogram {
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

func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func openTest(t testing.TB, fs vfs.FS, info Info, c *Cache) *Block {
	t.Helper()
	b, err := Open(objstore.NewDir(fs, "data"), info.Name, c)
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

func TestBlockGivesBackWhatWasWritten(t *testing.T) {
	for _, level := range []Level{L0, L1, L2} {
		for _, withCache := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/cache=%v", level, withCache), func(t *testing.T) {
				rnd := newRand(t)
				var c *Cache
				if withCache {
					var err error
					c, err = NewCache(1 << 20)
					must(t, err)
					t.Cleanup(c.Close)
				}
				for range 6 {
					m := randomBlock(rnd, level, 1+rnd.IntN(400))
					fs := vfs.NewMem()
					info := m.write(t, fs, "data", 1+rnd.IntN(5000))
					b := openTest(t, fs, info, c)
					if got := fmt.Sprint(b.Info()); got != fmt.Sprint(info) {
						t.Fatalf("info %s, want %v", got, info)
					}
					m.check(t, b)
					m.checkRanges(t, b, rnd)
				}
			})
		}
	}
}

// checkRanges reads random ranges of random series.
func (m *modelBlock) checkRanges(t testing.TB, b *Block, rnd *rand.Rand) {
	t.Helper()
	for range 100 {
		ord := rnd.IntN(len(m.series))
		s := &m.series[ord].samples
		tr := model.TimeRange{
			Min: s.T[rnd.IntN(s.Len())] - rnd.Int64N(3) + 1,
			Max: s.T[rnd.IntN(s.Len())] - rnd.Int64N(3) + 1,
		}
		var got, want model.Samples
		want.Append(1, 0, 1, model.Histogram{})
		got.Append(1, 0, 1, model.Histogram{})
		if i, j := s.Search(tr.Min), s.Search(tr.Max); i < j {
			want.AppendRange(s, i, j)
		}
		must(t, samplesOf(context.Background(), b, uint32(ord), tr, &got))
		if d := diffSamples(&got, &want); d != "" {
			t.Fatalf("series %d, range %v: %s", ord, tr, d)
		}
	}
}
