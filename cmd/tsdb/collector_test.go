package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

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
