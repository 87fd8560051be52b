package admission

import (
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
)

// Memory counts the memory held by all queries together. It is safe for concurrent
// use.
type Memory struct {
	limit int64 // bytes; 0 = none
	cache int64 // bytes of limit set aside for cached answers
	held  atomic.Int64
}

// NewMemory returns a Memory with a limit in bytes (0 = no limit), cache of them
// set aside for cached answers.
func NewMemory(limit, cache int64) *Memory { return &Memory{limit: limit, cache: cache} }

// NewTracker returns a tracker for a new query.
func (m *Memory) NewTracker(l Limits) *Tracker { return &Tracker{shared: m, Limits: l} }

// Held returns the bytes held by all queries.
func (m *Memory) Held() int64 { return m.held.Load() }

// 1/smallReserve of the common limit is reserved for queries that hold at most
// smallBytes, so that big queries cannot starve them.
const (
	smallBytes   = 16 << 20
	smallReserve = 8
)

// Tracker counts the memory held by one query: selected series, columns,
// groups × steps, and the answer until it is sent. Memory is reserved before it is
// allocated or, if its size is not known by then, before more is allocated. A
// Tracker is safe for concurrent use; a nil Tracker has no limits.
//
// A query that would exceed the common limit fails at once instead of waiting: it
// holds memory itself, so queries waiting for each other would deadlock. A retry
// helps only if other queries hold the memory.
type Tracker struct {
	Limits
	shared                  *Memory
	held                    atomic.Int64 // bytes
	seriesSeen, samplesRead atomic.Int64
}

// Limits are the limits of one query; 0 = no limit.
type Limits struct {
	Bytes   int64 // of memory
	Series  int64 // selected
	Samples int64 // read
}

// Reserve adds bytes to the memory held by the query. On error nothing is reserved.
func (t *Tracker) Reserve(bytes int64) error {
	if t == nil || bytes <= 0 {
		return nil
	}
	held := t.held.Add(bytes)
	if t.Bytes > 0 && held > t.Bytes {
		t.held.Add(-bytes)
		return errBytes(held, t.Bytes)
	}
	total, limit := t.shared.held.Add(bytes)+t.shared.cache, t.shared.limit
	if held > smallBytes {
		limit -= limit / smallReserve
	}
	if t.shared.limit > 0 && total > limit {
		t.held.Add(-bytes)
		t.shared.held.Add(-bytes)
		if left := limit - t.shared.cache; held > left {
			return errTotalBytesAlone(held, left, t.shared.limit)
		}
		return errTotalBytes(total, limit, t.shared.limit)
	}
	return nil
}

// Release releases reserved bytes.
func (t *Tracker) Release(bytes int64) {
	if t != nil && bytes > 0 {
		t.held.Add(-bytes)
		t.shared.held.Add(-bytes)
	}
}

// Fits returns the error that Reserve would return, without reserving anything.
func (t *Tracker) Fits(bytes int64) error {
	err := t.Reserve(bytes)
	if err == nil {
		t.Release(bytes)
	}
	return err
}

// Close releases all memory of the query.
func (t *Tracker) Close() {
	if t != nil {
		t.Release(t.held.Load())
	}
}

// ReserveSeries reserves memory for up to n series about to be selected.
func (t *Tracker) ReserveSeries(n int) error { return t.Reserve(int64(n) * seriesBytes) }

// CountSeries counts n selected series and reserves the memory of their labels.
// labelsOf returns the labels of series i.
func (t *Tracker) CountSeries(n int, labelsOf func(i int) labels.Labels) error {
	if t == nil || n == 0 {
		return nil
	}
	if all := t.seriesSeen.Add(int64(n)); t.Series > 0 && all > t.Series {
		return errSeries(all, t.Series)
	}
	// The size of all labels is estimated from a sample of the series.
	const sampleSize = 16
	bytes, sampled := 0, min(n, sampleSize)
	for i := range sampled {
		bytes += int(labelsOf(i * n / sampled).ByteSize())
	}
	return t.Reserve(int64(n) * int64(bytes/sampled))
}

// seriesBytes is the memory of a selected series, excluding its labels.
const seriesBytes = 160

// CountSamples counts samples read.
func (t *Tracker) CountSamples(samples int64) error {
	if t == nil || samples == 0 {
		return nil
	}
	if all := t.samplesRead.Add(samples); t.Samples > 0 && all > t.Samples {
		return errSamplesRead(all, t.Samples)
	}
	return nil
}

// Scratch is memory other than tables that is held only while a node is evaluated:
// group keys, masks, copies to be sorted. It is not safe for concurrent use.
type Scratch struct {
	mem   *Tracker
	bytes int64
}

// NewScratch returns an empty Scratch.
func NewScratch(mem *Tracker) Scratch { return Scratch{mem: mem} }

// Reserve adds bytes to the scratch memory.
func (s *Scratch) Reserve(bytes int64) error {
	err := s.mem.Reserve(bytes)
	if err == nil {
		s.bytes += bytes
	}
	return err
}

// Close releases all scratch memory.
func (s *Scratch) Close() {
	s.mem.Release(s.bytes)
	s.bytes = 0
}
