package storage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// BenchmarkSelectRegexp selects series of 10,000 pods by regular expressions,
// from memory and from a block of which nothing is cached. "all" and "escaped"
// are what a dashboard asks for if all of 9,000 pods are chosen, without and
// with special characters in their names.
func BenchmarkSelectRegexp(b *testing.B) {
	const pods, chosen = 10_000, 9_000
	pod := func(i int) string { return fmt.Sprintf("ns-00000/pod-abcdef-%06d-xyz12", i) }
	var all, escaped []string
	for i := range chosen {
		all = append(all, pod(i))
		escaped = append(escaped, strings.ReplaceAll(pod(i), "-", `\-`))
	}
	for _, inBlock := range []bool{false, true} {
		ctx := context.Background()
		clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
		db, err := Open(ctx, vfs.NewMem(), "data", Options{Clock: clock, Seed: 1, AliasSeed: 1})
		check(b, err)
		batch := db.NewBatch("bench", model.DefaultTenant)
		for i := range pods {
			ref, err := batch.Resolve(model.Hash{Hi: uint64(i)}, labels.FromStrings("__name__", "up", "pod", pod(i)))
			check(b, err)
			batch.Float(ref, clock.Now().UnixMilli(), 0, 1)
		}
		_, err = batch.Commit(ctx)
		check(b, err)
		where := "head"
		if inBlock {
			where = "block"
			_, err := db.Flush(ctx)
			check(b, err)
		}
		for _, c := range []struct {
			name   string
			series int
			expr   string
		}{
			{"all", chosen, strings.Join(all, "|")},
			{"parens", chosen, "(" + strings.Join(all, "|") + ")"},
			{"escaped", chosen, strings.Join(escaped, "|")},
			{"set", 10, "ns-00000/pod-abcdef-00000[0-9]-xyz12"},
			{"prefix", 1000, "ns-00000/pod-abcdef-000.*"},
			{"contains", 10, ".*-000[01]0[0-4]-.*"},
			{"literal-inside", 1, ".*-000100-.*"},
			{"either-inside", 2, ".*(000100|000200).*"},
			{"suffix", pods, ".+-xyz12"},
			{"fold", 1, "(?i)NS-00000/POD-abcdef-000100-XYZ12"},
			{"digits", pods, "ns-[0-9]+/pod-[a-z]+-[0-9]+-xyz[0-9]+"},
			{"no-suffix", 0, "ns-[0-9]+/pod-[a-z]+-[0-9]+-abc"},
		} {
			b.Run(fmt.Sprintf("in=%s/expr=%s", where, c.name), func(b *testing.B) {
				v, err := db.View()
				check(b, err)
				defer v.Release()
				ms := []*labels.Matcher{
					labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"), labels.MustNewMatcher(labels.MatchRegexp, "pod", c.expr)}
				b.ReportAllocs()
				before := cpuTime()
				for b.Loop() {
					db.cache.Clear()
					set, err := v.Select(ctx, model.DefaultTenant, model.AllTime, ms...)
					check(b, err)
					if set.Len() != c.series || len(set.Warnings()) > 0 {
						b.Fatalf("%d series, want %d", set.Len(), c.series)
					}
				}
				b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-µs/op")
			})
		}
		check(b, db.Close(ctx))
	}
}
