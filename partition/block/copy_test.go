package block

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// rewrite makes a block of another: every chunk is copied, decoded and written
// again, or, if it cannot be read, carried along as bad.
func rewrite(t testing.TB, fs vfs.FS, b *Block, m Meta, copyRaw func(Chunk) bool) Info {
	t.Helper()
	w, err := Create(objstore.NewDir(fs, "data"), m, WriterOptions{})
	must(t, err)
	it := b.Iterate()
	var s model.Samples
	for it.Next() {
		e, err := it.Series()
		must(t, err)
		must(t, w.Series(e.Tenant, e.ID, e.Labels))
		chunks, err := it.Chunks()
		must(t, err)
		mixed := false
		for _, c := range chunks {
			mixed = mixed || c.Kind != chunks[0].Kind
		}
		for _, c := range chunks {
			if mixed || copyRaw(c) {
				err = w.CopyChunk(c)
			} else {
				s.Reset()
				if err = it.Samples(c, model.AllTime, &s); err == nil {
					must(t, w.Samples(&s))
				}
			}
			if errors.Is(err, format.ErrCorrupt) {
				err = w.Bad(c)
			}
			must(t, err)
		}
		es, err := it.Exemplars()
		must(t, err)
		must(t, w.Exemplars(es))
	}
	must(t, it.Err())
	notes, err := b.Metadata()
	must(t, err)
	for _, n := range notes {
		must(t, w.Metadata(n.Tenant, n.Metric, n.Metadata))
	}
	info, err := w.Finish()
	must(t, err)
	return info
}

func TestCopiedChunksHoldTheSameSamples(t *testing.T) {
	rnd := newRand(t)
	for _, share := range []int{0, 1, 2} {
		fs := vfs.NewMem()
		m := randomBlock(rnd, L1, 300)
		b := openTest(t, fs, m.write(t, fs, "data", 1000), nil)
		meta := m.meta
		meta.Level, meta.Inputs = L2, []string{b.Info().Name}
		info := rewrite(t, fs, b, meta, func(Chunk) bool { return rnd.IntN(2) < share })
		again := openTest(t, fs, info, nil)
		m.check(t, again)
		mustBeClean(t, again)
		if info.Samples != b.Info().Samples {
			t.Errorf("%d samples, want %d", info.Samples, b.Info().Samples)
		}
		if max := b.Info().Size * 11 / 10; share == 2 && info.Size > max {
			t.Errorf("a copy of %d bytes takes %d", b.Info().Size, info.Size)
		}
	}
}

// A chunk that cannot be read keeps its place through merges: the samples
// around it stay readable, and the loss stays known.
func TestABadChunkIsCarriedAlong(t *testing.T) {
	fs := vfs.NewMem()
	m := &modelBlock{meta: Meta{Key: Key{Partition: firstDay, Level: L1}, MinGen: 1, MaxGen: 2}}
	s := modelSeries{labels: labels.FromStrings(MetricName, "m")}
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range 20_000 {
		s.samples.Append(firstDay+int64(i)*4000+rnd.Int64N(100), firstDay-5, rnd.NormFloat64(), model.Histogram{})
	}
	m.series = []modelSeries{s}
	info := m.write(t, fs, "data", 1<<20)
	data := readBlockFile(t, fs, info.Name)
	good := openTest(t, fs, info, nil)
	chunks, err := good.Chunks(0, model.AllTime, nil)
	must(t, err)
	lost := chunks[1]
	data[lost.page.frames[streamTimes][lost.page.times[lost.page.rows[lost.row].time].frame].off] ^= 1
	writeBlockFile(t, fs, info.Name, data)

	b := openTest(t, fs, info, nil)
	meta := m.meta
	for round := range 3 {
		meta.Level, meta.Inputs = L2, []string{b.Info().Name}
		info := rewrite(t, fs, b, meta, func(Chunk) bool { return round%2 == 0 })
		b = openTest(t, fs, info, nil)
		mustBeClean(t, b) // the loss is known
		if info.Samples != 20_000 {
			t.Errorf("%d samples", info.Samples)
		}
		var got, want model.Samples
		if err := samplesOf(context.Background(), b, 0, model.AllTime, &got); !errors.Is(err, format.ErrCorrupt) {
			t.Fatalf("error %v, want damage", err)
		}
		want.AppendRange(&s.samples, 0, s.samples.Search(lost.MinTime))
		want.AppendRange(&s.samples, s.samples.Search(lost.MaxTime+1), s.samples.Len())
		if d := diffSamples(&got, &want); d != "" {
			t.Fatal(d)
		}
	}
}

