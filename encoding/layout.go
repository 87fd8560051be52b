package encoding

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
)

// layout holds the part of a histogram that successive histograms of a series
// usually share: everything except counts and sum.
//
//	┌───────────┬─────────────┬──────────────────────┬───────────────┬─────────────┬─────────────┐
//	│ flags (1) │ schema (zz) │ [zero threshold 1,9] │ [custom (u)×8]│ [pos. spans]│ [neg. spans]│
//	└───────────┴─────────────┴──────────────────────┴───────────────┴─────────────┴─────────────┘
//
// Spans are their number (u), then offset (zz) and length (u) of each. A zero
// threshold that is a power of two from 2^-200 to 2^54 takes one byte.
type layout struct {
	float, gauge  bool
	schema        int32
	zeroThreshold float64
	custom        []float64
	spans         [2][]histogram.Span // positive, negative
}

// Bits of a layout's first byte. The last two mark values without a layout.
const (
	layoutFloat     = 0x01
	layoutGauge     = 0x02
	layoutCustom    = 0x04
	layoutZero      = 0x08 // the zero threshold is not 0
	layoutPositive  = 0x10
	layoutNegative  = 0x20
	histogramStale  = 0x40 // with layoutFloat, layoutGauge: a stale marker with no other content
	histogramAbsent = 0x80 // no histogram
)

// A zero threshold of 2^k is the byte k+thresholdBias; thresholdRaw is followed
// by the 64 bits.
const (
	thresholdRaw  = 255
	thresholdBias = 200
)

func layoutOf(h model.Histogram) layout {
	if h.Int != nil {
		h := h.Int
		return layout{
			gauge: h.CounterResetHint == histogram.GaugeType, schema: h.Schema,
			zeroThreshold: h.ZeroThreshold, custom: h.CustomValues,
			spans: [2][]histogram.Span{h.PositiveSpans, h.NegativeSpans},
		}
	}
	f := h.Float
	return layout{
		float: true, gauge: f.CounterResetHint == histogram.GaugeType, schema: f.Schema,
		zeroThreshold: f.ZeroThreshold, custom: f.CustomValues,
		spans: [2][]histogram.Span{f.PositiveSpans, f.NegativeSpans},
	}
}

func (l layout) equal(o layout) bool {
	return l.gauge == o.gauge && sameBits(l.zeroThreshold, o.zeroThreshold) && l.sameScale(o) &&
		slices.Equal(l.spans[0], o.spans[0]) && slices.Equal(l.spans[1], o.spans[1])
}

// sameScale reports whether equal bucket indices mean equal buckets in l and o.
func (l layout) sameScale(o layout) bool {
	return l.float == o.float && l.schema == o.schema && slices.EqualFunc(l.custom, o.custom, sameBits)
}

