package block

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// modelRollup is the model of a block of a rollup.
type modelRollup struct {
	meta   Meta
	series []rollupSeries // in block order
}

type rollupSeries struct {
	labels  labels.Labels
	buckets model.Buckets
	standIn []standIn // not adjacent
}

func rollupMeta(tier Tier, days uint32) Meta {
	return Meta{Key: Key{Tier: tier, Partition: firstDay, Level: L2}, MinGen: 3, MaxGen: 9, Days: days,
		Sources: []string{"raw/2024-10-04/l2-x.tsb"}, Tombstone: 5}
}

// appendBucket appends the bucket with an end of n floats at the times end - resolution
// + offset + k × step, k < n.
func appendBucket(b *model.Buckets, end, resolution int64, n int, offset, step int64, v func() float64) {
	i := b.Grow(1)
	b.End[i], b.Count[i] = end, uint32(n)
	if n == 0 {
		b.Flags[i] = model.BucketStale
		return
	}
	at := func(k int) int64 { return end - resolution + offset + int64(k)*step }
	b.First[i], b.T1[i] = at(0), at(n-1)
	b.Min[i], b.Max[i] = math.Inf(1), math.Inf(-1)
	for k := range n {
		x := v()
		switch {
		case k == 0:
			b.FirstV[i] = x
		case x < b.V1[i]:
			b.Resets[i]++
			b.Lost[i] += b.V1[i]
			fallthrough
		case x != b.V1[i]:
			b.Changes[i]++
		}
		if k > 0 {
			b.V2[i], b.T2[i] = b.V1[i], at(k-1)
		}
		if k > 1 {
			b.T3[i] = at(k - 2)
		}
		b.V1[i] = x
		b.Min[i], b.Max[i] = min(b.Min[i], x), max(b.Max[i], x)
		b.Sum[i] += x
	}
}

// fill adds the buckets of a day, each of n floats step apart.
func (s *rollupSeries) fill(day int64, tier Tier, n int, offset, step int64, v func() float64) {
	start := firstDay - 1 + day*model.DayMs
	for end := start + tier.Ms(); end <= start+model.DayMs; end += tier.Ms() {
		appendBucket(&s.buckets, end, tier.Ms(), n, offset, step, v)
	}
}

// omitResets makes buckets of a series that falls often of the rows from from on.
func omitResets(b *model.Buckets, from int) {
	for i := from; i < b.Len(); i++ {
		b.Flags[i] |= model.BucketNoResets
		b.Lost[i], b.Resets[i], b.Changes[i] = 0, 0, 0
	}
}

func (s *rollupSeries) standInOn(day, days int64, samples uint64) {
	start := firstDay + day*model.DayMs
	s.standIn = append(s.standIn, standIn{model.TimeRange{Min: start, Max: start + days*model.DayMs}, samples})
}

// smallRollup is a block with everything a rollup can have, in few bytes.
func smallRollup(tier Tier) *modelRollup {
	m := &modelRollup{meta: rollupMeta(tier, 8), series: make([]rollupSeries, 0, 4)} // add returns pointers into it
	rnd := rand.New(rand.NewPCG(uint64(tier), 5))
	add := func(name string) *rollupSeries {
		m.series = append(m.series, rollupSeries{labels: labels.FromStrings(MetricName, name, "instance", "host-0")})
		return &m.series[len(m.series)-1]
	}
	step := tier.Ms() / 4
	count := add("a_total") // regular, its times shared with the next
	gauge := add("b_celsius")
	at := 0.0
	for day := range int64(2) {
		count.fill(day, tier, 4, 7, step, func() float64 { at += float64(rnd.IntN(3)); return at })
		gauge.fill(day, tier, 4, 7, step, func() float64 { return float64(rnd.IntN(300)) / 10 })
	}
	odd := add("c_odd")
	for i, n := range []int{1, 2, 3, 0, 5} {
		end := firstDay - 1 + int64(1+i*(i+1)/2)*tier.Ms()
		appendBucket(&odd.buckets, end, tier.Ms(), n, 11, step/3, rnd.NormFloat64)
	}
	odd.buckets.Flags[1] |= model.BucketHistogram
	odd.buckets.Flags[2] |= model.BucketStart
	odd.standInOn(1, 2, 900)
	odd.fill(4, tier, 1, 1, step, func() float64 { return 2 })
	odd.standInOn(7, 1, 10)
	add("d_samples").standInOn(0, 8, 1<<20)
	return m
}

