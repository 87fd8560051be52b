package wal

import (
	"log/slog"
	"sync"
	"time"

	"tsdb/internal/vfs"
)

// When the list of segments is written: at once after the first sync of a
// segment and at its end, later while a segment grows, again after a failure.
const (
	listEvery    = 10 * time.Second
	listRetry    = time.Second // doubles
	listRetryMax = time.Minute
)

// listing keeps the list of segments and writes it to its file, off the write
// path. Frames are durable before they are listed, and a segment is durably off
// the list before it is removed or reused. A list that cannot be written stops
// nothing: an older one claims less, and the MANIFEST tells which generations
// have been released.
//
// It is safe for concurrent use. Nil is a listing that keeps nothing.
type listing struct {
	fs    vfs.FS
	name  string
	clock vfs.Clock
	log   *slog.Logger
	kick  chan struct{}

	writing sync.Mutex // held over I/O; comes before mu

	mu struct {
		sync.Mutex
		list     segmentList
		dirty    bool  // the file says something else
		urgent   bool  // the loop is to write at once
		waiting  bool  // the loop has a timer running
		closed   bool  // nothing is written any more
		err      error // of the last write
		failures uint64
	}
}

// newListing returns a listing that begins with l, nil if no file has a name.
func newListing(fs vfs.FS, o *Options, l segmentList) *listing {
	if o.ListName == "" {
		return nil
	}
	g := &listing{fs: fs, name: o.ListName, clock: o.Clock, log: o.Logger, kick: make(chan struct{}, 1)}
	g.mu.list, g.mu.dirty, g.mu.urgent = l, true, true
	wake(g.kick)
	return g
}

// durable says that the frames of a segment, and all LSNs up to synced, are on
// disk. ended says that it gets no more.
func (g *listing) durable(s listedSegment, synced uint64, ended bool) {
	if g == nil {
		return
	}
	g.mu.Lock()
	added := g.mu.list.put(s)
	g.mu.list.synced = max(g.mu.list.synced, synced)
	g.mu.dirty = true
	g.mu.urgent = g.mu.urgent || added || ended
	idle := g.mu.urgent || !g.mu.waiting
	g.mu.Unlock()
	if idle {
		wake(g.kick)
	}
}

// hurry has the list written at once.
func (g *listing) hurry() {
	if g == nil {
		return
	}
	g.mu.Lock()
	g.mu.urgent = true
	g.mu.Unlock()
	wake(g.kick)
}

// drop takes segments off the list, durably: they are about to go.
func (g *listing) drop(segments []closedSegment) {
	if g == nil {
		return
	}
	g.mu.Lock()
	for _, s := range segments {
		if i, found := g.mu.list.find(s.id); found {
			g.mu.list.segments = append(g.mu.list.segments[:i], g.mu.list.segments[i+1:]...)
			g.mu.dirty = true
		}
	}
	g.mu.Unlock()
	if g.write() != nil {
		g.hurry()
	}
}

// write brings the file up to date.
func (g *listing) write() error {
	if g == nil {
		return nil
	}
	g.writing.Lock()
	defer g.writing.Unlock()
	g.mu.Lock()
	if !g.mu.dirty || g.mu.closed {
		g.mu.Unlock()
		return nil
	}
	l := g.mu.list.clone()
	g.mu.dirty = false
	failed := g.mu.err != nil
	g.mu.Unlock()

	err := writeSegmentList(g.fs, g.name, &l)
	g.mu.Lock()
	g.mu.err = err
	if err != nil {
		g.mu.dirty = true
		g.mu.failures++
	}
	g.mu.Unlock()
	switch {
	case err != nil && !failed:
		g.log.Warn("list of log segments not written, will be tried again: until then a start does not notice the loss of the newest ones", "err", err)
	case err == nil && failed:
		g.log.Info("list of log segments can be written again")
	}
	return err
}

// loop writes the list whenever it is worth it, until stop is closed.
func (g *listing) loop(stop <-chan struct{}) {
	var later <-chan time.Time
	retry := listRetry
	for {
		due := false
		select {
		case <-stop:
			return
		case <-g.kick:
		case <-later:
			later, due = nil, true
		}
		g.mu.Lock()
		due = due || g.mu.urgent
		g.mu.urgent = false
		g.mu.Unlock()
		if due {
			later = nil
			if g.write() != nil {
				later = g.clock.After(retry)
				retry = min(2*retry, listRetryMax)
			} else {
				retry = listRetry
			}
		}
		g.mu.Lock()
		if later == nil && g.mu.dirty && !g.mu.closed {
			later = g.clock.After(listEvery)
		}
		g.mu.waiting = later != nil
		g.mu.Unlock()
	}
}

// end has the list not written any more.
func (g *listing) end() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.closed = true
}

// ListStatus says how the list of segments fares.
type ListStatus struct {
	Err      error  // why the last write of it failed, nil if it did not
	Failures uint64 // writes that failed
}

func (g *listing) status() ListStatus {
	if g == nil {
		return ListStatus{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return ListStatus{Err: g.mu.err, Failures: g.mu.failures}
}
