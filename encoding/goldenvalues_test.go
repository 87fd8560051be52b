package encoding

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
)

// The values of a golden column are words. A float is the 16 hex digits of its
// bits, a time a decimal integer, a start timestamp a decimal integer followed by @
// and the time of its sample. A histogram is "int" or "float" followed by a JSON
// object whose floats are also hex digits, or "none" if it is the zero Histogram. A row
// of buckets is described at parseBuckets.

// columnOfValues returns the column of the values. Its name gives the codec and the
// tier: codec/… for the fast tier, codec/full/… for the full one.
func columnOfValues(name string, values []string) (column, error) {
	codec, rest, _ := strings.Cut(name, "/")
	tier := Fast
	if strings.HasPrefix(rest, "full/") {
		tier = Full
	}
	switch codec {
	case "floats":
		vs, err := parseAll(values, parseFloat)
		return floatColumn(name, vs, tier, 0), err
	case "timestamps":
		ts, err := parseAll(values, parseInt)
		return timeColumn(name, ts, tier), err
	case "starts":
		starts := make([]string, len(values))
		times := make([]string, len(values))
		for i, v := range values {
			starts[i], times[i], _ = strings.Cut(v, "@")
		}
		sts, err := parseAll(starts, parseInt)
		if err != nil {
			return column{}, err
		}
		ts, err := parseAll(times, parseInt)
		return startColumn(name, sts, ts, tier), err
	case "histograms":
		hs, err := parseAll(values, parseHistogram)
		return histogramColumn(name, hs, tier), err
	case "histogram":
		hs, err := parseAll(values, parseHistogram)
		return singleHistograms(name, hs), err
	case "buckettimes", "bucketvalues":
		rows, resolution, err := parseBuckets(name, values)
		if err != nil {
			return column{}, err
		}
		if codec == "buckettimes" {
			return bucketTimeColumn(name, rows, resolution), nil
		}
		return bucketValueColumn(name, rows), nil
	}
	return column{}, fmt.Errorf("unknown codec %q", codec)
}

func parseAll[T any](words []string, parse func(string) (T, error)) ([]T, error) {
	vs := make([]T, len(words))
	for i, w := range words {
		v, err := parse(w)
		if err != nil {
			return nil, fmt.Errorf("value %d: %w", i, err)
		}
		vs[i] = v
	}
	return vs, nil
}

func parseInt(word string) (int64, error) { return strconv.ParseInt(word, 10, 64) }

func parseFloat(word string) (float64, error) {
	if len(word) != 16 {
		return 0, fmt.Errorf("%q is not 16 hex digits", word)
	}
	b, err := strconv.ParseUint(word, 16, 64)
	return math.Float64frombits(b), err
}

// hexFloat is a float written as 16 hex digits in JSON.
type hexFloat float64

func (f *hexFloat) UnmarshalText(text []byte) error {
	v, err := parseFloat(string(text))
	*f = hexFloat(v)
	return err
}

// goldenHistogram holds the fields of a histogram that the codecs store. Of the
// counter reset hints they only store gauge.
type goldenHistogram[C, B any] struct {
	Gauge           bool `json:",omitempty"`
	Schema          int32
	ZeroThreshold   hexFloat
	ZeroCount       C
	Count           C
	Sum             hexFloat
	CustomValues    []hexFloat       `json:",omitempty"`
	PositiveSpans   []histogram.Span `json:",omitempty"`
	PositiveBuckets []B              `json:",omitempty"`
	NegativeSpans   []histogram.Span `json:",omitempty"`
	NegativeBuckets []B              `json:",omitempty"`
}

func parseHistogram(word string) (model.Histogram, error) {
	if object, ok := strings.CutPrefix(word, "int"); ok {
		var g goldenHistogram[uint64, int64]
		err := json.Unmarshal([]byte(object), &g)
		return model.Histogram{Int: &histogram.Histogram{
			CounterResetHint: gaugeHint(g.Gauge), Schema: g.Schema, ZeroThreshold: float64(g.ZeroThreshold),
			ZeroCount: g.ZeroCount, Count: g.Count, Sum: float64(g.Sum), CustomValues: floatsOf(g.CustomValues),
			PositiveSpans: g.PositiveSpans, PositiveBuckets: g.PositiveBuckets,
			NegativeSpans: g.NegativeSpans, NegativeBuckets: g.NegativeBuckets,
		}}, err
	}
	if object, ok := strings.CutPrefix(word, "float"); ok {
		var g goldenHistogram[hexFloat, hexFloat]
		err := json.Unmarshal([]byte(object), &g)
		return model.Histogram{Float: &histogram.FloatHistogram{
			CounterResetHint: gaugeHint(g.Gauge), Schema: g.Schema, ZeroThreshold: float64(g.ZeroThreshold),
			ZeroCount: float64(g.ZeroCount), Count: float64(g.Count), Sum: float64(g.Sum), CustomValues: floatsOf(g.CustomValues),
			PositiveSpans: g.PositiveSpans, PositiveBuckets: floatsOf(g.PositiveBuckets),
			NegativeSpans: g.NegativeSpans, NegativeBuckets: floatsOf(g.NegativeBuckets),
		}}, err
	}
	if word != "none" {
		return model.Histogram{}, fmt.Errorf("%q is no histogram", word)
	}
	return model.Histogram{}, nil
}

func gaugeHint(gauge bool) histogram.CounterResetHint {
	if gauge {
		return histogram.GaugeType
	}
	return histogram.UnknownCounterReset
}

func floatsOf(vs []hexFloat) []float64 {
	return fill(len(vs), func(i int) float64 { return float64(vs[i]) })
}
