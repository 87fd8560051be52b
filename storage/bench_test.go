package storage

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// benchFleet makes a database with a number of hosts that have a number of metrics each,
// scraped every stepMs with some milliseconds of jitter, all in one block of a
// day: a quarter of the series never change, the others are counters of
// integers, gauges of two decimals and counters of seconds.
func benchFleet(b *testing.B, hosts, metrics, scrapes int, stepMs int64) *DB {
	b.Helper()
	ctx := context.Background()
	start := time.Date(2026, 3, 10, 0, 0, 1, 0, time.UTC)
	clock := vfs.NewManualClock(start)
	db, err := Open(ctx, vfs.OS, b.TempDir(), Options{Clock: clock, Seed: 1, AliasSeed: 1})
	check(b, err)
	b.Cleanup(func() { check(b, db.Close(ctx)) })
	rnd := rand.New(rand.NewPCG(1, 1))
	jitter := make([][]int64, hosts)
	for h := range jitter {
		jitter[h] = make([]int64, scrapes)
		for k := range jitter[h] {
			jitter[h][k] = rnd.Int64N(8)
		}
	}
	clock.Advance(time.Duration(int64(scrapes)*stepMs) * time.Millisecond)
	for m := range metrics {
		batch := db.NewBatch("bench", model.DefaultTenant)
		for h := range hosts {
			ls := labels.FromStrings(
				"__name__", fmt.Sprintf("node_metric_%03d_total", m), "instance", fmt.Sprintf("host-%04d.example.org:9100", h),
				"job", "node", "region", fmt.Sprintf("region-%d", h%7), "device", fmt.Sprintf("dev%d", m%5), "mode", fmt.Sprintf("mode%d", m%8))
			ref, err := batch.Resolve(model.Hash{Hi: uint64(h), Lo: uint64(m)}, ls)
			check(b, err)
			v := float64(rnd.IntN(1e6))
			for k := range scrapes {
				switch m % 4 {
				case 1:
					v += float64(rnd.IntN(100))
				case 2:
					v = math.Round((v+rnd.NormFloat64())*100) / 100
				case 3:
					v = math.Round((v+rnd.Float64()*15)*1e4) / 1e4
				}
				batch.Float(ref, start.UnixMilli()+int64(k)*stepMs+int64(h)*30+jitter[h][k], 0, v)
			}
		}
		_, err := batch.Commit(ctx)
		check(b, err)
	}
	_, err = db.Flush(ctx)
	check(b, err)
	_, err = db.Compact(ctx)
	check(b, err)
	return db
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// cpuTime returns what the process has used. On a busy machine it says more
// than the time on the wall.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCut writes the head as a block. Its series are those of the block before, as
// they are in most cuts.
func BenchmarkCut(b *testing.B) {
	const series, stepMs = 50_000, 15_000
	for _, scrapes := range []int{8, 240} {
		b.Run(fmt.Sprintf("series=50k/samples=%d", scrapes), func(b *testing.B) {
			ctx := context.Background()
			clock := vfs.NewManualClock(time.Date(2026, 3, 10, 0, 0, 1, 0, time.UTC))
			db, err := Open(ctx, vfs.OS, b.TempDir(), Options{Clock: clock, Seed: 1, AliasSeed: 1})
			check(b, err)
			b.Cleanup(func() { check(b, db.Close(ctx)) })
			rnd := rand.New(rand.NewPCG(1, 1))
			batch := db.NewBatch("bench", model.DefaultTenant)
			values := make([]float64, series)
			write := func() {
				from := clock.Now().UnixMilli()
				clock.Advance(time.Duration(scrapes) * stepMs * time.Millisecond)
				for first := 0; first < series; first += 500 {
					batch.Reset()
					for i := first; i < first+500; i++ {
						alias := model.Hash{Hi: uint64(i) << 40, Lo: uint64(i)}
						ref, ok := batch.Lookup(alias)
						if !ok {
							ref, err = batch.Resolve(alias, labels.FromStrings(
								"__name__", fmt.Sprintf("node_metric_%03d_total", i%500), "instance", fmt.Sprintf("host-%04d.example.org:9100", i/500),
								"job", "node", "device", fmt.Sprintf("dev%d", i%5), "mode", fmt.Sprintf("mode%d", i%8)))
							check(b, err)
						}
						for k := range scrapes {
							values[i] += float64(rnd.IntN(100) * (i % 3))
							batch.Float(ref, from+int64(k)*stepMs+int64(first), 0, values[i])
						}
					}
					_, err := batch.Commit(ctx)
					check(b, err)
				}
			}
			write()
			_, err = db.Flush(ctx)
			check(b, err)
			var cpu time.Duration
			for b.Loop() {
				b.StopTimer()
				write()
				b.StartTimer()
				begin := cpuTime()
				_, err := db.Flush(ctx)
				check(b, err)
				cpu += cpuTime() - begin
			}
			b.ReportMetric(float64(cpu)/float64(b.N)/series/float64(scrapes), "cpu-ns/sample")
		})
	}
}

// BenchmarkSelect finds series, and does not read them.
func BenchmarkSelect(b *testing.B) {
	const hosts, metrics = 500, 200
	db := benchFleet(b, hosts, metrics, 8, 15_000)
	name := func(t labels.MatchType, v string) *labels.Matcher {
		return labels.MustNewMatcher(t, "__name__", v)
	}
	instance := func(t labels.MatchType, v string) *labels.Matcher {
		return labels.MustNewMatcher(t, "instance", v)
	}
	for _, c := range []struct {
		name   string
		series int
		ms     []*labels.Matcher
	}{
		{"all", hosts * metrics, []*labels.Matcher{name(labels.MatchRegexp, ".+")}},
		{"metric", hosts, []*labels.Matcher{name(labels.MatchEqual, "node_metric_100_total")}},
		{"host", metrics, []*labels.Matcher{instance(labels.MatchEqual, "host-0100.example.org:9100")}},
		{"one", 1, []*labels.Matcher{name(labels.MatchEqual, "node_metric_100_total"), instance(labels.MatchEqual, "host-0100.example.org:9100")}},
		{"prefix", 100, []*labels.Matcher{name(labels.MatchEqual, "node_metric_100_total"), instance(labels.MatchRegexp, "host-00.+")}},
		{"prefixes", 20, []*labels.Matcher{name(labels.MatchEqual, "node_metric_100_total"), instance(labels.MatchRegexp, "host-000.+|host-010.*")}},
		{"contains", 5 * hosts / 10, []*labels.Matcher{name(labels.MatchRegexp, "node_metric_10[0-4].*"), instance(labels.MatchRegexp, ".*7.example.*")}},
	} {
		for _, warm := range []bool{false, true} {
			b.Run(fmt.Sprintf("series=%d/matcher=%s/warm=%v", c.series, c.name, warm), func(b *testing.B) {
				v, err := db.View()
				check(b, err)
				defer v.Release()
				b.ReportAllocs()
				before := cpuTime()
				for b.Loop() {
					if !warm {
						db.cache.Clear()
					}
					set, err := v.Select(context.Background(), model.DefaultTenant, model.AllTime, c.ms...)
					check(b, err)
					if set.Len() != c.series || len(set.Warnings()) > 0 {
						b.Fatalf("%d series, want %d", set.Len(), c.series)
					}
				}
				b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N)/float64(c.series), "cpu-ns/series")
			})
		}
	}
}

// BenchmarkSamples reads all series of a block one after the other: each by
// itself, or with one ColumnReader. Series of 1,440 samples are one chunk,
// series of 8,600 are two.
func BenchmarkSamples(b *testing.B) {
	b.Run("samples=1440", func(b *testing.B) { benchSamples(b, 100, 80, 1440, 15_000) })
	b.Run("samples=8600", func(b *testing.B) { benchSamples(b, 30, 40, 8600, 10_000) })
}

func benchSamples(b *testing.B, hosts, metrics, scrapes int, stepMs int64) {
	db := benchFleet(b, hosts, metrics, scrapes, stepMs)
	v, err := db.View()
	check(b, err)
	defer v.Release()
	set, err := v.Select(context.Background(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	check(b, err)
	var s model.Samples
	var r ColumnReader
	defer r.Release()
	for _, c := range []struct {
		name string
		read func(*Series) (int, error)
	}{
		{"samples", func(of *Series) (int, error) {
			s.Reset()
			err := of.Samples(context.Background(), model.AllTime, &s)
			return s.Len(), err
		}},
		{"columns", func(of *Series) (int, error) {
			s, _, err := r.Read(context.Background(), of, model.AllTime)
			return s.Len(), err
		}},
	} {
		for _, warm := range []bool{false, true} {
			b.Run(fmt.Sprintf("api=%s/warm=%v", c.name, warm), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(hosts * metrics * scrapes)) // MB/s are million samples a second
				before := cpuTime()
				for b.Loop() {
					if !warm {
						r.Release()
						db.cache.Clear()
					}
					for i := range set.Len() {
						if n, err := c.read(set.At(i)); n != scrapes || err != nil {
							b.Fatalf("%d samples, want %d; %v", n, scrapes, err)
						}
					}
				}
				b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N)/float64(hosts*metrics*scrapes), "cpu-ns/sample")
			})
		}
	}
}

// BenchmarkListRange lists the label values of a day's block of 100,000 series
// for ranges of the day: all of it needs no directory, an hour reads all of it.
func BenchmarkListRange(b *testing.B) {
	const hosts, metrics = 500, 200
	db := benchFleet(b, hosts, metrics, 8, 15_000)
	begin := time.Date(2026, 3, 10, 0, 0, 1, 0, time.UTC).UnixMilli()
	for _, c := range []struct {
		name string
		tr   model.TimeRange
		ms   []*labels.Matcher
	}{
		{"whole", model.AllTime, nil},
		{"part", model.Inclusive(begin, begin+60_000), nil},
		{"part-of-metric", model.Inclusive(begin, begin+60_000), []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "node_metric_100_total")}},
	} {
		for _, warm := range []bool{false, true} {
			for _, of := range []string{"values", "series"} {
				b.Run(fmt.Sprintf("range=%s/of=%s/warm=%v", c.name, of, warm), func(b *testing.B) {
					v, err := db.View()
					check(b, err)
					defer v.Release()
					b.ReportAllocs()
					before := cpuTime()
					for b.Loop() {
						if !warm {
							db.cache.Clear()
						}
						if of == "values" {
							values, _, err := v.LabelValues(context.Background(), model.DefaultTenant, "instance", c.tr, 0, c.ms...)
							check(b, err)
							if len(values) != hosts {
								b.Fatal(len(values))
							}
							continue
						}
						set, err := v.Select(context.Background(), model.DefaultTenant, c.tr, c.ms...)
						check(b, err)
						if set.Len()%hosts != 0 {
							b.Fatal(set.Len())
						}
					}
					b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-µs/op")
				})
			}
		}
	}
}
