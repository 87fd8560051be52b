package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// gcPercent trades a little CPU for memory: most of the live heap is slabs
// without pointers, which are cheap to mark; the default of 100 would double
// their memory. It is the highest percentage: see heapGrowth.
const gcPercent = 50

// ballastBytes is the size of an allocation that counts as live heap but is never
// touched, so it takes address space only. It lets the heap grow by a further
// gcPercent of it between collections. A server with few series has a live heap
// of some MB; without the ballast the collector ran every 2 MB, once or twice in a
// small query, and took half of its CPU time. The alternative, a higher percentage
// while the heap is small, can only be lowered after a collection, which is too
// late for a heap that grows suddenly.
const ballastBytes = 32 << 20

// minHeapGrowth is the number of bytes by which a large heap may always grow between
// collections.
const minHeapGrowth = 32 << 20

// heapGrowth returns the percentage by which a heap may grow until it is collected
// again. What a collection costs depends on the memory that may have pointers, what it
// saves on all that is allocated meanwhile. So a heap of slabs grows by as much as it
// has to scan, not in proportion to the slabs: of a million series they are 0.4 GB, of
// which every second cycle would otherwise be held in vain.
func heapGrowth(live, scannable uint64) int {
	if live == 0 {
		return gcPercent
	}
	growth := max(minHeapGrowth, scannable)
	return int(min(gcPercent, max(1, growth*100/live)))
}

// paceCollector configures the garbage collector while the result is kept alive.
// It does nothing if GOGC is set.
func paceCollector() (ballast []byte) {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	debug.SetGCPercent(gcPercent)
	ballast = make([]byte, ballastBytes)
	p := &pacer{ended: make(chan struct{})}
	runtime.AddCleanup(&ballast[0], func(ended chan struct{}) { close(ended) }, p.ended)
	p.afterCollection()
	return ballast
}

// pacer sets the percentage anew after each collection.
type pacer struct {
	percent int
	ended   chan struct{} // closed when the ballast is no longer kept
}

// afterCollection arranges for a call of pace when the next collection has ended.
func (p *pacer) afterCollection() {
	type token struct{ _ *int }
	runtime.AddCleanup(&token{}, func(p *pacer) {
		select {
		case <-p.ended:
		default:
			p.pace()
			p.afterCollection()
		}
	}, p)
}

func (p *pacer) pace() {
	s := [...]metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/total:bytes"}}
	metrics.Read(s[:])
	if s[0].Value.Kind() != metrics.KindUint64 || s[1].Value.Kind() != metrics.KindUint64 {
		return // another version of Go
	}
	if percent := heapGrowth(s[0].Value.Uint64(), s[1].Value.Uint64()); percent != p.percent {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
}
