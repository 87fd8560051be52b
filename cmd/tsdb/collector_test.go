package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestHeapGrowth(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		live, scannable uint64
		want            int
	}{
		{0, 0, gcPercent},
		{10 * mb, 10 * mb, gcPercent},
		{60 * mb, 20 * mb, gcPercent},
		{96 * mb, 20 * mb, 33},
		{400 * mb, 40 * mb, 10}, // slabs
		{400 * mb, 160 * mb, 40},
		{400 * mb, 390 * mb, gcPercent}, // pointers
		{1 << 40, 0, 1},
	} {
		if got := heapGrowth(c.live, c.scannable); got != c.want {
			t.Errorf("%d MB live, %d MB to scan: %d %%, want %d", c.live/mb, c.scannable/mb, got, c.want)
		}
	}
}

// A heap of slabs grows less after a collection has shown that it is one.
func TestPacerFollowsTheHeap(t *testing.T) {
	before := debug.SetGCPercent(gcPercent)
	defer debug.SetGCPercent(before)
	slabs := make([]byte, 512<<20) // never touched
	p := &pacer{}
	runtime.GC()
	p.pace()
	if p.percent < 5 || p.percent > 15 {
		t.Errorf("%d %% of 512 MB without pointers", p.percent)
	}
	runtime.KeepAlive(slabs)
	runtime.GC()
	p.pace()
	if p.percent != gcPercent {
		t.Errorf("%d %% of a small heap", p.percent)
	}
}

func TestSmallHeapsGrowBeforeTheyAreCollected(t *testing.T) {
	before := debug.SetGCPercent(gcPercent)
	defer debug.SetGCPercent(before)
	grows := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.NextGC) - int64(m.HeapAlloc)
	}
	t.Setenv("GOGC", "")
	without := grows()
	ballast := paceCollector()
	// Garbage of other tests may be counted in the next collection only.
	if with, least := grows(), int64(ballastBytes*gcPercent/100*3/4); with < without+least {
		t.Errorf("the heap grows by %d bytes before it is collected, without ballast by %d", with, without)
	}
	runtime.KeepAlive(ballast)
	t.Setenv("GOGC", "100")
	if paceCollector() != nil {
		t.Error("ballast although GOGC is set")
	}
}
