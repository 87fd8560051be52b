package influx

import (
	"strings"
	"sync"
)

// maxMeasurements is the number of measurements that are remembered.
const maxMeasurements = 10_000

// measurements knows the measurements that clients have sent since the start, so that
// the name of a metric can be divided. It is safe for concurrent use; a nil one knows
// none.
type measurements struct {
	mu     sync.RWMutex
	prefix map[string]string // of metrics → measurement
}

// learn remembers a measurement. It is called for new series only.
func (m *measurements) learn(n *Naming, measurement []byte) {
	if m == nil {
		return
	}
	prefix := string(n.appendMetric(nil, measurement, nil))
	m.mu.RLock()
	_, known := m.prefix[prefix]
	m.mu.RUnlock()
	if known {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.prefix == nil {
		m.prefix = map[string]string{}
	}
	if len(m.prefix) < maxMeasurements {
		m.prefix[prefix] = string(measurement)
	}
}

// split divides the name of a metric into measurement and field: the longest measurement
// that clients have sent, else all before the first separator.
func (m *measurements) split(n *Naming, metric string) (measurement, field string) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if n.BareValue {
		if known, ok := m.prefix[n.metric(metric, "")]; ok {
			return known, "value"
		}
	}
	for i := len(metric) - 1; i > 0; i-- {
		if known, ok := m.prefix[metric[:i]]; ok {
			return known, metric[i:]
		}
	}
	if before, after, ok := strings.Cut(metric, n.metric("", "")); ok && before != "" && after != "" && n.Separator != "" {
		return before, after
	}
	return metric, "value"
}