func TestTheWriterRefusesWhatHasNoPlace(t *testing.T) {
	var one model.Samples
	one.Append(firstDay, 0, 1, model.Histogram{})
	late := model.Samples{T: []int64{firstDay + 5, firstDay + 5}, V: []float64{1, 2}}
	other := model.Samples{T: []int64{firstDay + model.DayMs}, V: []float64{1}}
	ls := labels.FromStrings(MetricName, "m")
	cases := map[string]func(w *Writer) error{
		"samples before a series":         func(w *Writer) error { return w.Samples(&one) },
		"exemplars before a series":       func(w *Writer) error { return w.Exemplars([]model.Exemplar{{T: 1}}) },
		"a time twice in a call":          func(w *Writer) error { _ = w.Series(0, model.Identity{}, ls); return w.Samples(&late) },
		"a time outside of the partition": func(w *Writer) error { _ = w.Series(0, model.Identity{}, ls); return w.Samples(&other) },
		"a time twice in two calls": func(w *Writer) error {
			_ = w.Series(0, model.Identity{}, ls)
			_ = w.Samples(&one)
			return w.Samples(&one)
		},
		"a series twice": func(w *Writer) error {
			for range 2 {
				_ = w.Series(0, model.Identity{}, ls)
				_ = w.Samples(&one)
			}
			return w.Series(0, model.Identity{}, ls)
		},
		"no labels": func(w *Writer) error {
			_ = w.Series(0, model.Identity{}, labels.EmptyLabels())
			_ = w.Samples(&one)
			return w.Series(0, model.Identity{}, ls)
		},
	}
	for name, act := range cases {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			w, err := Create(objstore.NewDir(fs, "data"), Meta{Key: Key{Partition: firstDay, Level: L1}, Inputs: []string{"x"}}, WriterOptions{})
			must(t, err)
			if err := act(w); err == nil {
				t.Error("taken")
			}
			if _, err := w.Finish(); err == nil {
				t.Error("finished")
			}
			if names, _ := fs.List("data/" + Raw.KeyAt(firstDay, L1).Dir()); len(names) > 0 {
				t.Errorf("%v left", names)
			}
		})
	}
}

func TestAnEmptyBlockLeavesNoFile(t *testing.T) {
	fs := vfs.NewMem()
	w, err := Create(objstore.NewDir(fs, "data"), Meta{Key: SpanningKey(L0)}, WriterOptions{})
	must(t, err)
	must(t, w.Series(0, model.Identity{}, labels.FromStrings("a", "b")))
	must(t, w.Exemplars([]model.Exemplar{{T: 1, V: 1}}))
	if _, err := w.Finish(); !errors.Is(err, ErrEmptyBlock) {
		t.Errorf("error %v", err)
	}
	if names, _ := fs.List("data/" + format.L0Dir); len(names) > 0 {
		t.Errorf("%v left", names)
	}
	if fs.OpenFiles() > 0 {
		t.Error("file left open")
	}
}

