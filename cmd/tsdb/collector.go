package main

import (
	"os"
	"runtime/debug"
)

// gcPercent trades a little CPU for memory: what is live is mostly slabs
// without pointers, which cost the collector nothing to keep and would double
// with the default of 100.
const gcPercent = 50

// ballastBytes is memory that counts as live and is never touched, so that it
// takes address space and nothing else: the heap grows by gcPercent of it more
// between two collections. A server with few series in its head has some MB
// live. Without the ballast it collected every 2 MB, once or twice in a small
// query, and that took half of the query's CPU time. The other way, a higher
// percentage while the heap is small, has to be taken back after a collection,
// and a heap that grows at once is out of bounds before that.
const ballastBytes = 32 << 20

// paceCollector sets when the garbage collector runs, as long as the ballast is
// kept alive. GOGC leaves that to whoever set it.
func paceCollector() (ballast []byte) {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	debug.SetGCPercent(gcPercent)
	return make([]byte, ballastBytes)
}
