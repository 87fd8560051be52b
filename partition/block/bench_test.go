package block

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
)

// fleet makes the label sets of targets with a number of series each, in block
// order, and the timestamps of each target's scrapes.
func fleet(targets, perTarget, scrapes int, stepMs int64) (sets []labels.Labels, times [][]int64) {
	rnd := rand.New(rand.NewPCG(1, 1))
	times = make([][]int64, targets)
	for i := range times {
		at := firstDay + int64(i)*37
		for range scrapes {
			times[i] = append(times[i], at+rnd.Int64N(8))
			at += stepMs
		}
	}
	for k := range perTarget {
		for i := range targets {
			sets = append(sets, labels.FromStrings(
				MetricName, fmt.Sprintf("node_metric_%04d_total", k), "instance", fmt.Sprintf("host-%05d.example.org:9100", i),
				"job", "node", "region", fmt.Sprintf("region-%d", i%7), "rack", fmt.Sprintf("rack-%02d", i%90),
				"os", "linux", "team", fmt.Sprintf("team-%d", i%12), "env", "production", "device", fmt.Sprintf("dev%d", k%5)))
		}
	}
	return sets, times
}

// walk makes the values of a series: every fourth is constant, the others count.
func walk(rnd *rand.Rand, k, n int) []float64 {
	vs := make([]float64, n)
	v := float64(rnd.IntN(100_000))
	for i := range vs {
		if k%4 != 0 {
			v += float64(rnd.IntN(100))
		}
		vs[i] = v
	}
	return vs
}

func benchBlock(b *testing.B, meta Meta, targets, perTarget, scrapes int, stepMs int64) (write func(fs vfs.FS, dir string) Info, series, samples int) {
	sets, times := fleet(targets, perTarget, scrapes, stepMs)
	rnd := rand.New(rand.NewPCG(2, 2))
	columns := make([][]float64, 64)
	for k := range columns {
		columns[k] = walk(rnd, k, scrapes)
	}
	ids := make([]model.Identity, len(sets))
	for i, ls := range sets {
		ids[i], _ = model.IdentityOf(idSeed, 0, ls, nil)
	}
	return func(fs vfs.FS, dir string) Info {
		w, err := Create(objstore.NewDir(fs, dir), meta, WriterOptions{})
		must(b, err)
		vs := make([]float64, scrapes)
		for i, ls := range sets {
			for k, v := range columns[i*7%len(columns)] {
				vs[k] = v + float64(i) // no two series are equal
			}
			err := w.Series(0, ids[i], ls)
			if err == nil {
				err = w.Samples(&model.Samples{T: times[i%targets], V: vs})
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		info, err := w.Finish()
		must(b, err)
		return info
	}, len(sets), len(sets) * scrapes
}

var (
	benchL0 = Meta{Key: SpanningKey(L0), MinGen: 1, MaxGen: 1}
	benchL2 = Meta{Key: Key{Partition: firstDay, Level: L2}, MinGen: 1, MaxGen: 1, Inputs: []string{"x"}}
)

// discardFS keeps the bytes of the last file only in number.
type discardFS struct{ vfs.FS }

type discardFile struct{ vfs.File }

func (d discardFS) Create(name string) (vfs.File, error) {
	f, err := d.FS.Create(name)
	return discardFile{f}, err
}

func (discardFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

func BenchmarkWriteBlock(b *testing.B) {
	for _, c := range []struct {
		name                        string
		meta                        Meta
		targets, perTarget, scrapes int
		stepMs                      int64
	}{
		{"level=L0/series=100000/samples=40", benchL0, 200, 500, 40, 15_000},
		{"level=L0/series=100000/samples=120", benchL0, 200, 500, 120, 15_000},
		{"level=L2/series=1000/samples=5760", benchL2, 10, 100, 5760, 15_000},
	} {
		b.Run(c.name, func(b *testing.B) {
			write, series, samples := benchBlock(b, c.meta, c.targets, c.perTarget, c.scrapes, c.stepMs)
			b.ReportAllocs()
			b.SetBytes(int64(samples)) // MB/s are million samples a second
			var info Info
			for b.Loop() {
				info = write(discardFS{vfs.NewMem()}, "data")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(series), "ns/chunk")
			b.ReportMetric(float64(info.Size)/float64(samples), "B/sample")
		})
	}
}

func BenchmarkReadSamples(b *testing.B) {
	for _, c := range []struct {
		name                        string
		meta                        Meta
		targets, perTarget, scrapes int
	}{
		{"level=L0/samples=40", benchL0, 200, 50, 40},
		{"level=L0/samples=120", benchL0, 200, 50, 120},
		{"level=L2/samples=5760", benchL2, 10, 100, 5760},
	} {
		for _, cache := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/cache=%v", c.name, cache), func(b *testing.B) {
				write, series, _ := benchBlock(b, c.meta, c.targets, c.perTarget, c.scrapes, 15_000)
				var cc *Cache
				if cache {
					var err error
					cc, err = NewCache(64 << 20)
					must(b, err)
					defer cc.Close()
				}
				dir := b.TempDir()
				block, err := Open(objstore.NewDir(vfs.OS, dir), write(vfs.OS, dir).Name, cc)
				must(b, err)
				defer block.Close()
				b.ReportAllocs()
				b.SetBytes(int64(c.scrapes)) // MB/s are million samples a second
				var s model.Samples
				ord := 0
				for b.Loop() {
					s.Reset()
					if err := samplesOf(context.Background(), block, uint32(ord), model.AllTime, &s); err != nil {
						b.Fatal(err)
					}
					if ord++; ord == series {
						ord = 0
					}
				}
			})
		}
	}
}

