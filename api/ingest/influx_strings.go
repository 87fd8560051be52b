package ingest

import (
	"log/slog"
	"sync"
)

// maxStringMeasurements bounds the measurements whose strings are logged.
const maxStringMeasurements = 1000

// stringLog logs the measurements that have string fields, each once: strings
// are skipped and counted, the client is told 204, and a line for every request
// would say nothing new for ever. It is safe for concurrent use.
type stringLog struct {
	log *slog.Logger

	mu   sync.Mutex
	seen map[string]struct{}
}

// note logs a measurement unless it, or maxStringMeasurements others, have been
// logged. A nil log notes nothing.
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
	l.log.Warn("string fields are not stored ("+more+")", "measurement", clip(name, maxExcerptBytes), "field", clip(string(field), maxExcerptBytes))
}
