package influx

import (
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
)

func step(t testing.TB) func(door.Store) doortest.Step {
	open := func(s *door.Shared) *door.Door[*decoder] { return New(s, Options{}).door }
	return doortest.StepOf(t, open, func(d *decoder, body []byte) { d.src, d.precision = body, precisions1[""] })
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
