package influx

import (
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
)

func step(t testing.TB) func(door.Store) doortest.Step {
	return func(s door.Store) doortest.Step {
		h := New(door.NewShared(door.Options{Backend: doortest.Backend{Store: s}, Seed: 42}), Options{})
		q, err := h.door.Acquire()
		if err != nil {
			t.Fatal(err)
		}
		return func(body []byte) {
			q.Decoder.src, q.Decoder.precision = body, precisions1[""]
			r, err := q.Store(t.Context())
			doortest.CheckStored(t, r, err)
			q.Decoder.Release()
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	b.Run("door=influx/series=100k/samples=2000", func(b *testing.B) { doortest.BenchmarkDecode(b, doortest.FleetLines(100_000), step(b)) })
}

func BenchmarkNewSeries(b *testing.B) {
	b.Run("door=influx", func(b *testing.B) { doortest.BenchmarkNewSeries(b, doortest.FleetLines(20_000), step(b)) })
}

func TestKnownSeriesAllocateNothing(t *testing.T) {
	doortest.KnownSeriesAllocateNothing(t, doortest.FleetLines(doortest.FleetSamples)[0], step(t))
}
