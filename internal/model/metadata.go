package model

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"
)

// Exemplar is a value of a series that points at a trace. It has labels of its own
// and is stored apart from the series' samples.
type Exemplar struct {
	T      int64 // Unix milliseconds
	V      float64
	Labels labels.Labels // may be empty
}

// Equal reports whether both are the same exemplar.
func (e Exemplar) Equal(o Exemplar) bool {
	return e.T == o.T && sameBits(e.V, o.V) && labels.Equal(e.Labels, o.Labels)
}

// Metadata describes a metric. Type is one of the words of the Prometheus
// exposition formats (counter, gauge, histogram, gaugehistogram, summary,
// info, stateset, unknown).
type Metadata struct {
	Type, Unit, Help string
}

func sameBits(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }
