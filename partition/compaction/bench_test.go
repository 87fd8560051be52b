package compaction_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/compaction"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

// fleetSeries returns series as a fleet of node exporters has them: 500 a
// target, in block order.
func fleetSeries(targets int) []block.SeriesEntry {
	var all []block.SeriesEntry
	for metric := range 100 {
		for target := range targets {
			for device := range 5 {
				ls := labels.FromStrings("__name__", fmt.Sprintf("node_metric_%03d_seconds_total", metric),
					"device", fmt.Sprintf("nvme%dn1", device), "instance", fmt.Sprintf("host-%06d.example.org:9100", target),
					"job", "node", "region", "eu-central-1", "datacenter", "fra-02", "rack", fmt.Sprintf("rack-%03d", target/40),
					"environment", "production", "team", "infrastructure", "os", "linux")
				id, _ := model.IdentityOf(partitiontest.IDSeed, 0, ls, nil)
				all = append(all, block.SeriesEntry{ID: id, Labels: ls})
			}
		}
	}
	sortSeries(all)
	return all
}

// SetBytes counts samples, so that MB/s reads as millions of samples a second.
func BenchmarkMerge(b *testing.B) {
	for _, c := range []struct{ targets, cuts, samples int }{{200, 1, 240}, {200, 4, 60}, {200, 10, 120}, {1000, 1, 40}} {
		b.Run(fmt.Sprintf("series=%d/cuts=%d/samples=%d", c.targets*500, c.cuts, c.samples), func(b *testing.B) {
			fsys := vfs.NewMem()
			m, err := manifest.Create(fsys, "d", partitiontest.IDSeed, 0)
			partitiontest.Must(b, err)
			set, err := blockset.Open(objstore.NewDir(fsys, "d"), m, blockset.Options{})
			partitiontest.Must(b, err)
			series := fleetSeries(c.targets)
			var smp model.Samples
			for cut := range c.cuts {
				gen := uint64(cut + 1)
				w, err := block.Create(objstore.NewDir(fsys, "d"), block.Meta{Key: block.SpanningKey(block.L0), MinGen: gen, MaxGen: gen}, block.WriterOptions{})
				partitiontest.Must(b, err)
				for i, s := range series {
					smp.Reset()
					for k := range c.samples {
						n := int64(cut*c.samples + k)
						smp.Append(partitiontest.TestDay+n*15_000+int64(i/5%7), 0, math.Floor(float64(n)*float64(i%50)*1.37), model.Histogram{})
					}
					partitiontest.Must(b, w.Series(0, s.ID, s.Labels))
					partitiontest.Must(b, w.Samples(&smp))
				}
				info, err := w.Finish()
				partitiontest.Must(b, err)
				v, err := set.Publish(manifest.Edit{Add: []block.Info{info}, WALLow: partitiontest.Ptr(gen + 1)})
				partitiontest.Must(b, err)
				v.Release()
			}
			v := set.Acquire()
			defer v.Release()
			plan, ok := compaction.PlanFinal(compaction.Candidates(v, nil), compaction.PlanOptions{FreeBytes: math.MaxUint64, WALLow: v.State().WALLow})
			if !ok {
				b.Fatal("nothing to merge")
			}
			for _, plan.Level = range []block.Level{block.L1, block.L2} {
				b.Run(plan.Level.String(), func(b *testing.B) {
					b.SetBytes(int64(len(series) * c.cuts * c.samples))
					b.ReportAllocs()
					var out *compaction.Merged
					for b.Loop() {
						if out != nil {
							for _, name := range out.Names() {
								partitiontest.Must(b, fsys.Remove("d/"+name))
							}
						}
						out, err = compaction.Merge(context.Background(), v, plan, nil, compaction.Options{})
						partitiontest.Must(b, err)
					}
					for _, name := range out.Names() {
						partitiontest.Must(b, fsys.Remove("d/"+name))
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(series)), "ns/series")
					b.ReportMetric(float64(out.Bytes)/float64(len(series)*c.cuts*c.samples), "B/sample")
				})
			}
		})
	}
}

func sortSeries(all []block.SeriesEntry) {
	slices.SortFunc(all, func(a, b block.SeriesEntry) int { return block.Compare(a.Tenant, a.Labels, b.Tenant, b.Labels) })
}
