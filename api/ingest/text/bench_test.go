package text

import (
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
)

func step(t testing.TB) func(door.Store) doortest.Step {
	open := func(s *door.Shared) *door.Door[*decoder] { return New(s).door }
	f := new(families)
	return doortest.StepOf(t, open, func(d *decoder, body []byte) { d.src, d.families = body, f })
}

func BenchmarkDecode(b *testing.B) {
	b.Run("door=text/series=100k/samples=2000", func(b *testing.B) { doortest.BenchmarkDecode(b, doortest.FleetText(100_000), step(b)) })
}

func BenchmarkNewSeries(b *testing.B) {
	b.Run("door=text", func(b *testing.B) { doortest.BenchmarkNewSeries(b, doortest.FleetText(20_000), step(b)) })
}

func TestKnownSeriesAllocateNothing(t *testing.T) {
	doortest.KnownSeriesAllocateNothing(t, doortest.FleetText(doortest.FleetSamples)[0], step(t))
}