// Every operation of the file system fails once. The writer then says so and
// leaves no file, or, if the error came too late to matter, a good block.
func TestAFailedOperationFailsTheBlock(t *testing.T) {
	m := smallBlock(L1)
	for k := 1; ; k++ {
		mem := vfs.NewMem()
		fs := vfs.NewFault(mem)
		fs.FailAt(k, errors.New("injected"))
		err := func() error {
			w, err := Create(objstore.NewDir(fs, "data"), m.meta, WriterOptions{})
			if err != nil {
				return err
			}
			for i := range m.series {
				_ = w.Series(0, m.series[i].id(), m.series[i].labels)
				_ = w.Samples(&m.series[i].samples)
				if i == len(m.series)-2 {
					break // the tenant of the last is another
				}
			}
			_, err = w.Finish()
			return err
		}()
		if fs.N() < k {
			must(t, err)
			if k < 5 {
				t.Fatalf("only %d operations", k)
			}
			return
		}
		if err == nil {
			t.Fatalf("operation %d: no error", k)
		}
		if mem.OpenFiles() > 0 {
			t.Fatalf("operation %d: file left open", k)
		}
	}
}

func TestNamesFollowFromWhatABlockIs(t *testing.T) {
	for want, m := range map[string]Meta{
		"l0/000000000007-000000000009.tsb": {Key: SpanningKey(L0), MinGen: 7, MaxGen: 9},
		"raw/2024-10-04/l1-000000000001-000000000002-000-" + hash8("a", "b") + ".tsb": {
			Key: Key{Partition: firstDay, Level: L1}, MinGen: 1, MaxGen: 2, Inputs: []string{"a", "b"}},
		"raw/2024-10-04/l2-000000000001-000000000002-012-" + hash8("ab") + ".tsb": {
			Key: Key{Partition: firstDay, Level: L2}, MinGen: 1, MaxGen: 2, Inputs: []string{"ab"}, Ordinal: 12},
	} {
		if got := FileName(m); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if hash8("a", "b") == hash8("ab") {
		t.Error("inputs run together")
	}
}

func hash8(inputs ...string) string {
	name := FileName(Meta{Key: Key{Partition: firstDay, Level: L1}, Inputs: inputs})
	return name[len(name)-12 : len(name)-4]
}

func TestWindowsOfTheLadder(t *testing.T) {
	for k := range uint8(maxRung + 1) {
		at := firstDay
		for n := range int64(1) << k {
			w := windowOf(firstDay, k, at)
			if w.Min != at || w != windowOf(firstDay, k, w.Max-1) {
				t.Fatalf("rung %d, window %d: %v", k, n, w)
			}
			at = w.Max
		}
		if at != firstDay+model.DayMs {
			t.Fatalf("rung %d ends at %d", k, at-firstDay)
		}
	}
	for _, c := range []struct {
		stepMs int64
		rung   uint8
	}{{15_000, 0}, {14_063, 0}, {14_000, 1}, {10_000, 1}, {5_000, 2}, {1_000, 4}, {100, 8}, {10, 10}, {1, 10}} {
		t.Run(fmt.Sprintf("step=%d", c.stepMs), func(t *testing.T) {
			var ts []int64
			for at := firstDay; at < firstDay+model.DayMs && len(ts) < 1<<20; at += c.stepMs {
				ts = append(ts, at)
			}
			if got := rungOf(firstDay, 0, ts); got != c.rung {
				t.Errorf("rung %d, want %d", got, c.rung)
			}
		})
	}
}

// A series with more samples than a writer holds back is written as it comes.
func TestADenseSeriesIsWrittenInBoundedMemory(t *testing.T) {
	m := &modelBlock{meta: Meta{Key: Key{Partition: firstDay, Level: L1}, MinGen: 1, MaxGen: 1, Inputs: []string{"x"}}}
	s := modelSeries{labels: labels.FromStrings(MetricName, "m")}
	for i := range int64(3 * heldFloats) {
		s.samples.Append(firstDay+i*100, 0, float64(i%7), model.Histogram{})
	}
	for i := range int64(100_000) { // one window of the last rung is overfull
		s.samples.Append(firstDay+model.DayMs-100_000+i, 0, 1, model.Histogram{})
	}
	m.series = []modelSeries{s}
	fs := vfs.NewMem()
	b := openTest(t, fs, m.write(t, fs, "data", 10_000), nil)
	m.check(t, b)
	mustBeClean(t, b)
}