// randomRollup makes a rollup of up to n series.
func randomRollup(rnd *rand.Rand, n int) *modelRollup {
	tier := Rollups[rnd.IntN(len(Rollups))]
	days := []uint32{1, 2, 8, 64}[rnd.IntN(4)]
	if tier < HalfHour {
		days = min(days, 8)
	}
	m := &modelRollup{meta: rollupMeta(tier, days)}
	for i := range n {
		s := rollupSeries{labels: labels.FromStrings(MetricName, fmt.Sprintf("m_%04d", i))}
		offset, step := 1+rnd.Int64N(10), tier.Ms()/20
		at := 0.0
		vs := []func() float64{
			func() float64 { return 1 },
			func() float64 { at += float64(rnd.IntN(100)); return at },
			rnd.NormFloat64,
			func() float64 { return float64(rnd.IntN(50)) / 4 },
		}[rnd.IntN(4)]
		for day := range int64(days) {
			switch rnd.IntN(10) {
			case 0:
			case 1:
				if k := len(s.standIn); k > 0 && s.standIn[k-1].days.Max == firstDay+day*model.DayMs {
					s.standIn[k-1].days.Max += model.DayMs
					s.standIn[k-1].samples += 10
				} else {
					s.standInOn(day, 1, 10)
				}
			case 2:
				for end := firstDay - 1 + day*model.DayMs + tier.Ms(); end < firstDay+(day+1)*model.DayMs; end += tier.Ms() {
					if rnd.IntN(3) > 0 {
						appendBucket(&s.buckets, end, tier.Ms(), rnd.IntN(5), 1+rnd.Int64N(step), 1+rnd.Int64N(step), vs)
					}
				}
			default:
				from := s.buckets.Len()
				if s.fill(day, tier, 1+rnd.IntN(15), offset, step, vs); rnd.IntN(3) == 0 {
					omitResets(&s.buckets, from)
				}
			}
		}
		if s.buckets.Len()+len(s.standIn) > 0 {
			m.series = append(m.series, s)
		}
	}
	return m
}

// write writes the block, in batches of at most batch buckets, stand-ins day by day.
func (m *modelRollup) write(t testing.TB, fs vfs.FS, batch int) Info {
	t.Helper()
	w, err := Create(objstore.NewDir(fs, "data"), m.meta, WriterOptions{})
	must(t, err)
	for i := range m.series {
		s := &m.series[i]
		must(t, w.Series(0, s.id(), s.labels))
		writeRows(t, w, s, batch)
	}
	info, err := w.Finish()
	must(t, err)
	return info
}

func writeRows(t testing.TB, w *Writer, s *rollupSeries, batch int) {
	t.Helper()
	from, days := 0, s.standIn
	for from < s.buckets.Len() || len(days) > 0 {
		to := s.buckets.Len()
		if len(days) > 0 {
			to = s.buckets.Search(days[0].days.Min)
		}
		for ; from < to; from += min(batch, to-from) {
			part := s.buckets.Slice(from, min(to, from+batch))
			must(t, w.Buckets(&part))
		}
		if len(days) == 0 {
			continue
		}
		r, samples := days[0].days, days[0].samples
		for ; r.Min < r.Max; r.Min += model.DayMs {
			n := uint64(1)
			if r.Min+model.DayMs == r.Max {
				n = samples
			}
			must(t, w.StandIn(model.TimeRange{Min: r.Min, Max: r.Min + model.DayMs}, n))
			samples -= n
		}
		days = days[1:]
	}
}

func (s *rollupSeries) id() model.Identity {
	id, _ := model.IdentityOf(idSeed, 0, s.labels, nil)
	return id
}

// in returns the rows and stand-ins of a range.
func (s *rollupSeries) in(tr model.TimeRange) (model.Buckets, []model.TimeRange) {
	var days []model.TimeRange
	for _, d := range s.standIn {
		if r := d.days.Intersect(tr); !r.Empty() {
			days = append(days, r)
		}
	}
	i, j := s.buckets.Search(tr.Min), s.buckets.Search(tr.Max)
	return s.buckets.Slice(i, max(i, j)), days
}

