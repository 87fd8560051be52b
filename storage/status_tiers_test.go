package storage

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/storage/log/logtest"
)

// The status lists each tier with its bytes a day and what its retention will take.
func TestStatusOfTiers(t *testing.T) {
	w := &tieredWorld{t: t, ctx: t.Context(), mem: vfs.NewMem(), clock: vfs.NewManualClock(tieredNow)}
	w.opts = Options{
		logStore: logtest.NewMem(), Clock: w.clock, Seed: 1, ReserveBytes: 4096,
		RetentionMs: 30 * model.DayMs, TierRetentionMs: map[block.Tier]int64{block.Minute: 180 * model.DayMs, block.Hour: 0},
	}
	w.open()
	t.Cleanup(func() { closeUncut(w.db) })
	for ago := 4; ago > 0; ago-- {
		w.write(0, every(dayAt(ago), 15_000, 5000))  // 4 in a minute: they stand in
		w.write(1, every(dayAt(ago), 1_000, 20_000)) // 60 in a minute: buckets
	}
	w.write(0, one(tieredNow.UnixMilli(), 1))
	w.compact()
	st, err := w.db.Status()
	must(t, err)
	if len(st.Tiers) != 3 || st.Tiers[0].Tier != "raw" || st.Tiers[1].Tier != "1m" || st.Tiers[2].Tier != "1h" {
		t.Fatalf("tiers %+v", st.Tiers)
	}
	raw, minutes, hours := st.Tiers[0], st.Tiers[1], st.Tiers[2]
	var bytes int64
	for _, tier := range st.Tiers {
		bytes += tier.Bytes
		if !tier.On || tier.Bytes == 0 || tier.BytesPerDay == 0 || tier.BytesPerDay > tier.Bytes {
			t.Errorf("%s: %+v", tier.Tier, tier)
		}
	}
	if bytes != st.Bytes {
		t.Errorf("%d bytes, the tiers have %d", st.Bytes, bytes)
	}
	if raw.RetentionMs != 30*model.DayMs || raw.FullBytes != 30*raw.BytesPerDay || raw.StandInBytesPerDay != 0 {
		t.Errorf("raw: %+v", raw)
	}
	// A fifth of the samples stand in.
	if got := minutes.StandInBytesPerDay; got < raw.BytesPerDay*19/100 || got > raw.BytesPerDay*21/100 {
		t.Errorf("%d of %d bytes a day stand in", got, raw.BytesPerDay)
	}
	if want := 180*minutes.BytesPerDay + 150*minutes.StandInBytesPerDay; minutes.FullBytes != want {
		t.Errorf("1m: %+v, want %d bytes", minutes, want)
	}
	if hours.FullBytes != 0 || hours.StandInBytesPerDay != 0 || st.Full.BytesPerDay != hours.BytesPerDay || st.Full.Bytes != raw.FullBytes+minutes.FullBytes {
		t.Errorf("full %+v, 1h: %+v", st.Full, hours)
	}
}

// A tier that is off says at the start and in the status what it keeps and how that is
// dropped, and that works.
func TestTiersThatAreOffSayWhatTheyKeep(t *testing.T) {
	var logged bytes.Buffer
	w := &tieredWorld{t: t, ctx: t.Context(), mem: vfs.NewMem(), clock: vfs.NewManualClock(tieredNow)}
	w.opts = Options{
		logStore: logtest.NewMem(), Clock: w.clock, Seed: 1, ReserveBytes: 4096, Logger: slog.New(slog.NewTextHandler(&logged, nil)),
		TierRetentionMs: map[block.Tier]int64{block.Minute: 0, block.Hour: 0},
	}
	w.open()
	t.Cleanup(func() { closeUncut(w.db) })
	for ago := 4; ago > 0; ago-- {
		w.write(1, every(dayAt(ago), 1_000, 20_000))
	}
	w.write(0, one(tieredNow.UnixMilli(), 1))
	w.compact()
	minutes := func() TierStatus {
		t.Helper()
		st, err := w.db.Status()
		must(t, err)
		for _, tier := range st.Tiers {
			if tier.Tier == "1m" {
				return tier
			}
		}
		return TierStatus{}
	}
	with := func(tiers map[block.Tier]int64) TierStatus {
		t.Helper()
		logged.Reset()
		w.opts.TierRetentionMs = tiers
		w.restart()
		w.compact()
		return minutes()
	}
	if on := minutes(); on.Bytes == 0 || on.Note != "" || strings.Contains(logged.String(), "kept for ever") {
		t.Errorf("on: %+v, %s", on, &logged)
	}
	off := with(map[block.Tier]int64{block.Hour: 0})
	if off.On || off.Bytes == 0 || !strings.Contains(off.Note, "--retention.1m=1d") {
		t.Errorf("off: %+v", off)
	}
	if want := fmt.Sprintf("a rollup is off and what it has is kept for ever\" tier=1m bytes=%d", off.Bytes); !strings.Contains(logged.String(), want) {
		t.Errorf("logged %s, want %s", &logged, want)
	}
	w.clock.Advance(4 * 24 * time.Hour)
	if short := with(map[block.Tier]int64{block.Minute: model.DayMs, block.Hour: 0}); short.Bytes != 0 {
		t.Errorf("%d of %d bytes are left", short.Bytes, off.Bytes)
	}
}
