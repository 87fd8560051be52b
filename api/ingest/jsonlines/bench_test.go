package jsonlines

import (
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
)

func step(t testing.TB) func(door.Store) doortest.Step {
	return func(s door.Store) doortest.Step {
		h := New(door.NewShared(door.Options{Backend: doortest.Backend{Store: s}, Seed: 42}))
		q, err := h.door.Acquire()
		if err != nil {
			t.Fatal(err)
		}
		return func(body []byte) {
			q.Decoder.src = body
			r, err := q.Store(t.Context())
			doortest.CheckStored(t, r, err)
			q.Decoder.Release()
		}
	}
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