// diffBuckets says where rows differ in Flags, times or the columns of need; "" if
// nowhere.
func diffBuckets(got, want *model.Buckets, need model.BucketColumns) string {
	if got.Len() != want.Len() {
		return fmt.Sprintf("%d buckets, want %d", got.Len(), want.Len())
	}
	row := func(b *model.Buckets, i int, need model.BucketColumns) string {
		column := func(c model.BucketColumns, v float64) uint64 {
			if need&c == 0 {
				return 0
			}
			return math.Float64bits(v)
		}
		return fmt.Sprintf("%d: flags %d, %d floats at %d … %d %d %d, values %x", b.End[i], b.Flags[i], b.Count[i], b.First[i], b.T3[i], b.T2[i], b.T1[i],
			[]uint64{column(model.ColumnFirst, b.FirstV[i]), column(model.ColumnLast, b.V1[i]), column(model.ColumnLast2, b.V2[i]),
				column(model.ColumnMin, b.Min[i]), column(model.ColumnMax, b.Max[i]), column(model.ColumnSum, b.Sum[i]),
				column(model.ColumnLost, b.Lost[i]), column(model.ColumnResets, float64(b.Resets[i])), column(model.ColumnChanges, float64(b.Changes[i]))})
	}
	for i := range got.End {
		if g, w := row(got, i, need), row(want, i, need); g != w {
			return fmt.Sprintf("bucket %s, want %s", g, w)
		}
	}
	return ""
}

// check compares what a block answers with the model.
func (m *modelRollup) check(t testing.TB, b *Block, rnd *rand.Rand) {
	t.Helper()
	mustBeClean(t, b)
	rows := uint64(0)
	it := b.Iterate()
	r := b.Reader()
	defer r.Release()
	span := m.meta.Span()
	for i := range m.series {
		s := &m.series[i]
		rows += uint64(s.buckets.Len() + len(s.standIn))
		if !it.Next() {
			t.Fatal("iterator ends early", it.Err())
		}
		var got model.Buckets
		got.AppendSample(1, 1) // what dst held stays
		days, err := it.Buckets(model.AllTime, model.AllBucketColumns, &got, []model.TimeRange{{}})
		must(t, err)
		rest := got.Slice(1, got.Len())
		want, wantDays := s.in(model.AllTime)
		if d := diffBuckets(&rest, &want, model.AllBucketColumns); d != "" || !slices.Equal(days[1:], wantDays) || got.End[0] != 1 {
			t.Fatalf("series %d: days %v, want %v; %s", i, days, wantDays, d)
		}
		for range 4 {
			tr := model.TimeRange{Min: span.Min + rnd.Int64N(span.Max-span.Min)}
			tr.Max = tr.Min + rnd.Int64N(span.Max-tr.Min+1)
			need := model.BucketColumns(rnd.IntN(model.AllBucketColumns + 1))
			got.Truncate(1)
			days, err := r.Buckets(context.Background(), uint32(i), tr, need, &got, nil)
			must(t, err)
			rest := got.Slice(1, got.Len())
			want, wantDays := s.in(tr)
			if d := diffBuckets(&rest, &want, need); d != "" || !slices.Equal(days, wantDays) {
				t.Fatalf("series %d, %v, columns %b: days %v, want %v; %s", i, tr, need, days, wantDays, d)
			}
		}
	}
	if got := b.Info(); got.Samples != rows || got.Series != uint64(len(m.series)) {
		t.Errorf("%d rows of %d series, want %d of %d", got.Samples, got.Series, rows, len(m.series))
	}
}

func TestRollupsGiveBackWhatWasWritten(t *testing.T) {
	rnd := newRand(t)
	for range 8 {
		m := randomRollup(rnd, 40)
		fs, again := vfs.NewMem(), vfs.NewMem()
		info := m.write(t, fs, 1+rnd.IntN(2000))
		c, err := NewCache(1 << 20)
		must(t, err)
		b := openTest(t, fs, info, c)
		t.Cleanup(c.Close)
		if got := fmt.Sprint(b.Info()); got != fmt.Sprint(info) {
			t.Fatalf("info %s, want %v", got, info)
		}
		m.check(t, b, rnd)
		// The bytes do not depend on the batches.
		if info := m.write(t, again, 1<<20); !bytes.Equal(readBlockFile(t, fs, info.Name), readBlockFile(t, again, info.Name)) {
			t.Fatal("bytes differ")
		}
	}
}