func sameBits(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

func (l layout) hint() histogram.CounterResetHint {
	if l.gauge {
		return histogram.GaugeType
	}
	return histogram.UnknownCounterReset
}

func appendLayout(dst []byte, l layout) []byte {
	flags := byte(0)
	set := func(on bool, flag byte) {
		if on {
			flags |= flag
		}
	}
	set(l.float, layoutFloat)
	set(l.gauge, layoutGauge)
	set(len(l.custom) > 0, layoutCustom)
	set(math.Float64bits(l.zeroThreshold) != 0, layoutZero)
	set(len(l.spans[0]) > 0, layoutPositive)
	set(len(l.spans[1]) > 0, layoutNegative)

	dst = binary.AppendVarint(append(dst, flags), int64(l.schema))
	if flags&layoutZero != 0 {
		dst = appendThreshold(dst, l.zeroThreshold)
	}
	if flags&layoutCustom != 0 {
		dst = binary.AppendUvarint(dst, uint64(len(l.custom)))
		dst = appendRaw(dst, l.custom)
	}
	for _, spans := range l.spans {
		if len(spans) == 0 {
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(len(spans)))
		for _, s := range spans {
			dst = binary.AppendVarint(dst, int64(s.Offset))
			dst = binary.AppendUvarint(dst, uint64(s.Length))
		}
	}
	return dst
}

func parseLayout(src []byte) (l layout, rest []byte, err error) {
	if len(src) == 0 {
		return l, nil, corruptf("histogram layout: no flags")
	}
	flags := src[0]
	if flags&(histogramStale|histogramAbsent) != 0 {
		return l, nil, corruptf("histogram layout: flags %#02x", flags)
	}
	l.float, l.gauge = flags&layoutFloat != 0, flags&layoutGauge != 0
	schema, src, err := Varint(src[1:])
	if err != nil {
		return l, nil, err
	}
	if l.schema = int32(schema); int64(l.schema) != schema {
		return l, nil, corruptf("histogram schema %d", schema)
	}
	if flags&layoutZero != 0 {
		if l.zeroThreshold, src, err = parseThreshold(src); err != nil {
			return l, nil, err
		}
	}
	if flags&layoutCustom != 0 {
		var n uint64
		if n, src, err = Uvarint(src); err != nil {
			return l, nil, err
		}
		if n == 0 || n > uint64(len(src)/8) {
			return l, nil, corruptf("%d custom bounds, %d bytes left", n, len(src))
		}
		l.custom = make([]float64, n)
		src = parseRaw(l.custom, src)
	}
	for side, flag := range [2]byte{layoutPositive, layoutNegative} {
		if flags&flag == 0 {
			continue
		}
		if l.spans[side], src, err = parseSpans(src); err != nil {
			return l, nil, err
		}
	}
	return l, src, nil
}

func parseSpans(src []byte) ([]histogram.Span, []byte, error) {
	n, src, err := Uvarint(src)
	if err != nil {
		return nil, nil, err
	}
	if n == 0 || n > uint64(len(src)/2) { // a span takes at least two bytes
		return nil, nil, corruptf("%d histogram spans, %d bytes left", n, len(src))
	}
	spans := make([]histogram.Span, n)
	for i := range spans {
		offset, rest, err := Varint(src)
		if err != nil {
			return nil, nil, err
		}
		length, rest, err := Uvarint(rest)
		if err != nil {
			return nil, nil, err
		}
		if int64(int32(offset)) != offset || length > math.MaxUint32 {
			return nil, nil, corruptf("histogram span %d+%d", offset, length)
		}
		spans[i] = histogram.Span{Offset: int32(offset), Length: uint32(length)}
		src = rest
	}
	return spans, src, nil
}

func appendThreshold(dst []byte, v float64) []byte {
	if frac, exp := math.Frexp(v); frac == 0.5 {
		if k := exp - 1 + thresholdBias; k >= 0 && k < thresholdRaw {
			return append(dst, byte(k))
		}
	}
	return binary.LittleEndian.AppendUint64(append(dst, thresholdRaw), math.Float64bits(v))
}

func parseThreshold(src []byte) (float64, []byte, error) {
	switch {
	case len(src) >= 1 && src[0] != thresholdRaw:
		return math.Ldexp(1, int(src[0])-thresholdBias), src[1:], nil
	case len(src) >= 9:
		return math.Float64frombits(le64(src[1:])), src[9:], nil
	}
	return 0, nil, corruptf("zero threshold cut short")
}

// countBuckets returns the number of buckets of a side, or false if the spans'
// buckets are not strictly rising within int32 or are more than maxLayoutBuckets.
func countBuckets(spans []histogram.Span) (int, bool) {
	n, next := uint64(0), int64(0)
	for i, s := range spans {
		if i > 0 && s.Offset < 0 {
			return 0, false
		}
		next += int64(s.Offset) + int64(s.Length)
		n += uint64(s.Length)
		if n > maxLayoutBuckets || next > math.MaxInt32 || next < math.MinInt32 {
			return 0, false
		}
	}
	return int(n), true
}

// maxLayoutBuckets bounds the buckets of one side of a histogram in a column;
// a histogram with more is stored by itself.
const maxLayoutBuckets = 1 << 16

// appendIndices appends the index of every bucket of the spans.
func appendIndices(dst []int32, spans []histogram.Span) []int32 {
	next := int32(0)
	for _, s := range spans {
		next += s.Offset
		for range s.Length {
			dst = append(dst, next)
			next++
		}
	}
	return dst
}

// appendRaw appends the 64 bits of every value.
func appendRaw(dst []byte, vs []float64) []byte {
	for _, v := range vs {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	}
	return dst
}

// parseRaw fills vs from src, which is long enough.
func parseRaw(vs []float64, src []byte) []byte {
	for i := range vs {
		vs[i] = math.Float64frombits(le64(src[8*i:]))
	}
	return src[8*len(vs):]
}
