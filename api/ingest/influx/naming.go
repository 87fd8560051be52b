package influx

import "unicode/utf8"

// Naming says which metric and which labels a point's measurement, fields and tags
// become.
type Naming struct {
	// Separator stands between the names of the measurement and of the field.
	Separator string
	// BareValue names the metric of a field "value" after its measurement alone.
	BareValue bool
	// Prometheus replaces each character that the names of metrics and labels had no
	// room for before Prometheus 3 by an underscore, and puts one before a leading
	// digit. Names that become equal are one metric; of labels, that is refused.
	Prometheus bool
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
	if n.Prometheus {
		return sanitise(dst, from, true)
	}
	return dst
}

// metric is appendMetric for strings.
func (n *Naming) metric(measurement, field string) string {
	return string(n.appendMetric(nil, []byte(measurement), []byte(field)))
}

// label returns the name of the label that a tag becomes.
func (n *Naming) label(tag string) string {
	if n.Prometheus {
		return string(sanitise([]byte(tag), 0, false))
	}
	return tag
}

// sanitise replaces the characters of b[from:] that Prometheus' names have no room for.
// Metrics may have colons. It appends at most one byte more than b has.
func sanitise(b []byte, from int, metric bool) []byte {
	in := b[from:]
	if len(in) > 0 && '0' <= in[0] && in[0] <= '9' {
		b = append(b, 0)
		copy(b[from+1:], b[from:])
		b[from] = '_'
	}
	out := b[:from]
	for i := from; i < len(b); {
		c := b[i]
		size := 1
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == ':' && metric:
		default:
			_, size = utf8.DecodeRune(b[i:])
			c = '_'
		}
		out = append(out, c)
		i += size
	}
	return out
}
