package rpc

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

// A client sees which tier a query reads, and asks for one.
func TestTiersOverGRPC(t *testing.T) {
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).UnixMilli()
	clock := vfs.NewManualClock(time.UnixMilli(start + 3*model.DayMs))
	db, err := storage.Open(t.Context(), doctortest.NewMem(t), "data", storage.Options{
		Clock: clock, Seed: 1, ReserveBytes: 4096, TierRetentionMs: map[block.Tier]int64{block.Hour: 0},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	b := db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Lo: 1}, labels.FromStrings("__name__", "c_total"))
	if err != nil {
		t.Fatal(err)
	}
	for at := start + 15_000; at <= start+3*model.DayMs; at += 15_000 {
		b.Float(ref, at, 0, float64(at/15_000%10_000))
	}
	if _, err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Options{DB: func() (*storage.DB, error) { return db, nil }, Clock: clock, Rollups: []string{"1h"}})

	end, step := start+3*model.DayMs, int64(model.HourMs)
	first := start + model.HourMs
	for resolution, tier := range map[string]string{"": "1h", "auto": "1h", "1h": "1h", "raw": "raw"} {
		o := &tsdbv1.QueryOptions{Resolution: resolution, NoCache: true}
		e, err := s.Explain(t.Context(), &tsdbv1.ExplainRequest{Query: "increase(c_total[1h])", StartMs: &first, EndMs: &end, StepMs: &step, Options: o})
		if err != nil || len(e.Selectors) != 1 {
			t.Fatalf("%q: %v, %v", resolution, e, err)
		}
		c := e.Selectors[0]
		if c.Tier != tier || (c.Buckets > 0) != (tier == "1h") || (c.Samples > 0) != (tier == "raw") || (c.RolledUpDays == 3) != (tier == "1h") {
			t.Errorf("%q: %v", resolution, c)
		}
		if tier == "raw" && (len(c.Refused) != 1 || c.Refused[0].Tier != "1h" || c.Refused[0].Reason != "resolution" || c.Refused[0].Text == "") {
			t.Errorf("%q: refused %v", resolution, c.Refused)
		}
		if p := c.Slices; len(p) != 1 || p[0].Tier != tier || p[0].StartMs != c.StartMs || p[0].EndMs != end || p[0].Buckets != c.Buckets || p[0].Samples != c.Samples ||
			p[0].Bytes != c.Bytes || p[0].Series != 1 || len(p[0].Refused) != len(c.Refused) {
			t.Errorf("%q: slices %v of %v", resolution, p, c)
		}
		stream, err := s.QueryRange(t.Context(), &tsdbv1.QueryRangeRequest{Query: "increase(c_total[1h])", StartMs: first, EndMs: end, StepMs: step, Options: o})
		frames, err := all(t, stream, err)
		if err != nil {
			t.Fatal(err)
		}
		r := assemble(t, frames)
		if buckets := r.end.Stats.BucketsRead; (buckets > 0) != (tier == "1h") || buckets > r.end.Stats.SamplesRead || r.end.Stats.BucketsReadByTier["1h"] != buckets {
			t.Errorf("%q: %v", resolution, r.end.Stats)
		}
	}
}
