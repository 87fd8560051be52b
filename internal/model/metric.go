package model

import (
	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/zeebo/xxh3"
)

// MetricSet is a set of metrics, identified by 6 bits of a hash of their names:
// bit MetricNumber(name) stands for all metrics with that number. Numbers have no
// meaning outside the process.
type MetricSet uint64

// AllMetrics is the set of all metrics.
const AllMetrics = ^MetricSet(0)

// MetricNumber returns the number of a metric, less than 64.
func MetricNumber(name string) uint8 { return uint8(xxh3.HashString(name) >> 58) }

// MetricsOf returns a set that holds the metrics of all series that match ms.
func MetricsOf(ms []*labels.Matcher) MetricSet {
	for _, m := range ms {
		if m.Name == commonmodel.MetricNameLabel && m.Type == labels.MatchEqual {
			return 1 << MetricNumber(m.Value)
		}
	}
	return AllMetrics
}
