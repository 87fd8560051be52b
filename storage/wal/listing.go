package wal

import (
	"log/slog"
	"sync"
	"time"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
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
// the list before it is removed or reused. A failure to write the
// list does not stop the log: an older list claims less, and the MANIFEST records
// the released generations.
//
// It is safe for concurrent use. A nil listing does nothing.
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
		dirty    bool  // list differs from the file
		urgent   bool  // the loop writes at once
		waiting  bool  // the loop has a timer running
		closed   bool  // the file is not written any more
		err      error // of the last write
		failures uint64
	}
}

// newListing returns a listing that starts with l, nil if o names no file.
func newListing(fs vfs.FS, o *Options, l segmentList) *listing {
	if o.ListName == "" {
		return nil
	}
	g := &listing{fs: fs, name: o.ListName, clock: o.Clock, log: o.Logger, kick: make(chan struct{}, 1)}
	g.mu.list, g.mu.dirty, g.mu.urgent = l, true, true
	wake(g.kick)
	return g
}

// durable records that the frames of a segment, and all LSNs up to synced, are on
// disk. ended means that the segment gets no more frames.
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

// writeSoon makes the loop write the list at once.
func (g *listing) writeSoon() {
	if g == nil {
		return
	}
	g.mu.Lock()
	g.mu.urgent = true
	g.mu.Unlock()
	wake(g.kick)
}

// drop durably removes segments from the list before their files are removed or
// reused.
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
		g.writeSoon()
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
		g.log.Warn("list of log segments not written, will retry: until then a restart does not notice the loss of the newest segments", "err", err)
	case err == nil && failed:
		g.log.Info("list of log segments can be written again")
	}
	return err
}

// loop writes the list when it is due, until stop is closed.
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

// close prevents further writes of the list.
func (g *listing) close() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.closed = true
}

func (g *listing) status() log.ListStatus {
	if g == nil {
		return log.ListStatus{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return log.ListStatus{Err: g.mu.err, Failures: g.mu.failures}
}