// Chunks of buckets hold as many whole days as fit, from the first day of the block
// on, and series with equal times share the column.
func TestBucketChunksHoldWholeDays(t *testing.T) {
	for _, c := range []struct {
		tier Tier
		days int64 // of the block
		want []int // buckets of the chunks
	}{
		{Hour, 64, []int{64 * 24}},
		{HalfHour, 64, []int{64 * 48}},
		{Minutes5, 20, []int{16 * 288, 4 * 288}},
		{Minute, 8, []int{4 * 1440, 4 * 1440}},
		{Minute, 1, []int{1440}},
	} {
		m := &modelRollup{meta: rollupMeta(c.tier, uint32(c.days))}
		for k := range 3 {
			s := rollupSeries{labels: labels.FromStrings(MetricName, fmt.Sprintf("m%d", k))}
			for day := range c.days {
				s.fill(day, c.tier, 2, 5, 1000, func() float64 { return float64(k) })
			}
			m.series = append(m.series, s)
		}
		fs := vfs.NewMem()
		b := openTest(t, fs, m.write(t, fs, 5000), nil)
		mustBeClean(t, b)
		for ord := range uint32(3) {
			chunks, err := b.Chunks(ord, model.AllTime, nil)
			must(t, err)
			var got []int
			for i, ch := range chunks {
				got = append(got, int(ch.Count))
				if ch.Count > MaxChunkSamples || ch.page.rows[ch.row].time != uint32(i) {
					t.Errorf("%v: chunk %d of series %d has time column %d, %d buckets", c.tier, i, ord, ch.page.rows[ch.row].time, ch.Count)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v: chunks of %v buckets, want %v", c.tier, got, c.want)
			}
		}
	}
}

// A chunk has the resets of all its buckets or of none, so that no bucket loses its own.
func TestChunksEndWhereResetsAreLeftOut(t *testing.T) {
	m := &modelRollup{meta: rollupMeta(Hour, 64), series: []rollupSeries{{labels: labels.FromStrings(MetricName, "m")}}}
	s, v := &m.series[0], 0.0
	for day := range int64(64) {
		from := s.buckets.Len()
		s.fill(day, Hour, 9, 5, 1000, func() float64 { v = 7 - v; return v })
		if day == 3 || day == 4 || day == 40 {
			omitResets(&s.buckets, from)
		}
	}
	fs := vfs.NewMem()
	b := openTest(t, fs, m.write(t, fs, 77), nil)
	m.check(t, b, newRand(t))
	chunks, err := b.Chunks(0, model.AllTime, nil)
	must(t, err)
	var got []int
	for _, ch := range chunks {
		got = append(got, int(ch.Count))
	}
	if want := []int{3 * 24, 2 * 24, 35 * 24, 24, 23 * 24}; !slices.Equal(got, want) {
		t.Errorf("chunks of %v buckets, want %v", got, want)
	}
}

func TestTheWriterRefusesRowsOfTheWrongTier(t *testing.T) {
	const hour = int64(Hour)
	bucket := func(end int64) *model.Buckets {
		var b model.Buckets
		appendBucket(&b, end, hour, 2, 1, 1, func() float64 { return 1 })
		return &b
	}
	day := model.TimeRange{Min: firstDay, Max: firstDay + model.DayMs}
	noon := firstDay - 1 + 12*hour
	cases := map[string]func(w *Writer) error{
		"samples":              func(w *Writer) error { return w.Samples(&model.Samples{T: []int64{noon}, V: []float64{1}}) },
		"inside of a bucket":   func(w *Writer) error { return w.Buckets(bucket(noon + 1)) },
		"before the block":     func(w *Writer) error { return w.Buckets(bucket(firstDay - 1)) },
		"after the block":      func(w *Writer) error { return w.Buckets(bucket(firstDay - 1 + 49*hour)) },
		"twice":                func(w *Writer) error { return errors.Join(w.Buckets(bucket(noon)), w.Buckets(bucket(noon))) },
		"time outside":         func(w *Writer) error { b := bucket(noon); b.T1[0] = noon + 1; return w.Buckets(b) },
		"times out of order":   func(w *Writer) error { b := bucket(noon); b.Count[0] = 3; return w.Buckets(b) },
		"unknown flag":         func(w *Writer) error { b := bucket(noon); b.Flags[0] = 1 << 7; return w.Buckets(b) },
		"stand-in of an hour":  func(w *Writer) error { return w.StandIn(model.TimeRange{Min: firstDay, Max: firstDay + hour}, 1) },
		"stand-in of nothing":  func(w *Writer) error { return w.StandIn(day, 0) },
		"stand-in of no time":  func(w *Writer) error { return w.StandIn(model.TimeRange{Min: firstDay, Max: firstDay}, 1) },
		"stand-in of too much": func(w *Writer) error { return w.StandIn(day, uint64(model.DayMs)+1) },
		"buckets and stand-in": func(w *Writer) error { return errors.Join(w.Buckets(bucket(noon)), w.StandIn(day, 1)) },
		"stand-in and buckets": func(w *Writer) error { return errors.Join(w.StandIn(day, 1), w.Buckets(bucket(noon))) },
	}
	for name, act := range cases {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			w, err := Create(objstore.NewDir(fs, "data"), rollupMeta(Hour, 2), WriterOptions{})
			must(t, err)
			if err := act(w); err == nil {
				t.Error("taken without a series")
			}
			w.Abort()
			w, err = Create(objstore.NewDir(fs, "data"), rollupMeta(Hour, 2), WriterOptions{})
			must(t, err)
			must(t, w.Series(0, model.Identity{}, labels.FromStrings(MetricName, "m")))
			if err := act(w); err == nil {
				t.Error("taken")
			}
			if _, err := w.Finish(); err == nil {
				t.Error("finished")
			}
		})
	}
	fs := vfs.NewMem()
	w, err := Create(objstore.NewDir(fs, "data"), Meta{Key: Key{Partition: firstDay, Level: L2}, Inputs: []string{"x"}}, WriterOptions{})
	must(t, err)
	must(t, w.Series(0, model.Identity{}, labels.FromStrings(MetricName, "m")))
	if err := errors.Join(w.Buckets(bucket(noon)), w.StandIn(day, 1)); err == nil {
		t.Error("a block of the raw tier takes buckets")
	}
	w.Abort()
}

