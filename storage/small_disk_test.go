package storage

import (
	"testing"
	"time"

	"tsdb/internal/vfs"
)

// A disk on which a single segment of the default size has no room takes writes,
// and a directory outlives changes of the size of
// segments: those of other sizes are read, and none of them is used again.
func TestSmallDiskTakesWrites(t *testing.T) {
	mem := vfs.NewMem()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	opts := Options{Clock: clock, Seed: 1, CacheBytes: -1}
	want := 0
	for round, capacity := range []int64{16 << 20, 16 << 20, 160 << 20, -1, -1, 160 << 20} {
		mem.SetCapacity(capacity)
		db, err := openChecked(t, t.Context(), mem, "data", opts)
		must(t, err)
		if n := countSamples(t, db); n != want {
			t.Fatalf("capacity %d: %d samples after the start, want %d", capacity, n, want)
		}
		for range 3 {
			clock.Advance(time.Second)
			must(t, db.acceptsWrites(t.Context()))
			writeOne(t, db, 3)
			want += 3
		}
		if round%2 == 1 {
			_, err := db.Flush(t.Context())
			must(t, err)
			clock.Advance(time.Second)
			writeOne(t, db, 3)
			want += 3
		}
		if n := countSamples(t, db); n != want {
			t.Fatalf("capacity %d: %d samples, want %d", capacity, n, want)
		}
		closeUncut(db)
	}
}
