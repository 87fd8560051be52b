package query

import (
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
)

// memory is what all queries hold together. It is safe for concurrent use.
type memory struct {
	limit int64 // bytes; 0 = none
	cache int64 // bytes of it that kept answers may take
	held  atomic.Int64
}

// newMemory returns the memory of all queries: limit bytes, 0 = no limit, of which
// cache are for cached answers.
func newMemory(limit, cache int64) *memory { return &memory{limit: limit, cache: cache} }

// tracker returns a tracker for one more query.
func (m *memory) tracker(l limits) *tracker { return &tracker{all: m, limits: l} }

// bytes returns what all queries hold.
func (m *memory) bytes() int64 { return m.held.Load() }

// An eighth of the common limit is for queries that hold no more than
// smallBytes: big ones cannot leave them none.
const (
	smallBytes   = 16 << 20
	smallReserve = 8
)

// tracker counts the memory that one query holds: series that are selected,
// columns, groups × steps, the answer until it is sent. What grows with a query
// is taken before it is allocated, or, where its size shows only then, before
// more is. It is safe for concurrent use; a nil tracker has no limits.
//
// A query that would exceed what all may hold together fails at once. It holds
// memory itself, and so do others that fail to get more: waiting for each other
// they would wait for ever. Trying again helps it only if the memory is missing
// because others hold it.
type tracker struct {
	limits
	all                     *memory
	held                    atomic.Int64 // bytes
	seriesSeen, samplesRead atomic.Int64
}

// limits are what one query may come to; 0 = no limit.
type limits struct {
	bytes  int64 // of memory
	series int64 // selected
	read   int64 // samples
}

// take adds bytes to what the query holds. After an error it holds no more than
// before.
func (t *tracker) take(bytes int64) error {
	if t == nil || bytes <= 0 {
		return nil
	}
	own := t.held.Add(bytes)
	if t.bytes > 0 && own > t.bytes {
		t.held.Add(-bytes)
		return errBytes(own, t.bytes)
	}
	all, most := t.all.held.Add(bytes)+t.all.cache, t.all.limit
	if own > smallBytes {
		most -= most / smallReserve
	}
	if t.all.limit > 0 && all > most {
		t.held.Add(-bytes)
		t.all.held.Add(-bytes)
		if left := most - t.all.cache; own > left {
			return errTotalBytesAlone(own, left, t.all.limit)
		}
		return errTotalBytes(all, most, t.all.limit)
	}
	return nil
}

// give takes back what take added.
func (t *tracker) give(bytes int64) {
	if t != nil && bytes > 0 {
		t.held.Add(-bytes)
		t.all.held.Add(-bytes)
	}
}

// fits returns the error that take would, and takes nothing.
func (t *tracker) fits(bytes int64) error {
	err := t.take(bytes)
	if err == nil {
		t.give(bytes)
	}
	return err
}

// close gives back everything.
func (t *tracker) close() {
	if t != nil {
		t.give(t.held.Load())
	}
}

// moreSeries takes the memory of up to n series that are about to be selected.
func (t *tracker) moreSeries(n int) error { return t.take(int64(n) * seriesBytes) }

// selected counts n series that were selected, and takes the memory of their
// labels; of returns those of the i-th.
func (t *tracker) selected(n int, of func(i int) labels.Labels) error {
	if t == nil || n == 0 {
		return nil
	}
	if all := t.seriesSeen.Add(int64(n)); t.series > 0 && all > t.series {
		return errSeries(all, t.series)
	}
	// The labels of some tell how long those of all are.
	const some = 16
	bytes, asked := 0, min(n, some)
	for i := range asked {
		bytes += int(of(i * n / asked).ByteSize())
	}
	return t.take(int64(n) * int64(bytes/asked))
}

// seriesBytes is what a selected series takes besides its labels.
const seriesBytes = 160

// readMore counts samples that are read.
func (t *tracker) readMore(samples int64) error {
	if t == nil || samples == 0 {
		return nil
	}
	if all := t.samplesRead.Add(samples); t.read > 0 && all > t.read {
		return errSamplesRead(all, t.read)
	}
	return nil
}

// scratch is memory that is held only while a node is evaluated, besides tables:
// keys of groups, masks, copies to be sorted.
type scratch struct {
	mem   *tracker
	bytes int64
}

// newScratch returns an empty scratch.
func newScratch(mem *tracker) scratch { return scratch{mem: mem} }

// take adds bytes.
func (s *scratch) take(bytes int64) error {
	err := s.mem.take(bytes)
	if err == nil {
		s.bytes += bytes
	}
	return err
}

// close gives back everything.
func (s *scratch) close() {
	s.mem.give(s.bytes)
	s.bytes = 0
}
