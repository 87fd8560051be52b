package storage

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// writeSeries writes a sample of each series at the clock's time, and returns how many
// were accepted and refused by reason.
func writeSeries(t *testing.T, b *Batch, clock vfs.Clock, from, to int) (accepted int, refused map[Reason]int) {
	t.Helper()
	b.Reset()
	for i := from; i < to; i++ {
		alias := model.Hash{Hi: 7, Lo: uint64(i)}
		ref, ok := b.Lookup(alias)
		if !ok {
			var err error
			if ref, err = b.Resolve(alias, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		b.Float(ref, clock.Now().UnixMilli(), 0, float64(i))
	}
	r, err := b.Commit(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	refused = map[Reason]int{}
	for _, x := range r.Rejected {
		refused[x.Reason] = x.Count
	}
	return r.Floats, refused
}

func limitsOptions() (Options, *vfs.ManualClock) {
	o := registerOptions()
	clock := vfs.NewManualClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	o.Clock = clock
	return o, clock
}

// A limit refuses new series only, and series that leave make room.
func TestSeriesLimits(t *testing.T) {
	o, clock := limitsOptions()
	db := openRegister(t, vfs.NewMem(), o)
	other, b := db.NewBatch("other", model.DefaultTenant), db.NewBatch("limited", model.DefaultTenant)
	expect := func(from, to, accepted int, reason Reason) {
		t.Helper()
		n, refused := writeSeries(t, b, clock, from, to)
		if n != accepted || refused[reason] != to-from-accepted {
			t.Errorf("series %d to %d: %d accepted, refused %v, want %d and %s", from, to, n, refused, accepted, reason)
		}
	}
	writeSeries(t, other, clock, 1000, 1010)
	b.Limit(SeriesLimits{DoorActive: 5})
	expect(0, 8, 5, ReasonSeriesLimit)
	expect(0, 5, 5, ReasonSeriesLimit) // old series keep flowing
	expect(1000, 1010, 10, ReasonSeriesLimit)
	b.Limit(SeriesLimits{Active: 16})
	expect(10, 13, 1, ReasonSeriesLimit)
	b.Limit(SeriesLimits{NewPerHour: 18})
	expect(20, 24, 2, ReasonChurnLimit)
	b.Limit(SeriesLimits{DoorNewPerHour: 9})
	expect(30, 33, 1, ReasonChurnLimit)
	clock.Advance(59 * time.Minute)
	expect(30, 33, 1, ReasonChurnLimit)
	clock.Advance(time.Minute)
	expect(30, 33, 3, ReasonChurnLimit)
	if n := db.head.Owned(b.owner); n != 11 {
		t.Errorf("the door has %d series, want 11", n)
	}

	// The idle series leave with later cuts; the limit has room again.
	for range 3 {
		if _, err := db.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		writeSeries(t, other, clock, 1000, 1010)
	}
	if n, all := db.head.Owned(b.owner), db.head.Series(); n != 0 || all != 10 {
		t.Errorf("the door has %d series of %d, want none of 10", n, all)
	}
	b.Limit(SeriesLimits{DoorActive: 5})
	expect(100, 108, 5, ReasonSeriesLimit)
}

func TestHourCounter(t *testing.T) {
	var c hourCounter
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	c.add(now)
	c.add(now.Add(30 * time.Minute))
	for _, s := range []struct {
		after time.Duration
		want  int64
	}{{30 * time.Minute, 2}, {59 * time.Minute, 2}, {60 * time.Minute, 1}, {10 * time.Minute, 1}, {89 * time.Minute, 1}, {90 * time.Minute, 0}, {100 * time.Hour, 0}} {
		if n := c.count(now.Add(s.after)); n != s.want {
			t.Errorf("after %v: %d, want %d", s.after, n, s.want)
		}
	}
}

// Dropped samples are neither accepted nor refused, whatever their time.
func TestDroppedSeriesAreCountedApart(t *testing.T) {
	o, clock := limitsOptions()
	db := openRegister(t, vfs.NewMem(), o)
	b := db.NewBatch("door", model.DefaultTenant)
	alias := model.Hash{Hi: 1, Lo: 2}
	for range 2 {
		b.Reset()
		ref, ok := b.Lookup(alias)
		if !ok {
			ref = b.Drop(alias)
		}
		b.Float(ref, clock.Now().UnixMilli(), 0, 1)
		b.Float(ref, 1, 0, 1)
		b.Exemplar(ref, model.Exemplar{T: clock.Now().UnixMilli()})
		for i := range 3 { // the ref of a dropped series is none of those of new ones
			r, err := b.Resolve(model.Hash{Hi: 3, Lo: uint64(i)}, labels.FromStrings("__name__", "a", "i", fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			b.Float(r, clock.Now().UnixMilli(), 0, 1)
		}
		r, err := b.Commit(context.Background())
		if err != nil || r.Floats != 3 || r.Dropped != (Dropped{Floats: 2, Exemplars: 1}) || len(r.Rejected) != 0 {
			t.Errorf("%+v %v", r, err)
		}
	}
	if n := db.head.Series(); n != 3 {
		t.Errorf("%d series", n)
	}
}
