package storage

import (
	"github.com/prometheus/client_golang/prometheus"

	"tsdb/storage/snapshot"
)

// snapshotCollector shows what snapshots pin as metrics.
type snapshotCollector struct {
	db            *DB
	count, pinned *prometheus.Desc
}

func newSnapshotCollector(db *DB) *snapshotCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"kind"}, nil)
	}
	return &snapshotCollector{
		db:     db,
		count:  desc("tsdb_snapshots", "Snapshots in the data directory, by kind: snapshot, or backup for the temporary ones that running backups read."),
		pinned: desc("tsdb_snapshot_pinned_bytes", "Bytes of files that only snapshots have, by kind: removing these frees them."),
	}
}

// Describe implements prometheus.Collector.
func (c *snapshotCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.count
	to <- c.pinned
}

// Collect implements prometheus.Collector.
func (c *snapshotCollector) Collect(to chan<- prometheus.Metric) {
	infos, err := snapshot.List(c.db.fs, c.db.dir)
	if err != nil {
		return // an error here would hide all other metrics; the list of snapshots shows it
	}
	count, pinned := map[string]int64{"snapshot": 0, "backup": 0}, map[string]int64{}
	for _, i := range infos {
		kind := "snapshot"
		if i.Temporary {
			kind = "backup"
		}
		count[kind]++
		pinned[kind] += i.PinnedBytes
	}
	for kind, n := range count {
		to <- prometheus.MustNewConstMetric(c.count, prometheus.GaugeValue, float64(n), kind)
		to <- prometheus.MustNewConstMetric(c.pinned, prometheus.GaugeValue, float64(pinned[kind]), kind)
	}
}