func BenchmarkScanBlock(b *testing.B) {
	write, _, samples := benchBlock(b, benchL0, 200, 200, 120, 15_000)
	dir := b.TempDir()
	block, err := Open(objstore.NewDir(vfs.OS, dir), write(vfs.OS, dir).Name, nil)
	must(b, err)
	defer block.Close()
	b.ReportAllocs()
	b.SetBytes(int64(samples)) // MB/s are million samples a second
	var s model.Samples
	for b.Loop() {
		it := block.Iterate()
		for it.Next() {
			s.Reset()
			chunks, err := it.Chunks()
			must(b, err)
			for _, c := range chunks {
				must(b, it.Samples(c, model.AllTime, &s))
			}
		}
		must(b, it.Err())
	}
}

func BenchmarkPostings(b *testing.B) {
	write, series, _ := benchBlock(b, benchL0, 200, 500, 2, 15_000)
	dir := b.TempDir()
	name := write(vfs.OS, dir).Name
	for _, c := range []struct {
		name string
		ms   []*labels.Matcher
	}{
		{"metric", []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, MetricName, "node_metric_0100_total")}},
		{"metric+instance", []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchEqual, MetricName, "node_metric_0100_total"),
			labels.MustNewMatcher(labels.MatchEqual, "instance", "host-00100.example.org:9100")}},
		{"regex", []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "instance", "host-001.*")}},
	} {
		b.Run(fmt.Sprintf("series=%d/%s", series, c.name), func(b *testing.B) {
			block, err := Open(objstore.NewDir(vfs.OS, dir), name, nil)
			must(b, err)
			defer block.Close()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := block.Postings(context.Background(), 0, compiled(c.ms...)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLabels(b *testing.B) {
	write, series, _ := benchBlock(b, benchL0, 200, 500, 2, 15_000)
	c, err := NewCache(64 << 20)
	must(b, err)
	defer c.Close()
	dir := b.TempDir()
	block, err := Open(objstore.NewDir(vfs.OS, dir), write(vfs.OS, dir).Name, c)
	must(b, err)
	defer block.Close()
	b.ReportAllocs()
	ord := uint32(0)
	for b.Loop() {
		if _, err := block.Series(ord); err != nil {
			b.Fatal(err)
		}
		if ord++; int(ord) == series {
			ord = 0
		}
	}
}
