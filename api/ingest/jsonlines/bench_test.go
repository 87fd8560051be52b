package jsonlines

import (
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
)

func step(t testing.TB) func(door.Store) doortest.Step {
	open := func(s *door.Shared) *door.Door[*decoder] { return New(s).door }
	return doortest.StepOf(t, open, func(d *decoder, body []byte) { d.src = body })
}

func BenchmarkDecode(b *testing.B) {
	b.Run("door=json_lines/rows=1/samples=2000", func(b *testing.B) { doortest.BenchmarkDecode(b, doortest.FleetJSON(b, 100_000, 1), step(b)) })
	b.Run("door=json_lines/rows=100/samples=2000", func(b *testing.B) { doortest.BenchmarkDecode(b, doortest.FleetJSON(b, 100_000, 100), step(b)) })
}

func TestKnownSeriesAllocateNothing(t *testing.T) {
	for _, rows := range []int{1, 100} {
		doortest.KnownSeriesAllocateNothing(t, doortest.FleetJSON(t, doortest.FleetSamples, rows)[0], step(t))
	}
}
