package main

import (
	"os"
	"runtime/debug"
)

// gcPercent trades a little CPU for memory: most of the live heap is slabs
// without pointers, which are cheap to mark; the default of 100 would double
// their memory.
const gcPercent = 50

// ballastBytes is the size of an allocation that counts as live heap but is never
// touched, so it takes address space only. It lets the heap grow by a further
// gcPercent of it between collections. A server with few series has a live heap
// of some MB; without the ballast the collector ran every 2 MB, once or twice in a
// small query, and took half of its CPU time. The alternative, a higher percentage
// while the heap is small, can only be lowered after a collection, which is too
// late for a heap that grows suddenly.
const ballastBytes = 32 << 20

// paceCollector configures the garbage collector while the ballast is kept alive.
// It does nothing if GOGC is set.
func paceCollector() (ballast []byte) {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	debug.SetGCPercent(gcPercent)
	return make([]byte, ballastBytes)
}
