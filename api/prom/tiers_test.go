package prom

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/storage"
)

// tieredStart is the start of four days of samples that are rolled up, the last of which
// is not over.
var tieredStart = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// newTieredServer serves a database with rollups of a minute and an hour: two series of
// 15 s whose samples stand in for minutes.
func newTieredServer(t *testing.T) *server {
	t.Helper()
	clock := vfs.NewManualClock(tieredStart.Add(3*24*time.Hour + 12*time.Hour))
	db, err := storage.Open(t.Context(), doctortest.NewMem(t), "data", storage.Options{
		Clock: clock, Seed: 1, ReserveBytes: 4096, TierRetentionMs: map[block.Tier]int64{block.Minute: 0, block.Hour: 0},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	writeTiered(t, db, tieredStart.UnixMilli()+15_000, clock.Now().UnixMilli())
	if _, err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Options{
		DB: func() (*storage.DB, error) { return db, nil }, Clock: clock, Rollups: []string{"1m", "1h"},
		Engine: query.New(query.Options{}),
	})
	s.db = db
	return s
}

func writeTiered(t *testing.T, db *storage.DB, from, to int64) {
	t.Helper()
	b := db.NewBatch("test", model.DefaultTenant)
	for i := range 2 {
		ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", "c_total", "i", fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		for at := from; at <= to; at += 15_000 {
			b.Float(ref, at, 0, float64((at/15_000)%10_000*int64(i+1)))
		}
	}
	if _, err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

type explained struct {
	Selectors []struct {
		Selector, Tier string
		Refused        []struct{ Tier, Reason, Text string }
		Series, Blocks, Chunks, Samples, Buckets, Bytes,
		RolledUpDays, PendingDays, StandInDays, NewerSeries, CutBorders int
		RolledUp []struct{ Start, End time.Time }
		Slices   []struct {
			Start, End                      time.Time
			Tier                            string
			Expired                         bool
			Refused                         []struct{ Tier, Reason, Text string }
			Series, Samples, Buckets, Bytes int
		}
	}
	Total struct{ Samples, Buckets int }
}

func (s *server) explain(t *testing.T, expr string, more ...string) explained {
	t.Helper()
	var got explained
	params := []string{"query", expr, "start", fmt.Sprint(tieredStart.Unix() + 3600), "end", fmt.Sprint(tieredStart.Unix() + 3*86400), "step", "1h"}
	s.get(t, "/explain", append(slices.Clone(more), params...)...).data(t, &got)
	return got
}

func TestExplainSaysWhichTierIsRead(t *testing.T) {
	s := newTieredServer(t)
	f := func(tier string, reasons string, expr string, more ...string) {
		t.Helper()
		got := s.explain(t, expr, more...)
		if len(got.Selectors) != 1 {
			t.Fatalf("%s: %+v", expr, got)
		}
		x := got.Selectors[0]
		var why []string
		for _, r := range x.Refused {
			why = append(why, r.Tier+" "+r.Reason)
			if r.Text == "" {
				t.Errorf("%s: no text for %s", expr, r.Reason)
			}
		}
		if x.Tier != tier || strings.Join(why, ", ") != reasons || x.Series != 2 || x.Bytes == 0 || x.Blocks == 0 {
			t.Errorf("%s: %+v; want tier %s, refused %q", expr, x, tier, reasons)
		}
		if onTier := x.Buckets > 0; onTier != (tier != "raw") || got.Total.Buckets != x.Buckets || got.Total.Samples != x.Samples {
			t.Errorf("%s: %+v", expr, got)
		}
	}
	f("1h", "", "rate(c_total[1h])")
	f("1h", "", "sum(rate(c_total[1h15s]))")
	f("1h", "", "c_total")
	f("1h", "", "rate(c_total[1h])", "resolution", "1h")
	f("raw", "1h resolution, 1m resolution", "rate(c_total[1h])", "resolution", "raw")
	f("raw", "1h function, 1m function", "quantile_over_time(0.5, c_total[1h])")
	f("raw", "1h window, 1m stand_in", "rate(c_total[5m])")
	f("raw", "1h alignment, 1m stand_in", "rate(c_total[90m])")
	f("raw", "1h alignment, 1m stand_in", "rate(c_total[1h] offset 30m)")

	got := s.explain(t, "rate(c_total[1h])").Selectors[0]
	if got.RolledUpDays != 3 || got.PendingDays != 0 || got.NewerSeries != 0 || got.Samples != 0 || got.Buckets < 2*72 {
		t.Errorf("of complete days: %+v", got)
	}
	// Windows cut buckets, but where these tell.
	if got := s.explain(t, "rate(c_total[1h15s])").Selectors[0]; got.CutBorders == 0 || got.Samples != 0 || got.Buckets < 2*72 {
		t.Errorf("of windows that cut buckets: %+v", got)
	}
	// Samples that came after the rollup, and a day that is not over.
	writeTiered(t, s.db, tieredStart.UnixMilli()+5, tieredStart.UnixMilli()+10)
	nextDay := tieredStart.UnixMilli() + 4*model.DayMs
	writeTiered(t, s.db, nextDay+15_000, nextDay+model.HourMs)
	got = s.explain(t, "rate(c_total[1h])", "end", fmt.Sprint(nextDay/1000+6*3600)).Selectors[0]
	if got.Tier != "1h" || got.RolledUpDays != 4 || got.PendingDays != 1 || got.NewerSeries != 2 || got.Samples == 0 || got.Buckets < 2*71 {
		t.Errorf("with late samples: %+v", got)
	}
	if r := got.RolledUp; len(r) != 1 || !r[0].Start.Equal(tieredStart.Add(time.Millisecond)) || !r[0].End.Equal(tieredStart.Add(4*24*time.Hour+time.Millisecond)) {
		t.Errorf("rolled up are %v", r)
	}
	if p := got.Slices; len(p) != 2 || p[0].Tier != "1h" || p[0].Buckets < 2*71 || p[0].Expired || len(p[0].Refused) != 0 || p[0].Series != 2 ||
		p[1].Tier != "raw" || p[1].Buckets != 0 || p[1].Samples == 0 || p[1].Bytes == 0 || p[1].Refused[0].Reason != "not_covered" ||
		!p[0].Start.Equal(tieredStart.Add(time.Millisecond)) || !p[0].End.Equal(tieredStart.Add(4*24*time.Hour)) ||
		!p[1].Start.Equal(p[0].End.Add(time.Millisecond)) || p[1].End.UnixMilli() != nextDay+6*model.HourMs {
		t.Errorf("the slices are %+v", p)
	}
}

// The answer does not depend on the resolution, and its statistics say what was read.
func TestStatsCountBuckets(t *testing.T) {
	s := newTieredServer(t)
	ask := func(resolution string) (values string, buckets int) {
		t.Helper()
		var got struct {
			Result []struct{ Values [][2]any }
			Stats  struct {
				BucketsRead       int
				BucketsReadByTier map[string]int
			}
		}
		s.get(t, "/query_range", "query", "rate(c_total[1h])", "start", fmt.Sprint(tieredStart.Unix()+3600),
			"end", fmt.Sprint(tieredStart.Unix()+3*86400), "step", "1h", "stats", "all", "nocache", "1", "resolution", resolution).data(t, &got)
		if len(got.Result) != 2 {
			t.Fatalf("%+v", got)
		}
		if by := got.Stats.BucketsReadByTier; by["1h"] != got.Stats.BucketsRead || len(by) > 1 {
			t.Errorf("resolution=%s: %d buckets, by tier %v", resolution, got.Stats.BucketsRead, by)
		}
		return fmt.Sprint(got.Result), got.Stats.BucketsRead
	}
	want, none := ask("raw")
	if none != 0 {
		t.Errorf("%d buckets are read by raw", none)
	}
	for _, resolution := range []string{"auto", "1h"} {
		if got, buckets := ask(resolution); got != want || buckets != 2*72 {
			t.Errorf("%s: %d buckets, %s; raw: %s", resolution, buckets, got, want)
		}
	}
}

func TestStatusOfRollups(t *testing.T) {
	s := newTieredServer(t)
	var rollups storage.RollupStatus
	s.get(t, "/status/rollups").data(t, &rollups)
	if len(rollups.Tiers) != 2 || rollups.Tiers[0].Tier != "1m" || rollups.Tiers[0].StandInDays < 3 || rollups.Tiers[1].Tier != "1h" || rollups.Tiers[1].Days < 3 || rollups.Tiers[1].Bytes == 0 {
		t.Errorf("%+v", rollups)
	}
	var st storage.Status
	s.get(t, "/status/storage").data(t, &st)
	if len(st.Tiers) != 3 || st.Tiers[1].StandInBytesPerDay == 0 || st.Tiers[2].BytesPerDay == 0 || st.Full.BytesPerDay == 0 {
		t.Errorf("%+v", st)
	}
}
