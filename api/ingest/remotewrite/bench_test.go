package remotewrite

import (
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
)

func step1(t testing.TB) func(door.Store) doortest.Step {
	return stepOf(t, func(h *Handler) *door.Door[*decoder1] { return h.version1 }, func(d *decoder1, src []byte) { d.src = src })
}

func step2(t testing.TB) func(door.Store) doortest.Step {
	return stepOf(t, func(h *Handler) *door.Door[*decoder2] { return h.version2 }, func(d *decoder2, src []byte) { d.src = src })
}

// stepOf returns the steps of a version; set makes a message the request of its decoder.
func stepOf[D door.Decoder](t testing.TB, version func(*Handler) *door.Door[D], set func(d D, src []byte)) func(door.Store) doortest.Step {
	return func(s door.Store) doortest.Step {
		h := newHandler(s)
		q := doortest.Acquire(t, version(h))
		charge := h.shared.Budget.NewCharge()
		return func(body []byte) {
			src, err := q.Body.Snappy(t.Context(), body, h.shared.Limit, charge)
			if err != nil {
				t.Fatal(err)
			}
			set(q.Decoder, src)
			r, err := q.Store(t.Context())
			doortest.CheckStored(t, r, err)
			q.Decoder.Release()
			charge.Release()
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	const n = 100_000
	b.Run("door=remote-write-1/series=100k/samples=2000", func(b *testing.B) { doortest.BenchmarkDecode(b, doortest.Fleet1(b, n), step1(b)) })
	b.Run("door=remote-write-2/series=100k/samples=2000", func(b *testing.B) { doortest.BenchmarkDecode(b, doortest.Fleet2(b, n), step2(b)) })
}

func BenchmarkNewSeries(b *testing.B) {
	const n = 20_000
	b.Run("door=remote-write-1", func(b *testing.B) { doortest.BenchmarkNewSeries(b, doortest.Fleet1(b, n), step1(b)) })
	b.Run("door=remote-write-2", func(b *testing.B) { doortest.BenchmarkNewSeries(b, doortest.Fleet2(b, n), step2(b)) })
}

func TestKnownSeriesAllocateNothing(t *testing.T) {
	doortest.KnownSeriesAllocateNothing(t, doortest.Fleet1(t, doortest.FleetSamples)[0], step1(t))
	doortest.KnownSeriesAllocateNothing(t, doortest.Fleet2(t, doortest.FleetSamples)[0], step2(t))
}
