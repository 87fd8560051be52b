package block

import (
	"cmp"
	"errors"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// MetricName is the label that holds the name of a metric.
const MetricName = "__name__"

// Compare defines the order of series in a block: by tenant, then by metric name,
// then by the other labels as in labels.Compare. Both label sets must be sorted
// by name.
func Compare(tenantA uint32, a labels.Labels, tenantB uint32, b labels.Labels) int {
	if c := cmp.Compare(tenantA, tenantB); c != 0 {
		return c
	}
	if c := strings.Compare(a.Get(MetricName), b.Get(MetricName)); c != 0 {
		return c
	}
	if beforeMetric(a) || beforeMetric(b) {
		a, b = a.DropReserved(isMetricName), b.DropReserved(isMetricName)
	}
	return labels.Compare(a, b)
}

func isMetricName(name string) bool { return name == MetricName }

var errStop = errors.New("stop")

// beforeMetric reports whether a label sorts before the metric name, so that
// labels.Compare would compare it first.
func beforeMetric(ls labels.Labels) bool {
	before := false
	_ = ls.Validate(func(l labels.Label) error { // stops at the first label
		before = l.Name < MetricName
		return errStop
	})
	return before
}
