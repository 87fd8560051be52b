package storage

import (
	"testing"

	"tsdb/internal/model"
)

func TestForecast(t *testing.T) {
	const day = model.DayMs
	f := func(name string, want Forecast, tiers ...tierRate) {
		t.Helper()
		got, each := forecast(tiers)
		var sum Forecast
		for _, e := range each {
			sum.Bytes += e.Bytes
			sum.BytesPerDay += e.BytesPerDay
		}
		if got != want || sum != want {
			t.Errorf("%s: %+v, the tiers %+v; want %+v", name, got, each, want)
		}
	}
	raw := tierRate{retentionMs: 30 * day, bytes: 100}
	f("samples", Forecast{Bytes: 3000}, raw)
	f("for ever", Forecast{BytesPerDay: 100}, tierRate{bytes: 100})
	f("buckets", Forecast{Bytes: 3000 + 180*20 + 3650}, raw, tierRate{retentionMs: 180 * day, bytes: 20}, tierRate{retentionMs: 3650 * day, bytes: 1})
	f("samples stand in", Forecast{Bytes: 3000 + 150*100}, raw, tierRate{retentionMs: 180 * day, standIn: 100})
	f("some stand in", Forecast{Bytes: 3000 + 180*10 + 150*60}, raw, tierRate{retentionMs: 180 * day, bytes: 10, standIn: 60})
	f("stand in for two tiers", Forecast{Bytes: 3000 + 150*100 + 20*100}, raw, tierRate{retentionMs: 180 * day, standIn: 100}, tierRate{retentionMs: 200 * day, standIn: 100})
	f("stand in for ever", Forecast{Bytes: 3000, BytesPerDay: 100}, raw, tierRate{standIn: 100})
	f("stand in no longer than they are kept", Forecast{Bytes: 3000}, raw, tierRate{retentionMs: 10 * day, standIn: 100})
	f("samples for ever", Forecast{BytesPerDay: 100}, tierRate{bytes: 100}, tierRate{retentionMs: 180 * day, standIn: 100})
	f("part of a day", Forecast{Bytes: 200}, tierRate{retentionMs: day + 1, bytes: 100})
}

func TestBytesPerDayAreThoseOfTheNewestCompleteDays(t *testing.T) {
	const day = model.DayMs
	now := 100*day + day/4
	f := func(name string, want int64, days ...dayBytes) {
		t.Helper()
		if got := perDay(days, now); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	f("none", 0)
	f("today", 40, dayBytes{100 * day, 10})
	f("yesterday and today", 7, dayBytes{100 * day, 10}, dayBytes{99 * day, 7})
	f("two days", 8, dayBytes{97 * day, 10}, dayBytes{99 * day, 6}, dayBytes{100 * day, 999})
	many := []dayBytes{}
	for k := range int64(20) {
		bytes := 5.0
		if k >= rateDays {
			bytes = 1e6
		}
		many = append(many, dayBytes{(99 - k) * day, bytes})
	}
	f("many", 5, many...)
}
