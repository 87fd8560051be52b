package influx

import "tsdb/api/ingest/door"

// Naming says which metric and which labels a point's measurement, fields and tags
// become.
type Naming struct {
	// Separator stands between the names of the measurement and of the field.
	Separator string
	// BareValue names the metric of a field "value" after its measurement alone.
	BareValue bool
	// Names is the form of the names. Those that become equal by it are one metric; of
	// labels, that is refused.
	Names door.Names
}

// DefaultNaming is measurement_field, with all names as they are.
var DefaultNaming = Naming{Separator: "_"}

// appendMetric appends the name of a metric. measurement and field are not escaped.
func (n *Naming) appendMetric(dst, measurement, field []byte) []byte {
	from := len(dst)
	dst = append(dst, measurement...)
	if !n.BareValue || string(field) != "value" {
		dst = append(dst, n.Separator...)
		dst = append(dst, field...)
	}
	return append(dst[:from], n.Names.Metric(dst[from:])...)
}

// metric is appendMetric for strings.
func (n *Naming) metric(measurement, field string) string {
	return string(n.appendMetric(nil, []byte(measurement), []byte(field)))
}

// label returns the name of the label that a tag becomes.
func (n *Naming) label(tag string) string {
	return string(n.Names.Label([]byte(tag)))
}
