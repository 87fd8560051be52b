package storage

import (
	"math"
	"math/bits"
	"sync/atomic"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// settleMs is the horizon of change counters: times younger than this are not
// counted. An agent that sends later than this after the fact spoils cached
// answers, of its own metrics only.
const settleMs = 5 * model.MinuteMs

// changeDays is how many days have counters of their own. A day shares those of
// the days that are a multiple of it away, which makes some answers look changed
// that are not, never the reverse. All days together take 12 MiB.
const changeDays = 1024

// Changes counts changes of the past, so that a cache of answers can tell which
// of them are still valid. There is a counter for each hour of sample time and
// each of 64 hashes of metric names. It is safe for concurrent use.
//
// A cache that stores an answer, in this order,
//
//	calls Settled, reads the counters with Sums, takes a view, evaluates, and
//	stores the part of the answer that depends on times up to Settled only,
//	with the sums.
//
// To use it later, it calls Settled, reads Sums, takes a view, and uses the
// stored hours whose sums are the same. A writer, in this order,
//
//	applies samples, reads the clock (the highest reading of any Settled),
//	counts the samples that are settled by it, and replies.
//
// Then an answer from the cache lacks no sample that was acknowledged before the
// Settled of its use. Let t be the time of a sample in a range that the answer
// depends on, so t ≤ S, the result of Settled when it was stored.
//
//   - If the sample was not counted, its writer read a clock by which t is not
//     settled, that is, below the one S came from: before Settled was called. It
//     had applied the sample by then, and the view was taken later: the sample is
//     in the answer.
//   - If it was counted before the sums of the stored answer were read, it was
//     applied before, and again is in the answer.
//   - If it was counted after that and before the sums of the use were read,
//     these differ: sums only grow.
//   - If it was counted later still, its reply came after the Settled of the use.
//
// The same holds for deletions, which are counted always. The clock of a machine
// can be set back: that of this proof never goes back.
//
// Cuts and merges show the same samples before and after, and count nothing.
// A new Changes is made at each start, so nothing kept outlives the process.
type Changes struct {
	clock  vfs.Clock
	newest atomic.Int64 // highest reading of clock by Settled, Unix milliseconds

	// always is part of every sum: it counts changes of more hours than there are
	// counters.
	always [64]atomic.Uint64
	days   [changeDays]atomic.Pointer[changeDay] // nil until something changes in the day
}

// changeDay holds the counters of a day, by hour and by the number of the metric.
type changeDay [24][64]atomic.Uint64

func newChanges(clock vfs.Clock) *Changes {
	c := &Changes{clock: clock}
	c.newest.Store(math.MinInt64 / 2)
	return c
}

// Changes returns the database's counters of changes.
func (db *DB) Changes() *Changes { return db.changes }

// ChangeHour returns the hour of a time, counted from 1970.
func ChangeHour(t int64) int64 {
	h := t / model.HourMs
	if t%model.HourMs < 0 {
		h--
	}
	return h
}

// Settled reads the clock and returns the last time, Unix milliseconds, up to
// which changes are counted from now on. It never goes back.
func (c *Changes) Settled() int64 {
	now := c.clock.Now().UnixMilli()
	for {
		newest := c.newest.Load()
		if now <= newest {
			return newest - settleMs
		}
		if c.newest.CompareAndSwap(newest, now) {
			return now - settleMs
		}
	}
}

// Sums appends to dst, for each hour from first to last, the sum of the counters
// of the metrics. The sum of an hour is the same as before if and only if nothing
// has been counted for them there.
func (c *Changes) Sums(dst []uint64, first, last int64, metrics model.MetricSet) []uint64 {
	always := uint64(0)
	for i := range c.always {
		if metrics&(1<<i) != 0 {
			always += c.always[i].Load()
		}
	}
	for h := first; h <= last; h++ {
		sum := always
		day, hour := slotOf(h)
		if d := c.days[day].Load(); d != nil {
			for i := range d[hour] {
				if metrics&(1<<i) != 0 {
					sum += d[hour][i].Load()
				}
			}
		}
		dst = append(dst, sum)
	}
	return dst
}

// Sum returns the sum of the counters of a range for the metrics. It rises when samples
// arrive more than five minutes late, or are deleted there, and begins anew with each start.
func (c *Changes) Sum(tr model.TimeRange, metrics model.MetricSet) (all uint64) {
	c.Settled() // so that samples that are late by now are counted from now on
	first, last := ChangeHour(tr.Min), ChangeHour(tr.Max-1)
	for _, n := range c.Sums(nil, max(first, last-changeDays*24+1), last, metrics) {
		all += n
	}
	return all
}

// slotOf returns the position of the counters of an hour.
func slotOf(h int64) (day, hour int) {
	const hours = changeDays * 24
	n := int(((h % hours) + hours) % hours)
	return n / 24, n % 24
}

// counters returns the counters of an hour, by the number of the metric.
func (c *Changes) counters(h int64) *[64]atomic.Uint64 {
	day, hour := slotOf(h)
	d := c.days[day].Load()
	if d == nil {
		c.days[day].CompareAndSwap(nil, new(changeDay))
		d = c.days[day].Load()
	}
	return &d[hour]
}

// uncounted returns the first time whose changes need not be counted now. A
// writer calls it after it has applied samples.
func (c *Changes) uncounted() int64 { return c.newest.Load() - settleMs + 1 }

// addSamples counts the samples before a time; metrics are the numbers of their
// metrics. Samples of one hour that follow each other count once a metric.
func (c *Changes) addSamples(ts []int64, metrics []uint8, before int64) {
	hour, changed := int64(0), model.MetricSet(0)
	for i, t := range ts {
		if t >= before {
			continue
		}
		if h := ChangeHour(t); h != hour {
			c.addHour(hour, changed)
			hour, changed = h, 0
		}
		changed |= 1 << metrics[i]
	}
	c.addHour(hour, changed)
}

// addHour counts a change of the metrics in an hour.
func (c *Changes) addHour(h int64, metrics model.MetricSet) {
	if metrics != 0 {
		count(c.counters(h), metrics)
	}
}

func count(counters *[64]atomic.Uint64, metrics model.MetricSet) {
	for ; metrics != 0; metrics &= metrics - 1 {
		counters[bits.TrailingZeros64(uint64(metrics))].Add(1)
	}
}

// addDamage counts data that has become unreadable. Queries over it warn, even if
// it lies between two steps and neither reads it, so every answer changes.
func (c *Changes) addDamage() { c.addRange(model.AllTime, model.AllMetrics) }

// addRange counts a change of the metrics in a range of time.
func (c *Changes) addRange(tr model.TimeRange, metrics model.MetricSet) {
	if tr.Empty() {
		return
	}
	first, last := ChangeHour(tr.Min), ChangeHour(tr.Max-1)
	if last-first >= changeDays*24 {
		count(&c.always, metrics)
		return
	}
	for h := first; h <= last; h++ {
		c.addHour(h, metrics)
	}
}
