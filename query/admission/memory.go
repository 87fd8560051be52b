package admission

import (
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
)

// Memory is the memory that all queries hold together. It is safe for concurrent use.
type Memory struct {
	limit int64 // bytes; 0 = none
	cache int64 // bytes of it that cached answers may take
	held  atomic.Int64
}

// NewMemory returns the memory of all queries: limit bytes, 0 = no limit, of which
// cache are for cached answers.
func NewMemory(limit, cache int64) *Memory { return &Memory{limit: limit, cache: cache} }

// NewTracker returns a tracker for one more query.
func (m *Memory) NewTracker(l Limits) *Tracker { return &Tracker{all: m, Limits: l} }

// Held returns the bytes that all queries hold.
func (m *Memory) Held() int64 { return m.held.Load() }

// 1/smallReserve of the common limit is reserved for queries that hold at most
// smallBytes, so that big queries leave them some.
const (
	smallBytes   = 16 << 20
	smallReserve = 8
)

// Tracker counts the memory that one query holds: series that are selected,
// columns, groups × steps, the answer until it is sent. Memory is reserved before it
// is allocated or, where its size shows only then, before more is allocated. A
// Tracker is safe for concurrent use; a nil tracker has no limits.
//
// A query that would exceed the common limit fails at once: it holds memory itself,
// and queries that waited for each other's memory would wait forever. Trying again
// helps only if other queries hold the memory.
type Tracker struct {
	Limits
	all                     *Memory
	held                    atomic.Int64 // bytes
	seriesSeen, samplesRead atomic.Int64
}

// Limits are the limits of one query; 0 = no limit.
type Limits struct {
	Bytes   int64 // of memory
	Series  int64 // selected
	Samples int64 // read
}

// Reserve adds bytes to those that the query holds. After an error it holds no more
// than before.
func (t *Tracker) Reserve(bytes int64) error {
	if t == nil || bytes <= 0 {
		return nil
	}
	own := t.held.Add(bytes)
	if t.Bytes > 0 && own > t.Bytes {
		t.held.Add(-bytes)
		return errBytes(own, t.Bytes)
	}
	all, limit := t.all.held.Add(bytes)+t.all.cache, t.all.limit
	if own > smallBytes {
		limit -= limit / smallReserve
	}
	if t.all.limit > 0 && all > limit {
		t.held.Add(-bytes)
		t.all.held.Add(-bytes)
		if left := limit - t.all.cache; own > left {
			return errTotalBytesAlone(own, left, t.all.limit)
		}
		return errTotalBytes(all, limit, t.all.limit)
	}
	return nil
}

// Release releases bytes that were reserved.
func (t *Tracker) Release(bytes int64) {
	if t != nil && bytes > 0 {
		t.held.Add(-bytes)
		t.all.held.Add(-bytes)
	}
}

// Fits returns the error that Reserve would return, and reserves nothing.
func (t *Tracker) Fits(bytes int64) error {
	err := t.Reserve(bytes)
	if err == nil {
		t.Release(bytes)
	}
	return err
}

// Close releases everything.
func (t *Tracker) Close() {
	if t != nil {
		t.Release(t.held.Load())
	}
}

// ReserveSeries reserves the memory of up to n series that are about to be selected.
func (t *Tracker) ReserveSeries(n int) error { return t.Reserve(int64(n) * seriesBytes) }

// CountSeries counts n series that were selected, and reserves the memory of their
// labels; of returns the labels of the i-th.
func (t *Tracker) CountSeries(n int, of func(i int) labels.Labels) error {
	if t == nil || n == 0 {
		return nil
	}
	if all := t.seriesSeen.Add(int64(n)); t.Series > 0 && all > t.Series {
		return errSeries(all, t.Series)
	}
	// The size of all labels is estimated from a sample.
	const some = 16
	bytes, asked := 0, min(n, some)
	for i := range asked {
		bytes += int(of(i * n / asked).ByteSize())
	}
	return t.Reserve(int64(n) * int64(bytes/asked))
}

// seriesBytes is the memory of a selected series besides its labels.
const seriesBytes = 160

// CountSamples counts samples that were read.
func (t *Tracker) CountSamples(samples int64) error {
	if t == nil || samples == 0 {
		return nil
	}
	if all := t.samplesRead.Add(samples); t.Samples > 0 && all > t.Samples {
		return errSamplesRead(all, t.Samples)
	}
	return nil
}

// Scratch is memory that is held only while a node is evaluated, besides tables:
// keys of groups, masks, copies to be sorted.
type Scratch struct {
	mem   *Tracker
	bytes int64
}

// NewScratch returns an empty scratch.
func NewScratch(mem *Tracker) Scratch { return Scratch{mem: mem} }

// Reserve adds bytes.
func (s *Scratch) Reserve(bytes int64) error {
	err := s.mem.Reserve(bytes)
	if err == nil {
		s.bytes += bytes
	}
	return err
}

// Close releases everything.
func (s *Scratch) Close() {
	s.mem.Release(s.bytes)
	s.bytes = 0
}