// Samples are not read from a rollup, nor buckets from samples; neither is damage,
// for which a merge would mark the chunk as lost.
func TestRowsOfAnotherTierAreAnError(t *testing.T) {
	fs := vfs.NewMem()
	rollup := openTest(t, fs, smallRollup(Hour).write(t, fs, 100), nil)
	raw := openTest(t, fs, smallBlock(L2).write(t, fs, "data", 100), nil)
	ctx := context.Background()
	fails := func(what string, err error) {
		t.Helper()
		if err == nil || errors.Is(err, format.ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var s model.Samples
	for ord := range uint32(rollup.Info().Series) {
		fails("samples of a rollup", samplesOf(ctx, rollup, ord, model.AllTime, &s))
	}
	r := raw.Reader()
	defer r.Release()
	var b model.Buckets
	_, err := r.Buckets(ctx, 0, model.AllTime, 0, &b, nil)
	fails("buckets of samples", err)

	it := rollup.Iterate()
	w, err := Create(objstore.NewDir(fs, "data"), Meta{Key: Key{Partition: firstDay, Level: L2}, Inputs: []string{"x"}}, WriterOptions{})
	must(t, err)
	defer w.Abort()
	for it.Next() {
		e, err := it.Series()
		must(t, err)
		must(t, w.Series(e.Tenant, e.ID, e.Labels))
		chunks, err := it.Chunks()
		must(t, err)
		for _, c := range chunks {
			fails("samples of a chunk", it.Samples(c, model.AllTime, &s))
			fails("copy", w.CopyChunk(c))
			fails("bad chunk", w.Bad(c))
		}
	}
	must(t, it.Err())
}

// One bit in every byte is changed: the rows are then the same, or refused.
func TestAChangedByteOfARollupIsNoticed(t *testing.T) {
	for _, tier := range []Tier{HalfHour, Hour} {
		fs := vfs.NewMem()
		m := smallRollup(tier)
		info := m.write(t, fs, 100)
		data := readBlockFile(t, fs, info.Name)
		for off := range data {
			flip := byte(1) << (off % 8)
			data[off] ^= flip
			fs := vfs.NewMem()
			writeBlockFile(t, fs, info.Name, data)
			b, err := Open(objstore.NewDir(fs, "data"), info.Name, nil)
			must(t, err)
			r := b.Reader()
			for i := range m.series {
				var got model.Buckets
				days, err := r.Buckets(context.Background(), uint32(i), model.AllTime, model.AllBucketColumns, &got, nil)
				want, wantDays := m.series[i].in(model.AllTime)
				switch d := diffBuckets(&got, &want, model.AllBucketColumns); {
				case err != nil && !errors.Is(err, format.ErrCorrupt):
					t.Fatalf("byte %d: %v", off, err)
				case err == nil && (d != "" || !slices.Equal(days, wantDays)):
					t.Fatalf("byte %d: series %d without an error: %v, %s", off, i, days, d)
				}
			}
			noticed := 0
			must(t, b.Check(context.Background(), func(int64, string) { noticed++ }))
			sums := 0
			must(t, b.ValidateChecksums(context.Background(), func(int64, string) { sums++ }))
			if noticed == 0 || sums == 0 {
				t.Fatalf("byte %d: check notices %d damages, checksums %d", off, noticed, sums)
			}
			r.Release()
			must(t, b.Close())
			data[off] ^= flip
		}
	}
}
