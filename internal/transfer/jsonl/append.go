// Package jsonl is the form of samples as lines of JSON, in which VictoriaMetrics and
// this server export and import:
//
//	{"metric":{"__name__":"up","job":"node"},"values":[1,0],"timestamps":[1795651200000,1795651215000]}
//
// Timestamps are Unix milliseconds. Numbers are the shortest that give the same 64
// bits. What JSON has no number for is written as VictoriaMetrics does, null and
// "Infinity", "-Infinity"; null is the NaN of Go, 0x7ff8000000000001. Any other NaN has its
// bits: "NaN:7ff0000000000002" is the stale marker. A line may also have
//
//	"starts":[…]      start timestamps, 0 = none, if a sample has one
//	"histograms":[…]  in the place of values: native histograms, in base64 of the
//	                  form of encoding.AppendHistogram
//
// Members with other names are ignored.
package jsonl

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/encoding"
	"tsdb/internal/model"
)

// goNaN are the bits of NaN in Go, which null stands for.
const goNaN = 0x7ff8000000000001

// AppendSamples appends the rows of a series as lines that end with a newline: one
// for floats and one for histograms, in pieces of at most maxRows rows; 0 = no limit.
func AppendSamples(dst []byte, ls labels.Labels, s *model.Samples, maxRows int) []byte {
	metric := AppendMetric(nil, ls)
	if maxRows <= 0 {
		maxRows = max(s.Len(), 1)
	}
	var rows [2][]int // floats, histograms
	flush := func(kind int) {
		if len(rows[kind]) > 0 {
			dst = appendLine(dst, metric, s, rows[kind], kind == 1)
			rows[kind] = rows[kind][:0]
		}
	}
	for i := range s.T {
		kind := 0
		if !s.HistogramAt(i).IsZero() {
			kind = 1
		}
		if rows[kind] = append(rows[kind], i); len(rows[kind]) == maxRows {
			flush(kind)
		}
	}
	flush(0)
	flush(1)
	return dst
}

func appendLine(dst, metric []byte, s *model.Samples, rows []int, histograms bool) []byte {
	dst = append(dst, `{"metric":`...)
	dst = append(dst, metric...)
	if histograms {
		dst = append(dst, `,"histograms":[`...)
		var b []byte
		for k, i := range rows {
			if k > 0 {
				dst = append(dst, ',')
			}
			b = encoding.AppendHistogram(b[:0], s.H[i])
			dst = append(dst, '"')
			dst = base64.StdEncoding.AppendEncode(dst, b)
			dst = append(dst, '"')
		}
	} else {
		dst = append(dst, `,"values":[`...)
		for k, i := range rows {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = AppendValue(dst, s.V[i])
		}
	}
	dst = append(dst, `],"timestamps":[`...)
	starts := false
	for k, i := range rows {
		if k > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, s.T[i], 10)
		starts = starts || s.StartAt(i) != 0
	}
	if starts {
		dst = append(dst, `],"starts":[`...)
		for k, i := range rows {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, s.StartAt(i), 10)
		}
	}
	return append(dst, "]}\n"...)
}

// AppendValue appends a value as JSON.
func AppendValue(dst []byte, v float64) []byte {
	switch {
	case v == math.Trunc(v) && math.Abs(v) < 1<<53 && math.Float64bits(v) != 1<<63:
		return strconv.AppendInt(dst, int64(v), 10)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	case math.Float64bits(v) == goNaN:
		return append(dst, "null"...)
	case v != v:
		return append(strconv.AppendUint(append(dst, `"NaN:`...), math.Float64bits(v), 16), '"')
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// AppendMetric appends labels as a JSON object.
func AppendMetric(dst []byte, ls labels.Labels) []byte {
	dst = append(dst, '{')
	first := true
	ls.Range(func(l labels.Label) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, l.Name)
		dst = append(dst, ':')
		dst = appendString(dst, l.Value)
	})
	return append(dst, '}')
}

func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic("BUG: a string that is no JSON: " + err.Error())
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
