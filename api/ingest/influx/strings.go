package influx

import (
	"log/slog"
	"sync"

	"tsdb/api/ingest/door"
)

// maxStringMeasurements is the maximum number of measurements that are logged.
const maxStringMeasurements = 1000

// stringLog logs each measurement with string fields once. String fields are
// skipped and counted and the client gets 204, so a log line per request would
// only repeat itself. It is safe for concurrent use.
type stringLog struct {
	log *slog.Logger

	mu   sync.Mutex
	seen map[string]struct{}
}

// note logs a measurement unless it has been logged before or
// maxStringMeasurements have been. It does nothing on a nil stringLog.
func (l *stringLog) note(measurement, field []byte) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.seen[string(measurement)]; ok || len(l.seen) >= maxStringMeasurements {
		return
	}
	if l.seen == nil {
		l.seen = make(map[string]struct{})
	}
	name := string(measurement)
	l.seen[name] = struct{}{}
	more := "further ones of this measurement are counted, not logged"
	if len(l.seen) == maxStringMeasurements {
		more = "further ones of any measurement are counted, not logged"
	}
	l.log.Warn("string fields are not stored ("+more+")", "measurement", door.Clip(name, door.MaxExcerptBytes), "field", door.Clip(string(field), door.MaxExcerptBytes))
}
