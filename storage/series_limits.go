package storage

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/internal/model"
)

// SeriesLimits bound the series that a batch registers. Zero fields mean no limit.
// Series that the head has are never refused. Concurrent batches may together exceed a
// limit by one series each.
type SeriesLimits struct {
	Active     int64 // series in the head, of all doors
	NewPerHour int64 // series registered in the last hour, by all doors

	DoorActive     int64 // series in the head that the door was the first to send
	DoorNewPerHour int64 // series that the door has registered in the last hour
}

// Limit sets the limits of the series that the batch registers.
func (b *Batch) Limit(l SeriesLimits) { b.limits = l }

// create returns the head's ref of a series of the batch, which it creates if it is
// new, and stores its alias.
func (b *Batch) create(u *unregisteredSeries) (model.Ref, *Reject) {
	db := b.db
	if b.limits != (SeriesLimits{}) {
		if bad := b.admit(); bad != nil {
			return 0, bad
		}
	}
	ref, created := db.head.Register(u.alias, b.tenant, u.id, u.labels, b.owner)
	if ref == 0 {
		return 0, rejectf(ReasonLimit, "the head has no room for another series: %s", clip(u.labels.String()))
	}
	if created {
		db.owners.churn(0).add(b.now)
		db.owners.churn(b.owner).add(b.now)
		if b.created == nil {
			b.created = db.metrics.created.WithLabelValues(b.door)
		}
		b.created.Inc()
	}
	return ref, nil
}

// admit returns the reason why no series may be registered now, nil if it may.
func (b *Batch) admit() *Reject {
	l, db := b.limits, b.db
	switch {
	case l.Active > 0 && db.head.Series() >= l.Active:
		return b.limited(ReasonSeriesLimit, "there are %d active series, limit is %d (--limit.series)", db.head.Series(), l.Active)
	case l.DoorActive > 0 && db.head.Owned(b.owner) >= l.DoorActive:
		return b.limited(ReasonSeriesLimit, "the door has %d active series, limit is %d (limit.series of doors: %s)", db.head.Owned(b.owner), l.DoorActive, b.door)
	}
	now := b.now
	if n := db.owners.churn(0).count(now); l.NewPerHour > 0 && n >= l.NewPerHour {
		return b.limited(ReasonChurnLimit, "%d series were new in the last hour, limit is %d (--limit.new-series)", n, l.NewPerHour)
	}
	if n := db.owners.churn(b.owner).count(now); l.DoorNewPerHour > 0 && n >= l.DoorNewPerHour {
		return b.limited(ReasonChurnLimit, "%d series of the door were new in the last hour, limit is %d (limit.new-series of doors: %s)", n, l.DoorNewPerHour, b.door)
	}
	return nil
}

// limited returns a refusal, with a text for the first of a reason in the batch.
func (b *Batch) limited(reason Reason, format string, args ...any) *Reject {
	if b.rejects.Has(reason) {
		return &Reject{Reason: reason}
	}
	return rejectf(reason, format, args...)
}

// owners numbers the doors, and counts the series that each has registered. The zero
// value is empty.
type owners struct {
	mu    sync.Mutex
	names []string // the owner number is the index + 1
	new   [256]hourCounter
}

// of returns the number of a door, 0 if there are too many.
func (o *owners) of(door string) uint8 {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, name := range o.names {
		if name == door {
			return uint8(i + 1)
		}
	}
	if len(o.names) == 255 {
		return 0
	}
	o.names = append(o.names, door)
	return uint8(len(o.names))
}

// list returns the doors in the order of their numbers.
func (o *owners) list() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.names...)
}

// churn returns the counter of a door, that of all doors if owner is 0.
func (o *owners) churn(owner uint8) *hourCounter { return &o.new[owner] }

// hourCounter counts events of the last hour, to the minute. It is safe for concurrent
// use. The zero value is empty.
type hourCounter struct {
	mu      sync.Mutex
	minute  int64     // of the newest bucket, since the Unix epoch
	buckets [60]int32 // by minute modulo 60
	sum     int64
}

func (c *hourCounter) add(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(now)
	c.buckets[uint64(c.minute)%60]++
	c.sum++
}

func (c *hourCounter) count(now time.Time) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(now)
	return c.sum
}

// advance empties the buckets of minutes that have passed. A clock that is set back
// counts in the newest bucket until it has caught up.
func (c *hourCounter) advance(now time.Time) {
	minute := now.Unix() / 60
	if minute-c.minute >= 60 {
		c.buckets, c.sum, c.minute = [60]int32{}, 0, minute
	}
	for c.minute < minute {
		c.minute++
		b := &c.buckets[uint64(c.minute)%60]
		c.sum -= int64(*b)
		*b = 0
	}
}

// doorSeriesCollector shows the series in the head by the door that first sent them.
type doorSeriesCollector struct{ db *DB }

var doorSeries = prometheus.NewDesc("tsdb_door_series", "Series in the head that the door was the first to send since the start.", []string{"door"}, nil)

// Describe implements prometheus.Collector.
func (c doorSeriesCollector) Describe(to chan<- *prometheus.Desc) { to <- doorSeries }

// Collect implements prometheus.Collector.
func (c doorSeriesCollector) Collect(to chan<- prometheus.Metric) {
	for i, door := range c.db.owners.list() {
		to <- prometheus.MustNewConstMetric(doorSeries, prometheus.GaugeValue, float64(c.db.head.Owned(uint8(i+1))), door)
	}
}
