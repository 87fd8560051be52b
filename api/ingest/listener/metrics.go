package listener

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of a Listener.
type metrics struct {
	connections        prometheus.Gauge
	connectionsRefused prometheus.Counter
	datagrams          prometheus.Counter
	queueBytes         prometheus.Gauge
	kernelDropped      prometheus.Counter
	retries            prometheus.Counter
	bytes              [numNetworks]prometheus.Counter
	dropped            [numNetworks]map[string]prometheus.Counter // by reason
}

// newMetrics registers the metrics of a door's ports; reg may be nil.
func newMetrics(door string, reg prometheus.Registerer) *metrics {
	labels := prometheus.Labels{"door": door}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
	}
	counters := func(name, help string, names ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, names)
	}
	connections := gauge("tsdb_listener_connections", "Open TCP connections of ports for lines, by door.")
	queueBytes := gauge("tsdb_listener_queue_bytes", "Bytes of UDP datagrams that have not been stored yet, by door.")
	refused := counters("tsdb_listener_connections_refused_total", "TCP connections closed because there were too many, by door.")
	datagrams := counters("tsdb_listener_datagrams_total", "UDP datagrams received, by door.")
	kernelDropped := counters("tsdb_listener_kernel_dropped_datagrams_total", "UDP datagrams that the kernel had no room for, by door; only on Linux.")
	retries := counters("tsdb_listener_retries_total", "Attempts to store lines that storage did not take, and that were tried again, by door.")
	bytes := counters("tsdb_listener_received_bytes_total", "Bytes received by ports for lines, by door and network.", "network")
	dropped := counters("tsdb_listener_dropped_lines_total", "Lines dropped by ports for lines, by door, network and reason; those that a door refuses are in tsdb_rejected_samples_total.", "network", "reason")
	if reg != nil {
		reg.MustRegister(connections, queueBytes, kernelDropped, refused, datagrams, retries, bytes, dropped)
	}
	m := &metrics{
		connections: connections, connectionsRefused: refused.WithLabelValues(), datagrams: datagrams.WithLabelValues(), queueBytes: queueBytes, kernelDropped: kernelDropped.WithLabelValues(), retries: retries.WithLabelValues(),
	}
	for n := range numNetworks {
		m.bytes[n] = bytes.WithLabelValues(n.String())
		m.dropped[n] = map[string]prometheus.Counter{}
		for _, reason := range dropReasons {
			m.dropped[n][reason] = dropped.WithLabelValues(n.String(), reason)
		}
	}
	return m
}
