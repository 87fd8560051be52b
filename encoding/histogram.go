package encoding

import (
	"encoding/binary"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
)

// One histogram by itself:
//
//	┌────────┬────────────┬────────────┬─────────┬──────────────────────────────┐
//	│ layout │ count      │ zero count │ sum (8) │ buckets of each side present │
//	└────────┴────────────┴────────────┴─────────┴──────────────────────────────┘
//
// Buckets are their number (u), then the buckets: differences as the histogram
// holds them (zz) with integer counts, 8 bytes each with float counts. Counts
// are (u) or 8 bytes. A stale marker without other content is stored as its first
// byte only, and so is a value that holds no histogram.

// AppendHistogram appends one histogram, in the form of the WAL and the head. Of
// the counter-reset hints only gauge is kept. h may hold no histogram.
func AppendHistogram(dst []byte, h model.Histogram) []byte {
	if h.IsZero() {
		return append(dst, histogramAbsent)
	}
	l := layoutOf(h)
	if isBareStale(h) {
		flags := byte(histogramStale)
		if l.float {
			flags |= layoutFloat
		}
		if l.gauge {
			flags |= layoutGauge
		}
		return append(dst, flags)
	}
	dst = appendLayout(dst, l)
	if i := h.Int; i != nil {
		dst = binary.AppendUvarint(dst, i.Count)
		dst = binary.AppendUvarint(dst, i.ZeroCount)
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(i.Sum))
		for side, bs := range [2][]int64{i.PositiveBuckets, i.NegativeBuckets} {
			if len(l.spans[side]) == 0 {
				continue
			}
			dst = binary.AppendUvarint(dst, uint64(len(bs)))
			for _, b := range bs {
				dst = binary.AppendVarint(dst, b)
			}
		}
		return dst
	}
	f := h.Float
	dst = appendRaw(dst, []float64{f.Count, f.ZeroCount, f.Sum})
	for side, bs := range [2][]float64{f.PositiveBuckets, f.NegativeBuckets} {
		if len(l.spans[side]) == 0 {
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(len(bs)))
		dst = appendRaw(dst, bs)
	}
	return dst
}

// DecodeHistogram reads one histogram and returns the rest of src. The histogram
// shares no memory with src.
func DecodeHistogram(src []byte) (h model.Histogram, rest []byte, err error) {
	if len(src) == 0 {
		return h, src, corruptf("histogram: no flags")
	}
	switch flags := src[0]; {
	case flags == histogramAbsent:
		return h, src[1:], nil
	case flags&histogramStale != 0:
		if flags&^(histogramStale|layoutFloat|layoutGauge) != 0 {
			return h, src, corruptf("histogram: flags %#02x", flags)
		}
		stale, l := math.Float64frombits(value.StaleNaN), layout{gauge: flags&layoutGauge != 0}
		if flags&layoutFloat != 0 {
			return model.Histogram{Float: &histogram.FloatHistogram{Sum: stale, CounterResetHint: l.hint()}}, src[1:], nil
		}
		return model.Histogram{Int: &histogram.Histogram{Sum: stale, CounterResetHint: l.hint()}}, src[1:], nil
	}
	l, rest, err := parseLayout(src)
	if err != nil {
		return h, src, err
	}
	if l.float {
		h.Float, rest, err = parseFloatHistogram(l, rest)
	} else {
		h.Int, rest, err = parseIntHistogram(l, rest)
	}
	if err != nil {
		return model.Histogram{}, src, err
	}
	return h, rest, nil
}

func parseIntHistogram(l layout, src []byte) (*histogram.Histogram, []byte, error) {
	h := newIntHistogram(l)
	var err error
	if h.Count, src, err = Uvarint(src); err != nil {
		return nil, nil, err
	}
	if h.ZeroCount, src, err = Uvarint(src); err != nil {
		return nil, nil, err
	}
	if len(src) < 8 {
		return nil, nil, corruptf("histogram: sum cut short")
	}
	h.Sum, src = math.Float64frombits(le64(src)), src[8:]
	for side, bs := range [2]*[]int64{&h.PositiveBuckets, &h.NegativeBuckets} {
		if len(l.spans[side]) == 0 {
			continue
		}
		var n uint64
		if n, src, err = Uvarint(src); err != nil {
			return nil, nil, err
		}
		if n > uint64(len(src)) {
			return nil, nil, corruptf("histogram: %d buckets, %d bytes left", n, len(src))
		}
		*bs = make([]int64, n)
		for i := range *bs {
			if (*bs)[i], src, err = Varint(src); err != nil {
				return nil, nil, err
			}
		}
	}
	return h, src, nil
}

func parseFloatHistogram(l layout, src []byte) (*histogram.FloatHistogram, []byte, error) {
	h := newFloatHistogram(l)
	if len(src) < 24 {
		return nil, nil, corruptf("histogram: counts cut short")
	}
	var head [3]float64
	src = parseRaw(head[:], src)
	h.Count, h.ZeroCount, h.Sum = head[0], head[1], head[2]
	for side, bs := range [2]*[]float64{&h.PositiveBuckets, &h.NegativeBuckets} {
		if len(l.spans[side]) == 0 {
			continue
		}
		n, rest, err := Uvarint(src)
		if err != nil {
			return nil, nil, err
		}
		if n > uint64(len(rest)/8) {
			return nil, nil, corruptf("histogram: %d buckets, %d bytes left", n, len(rest))
		}
		*bs = make([]float64, n)
		src = parseRaw(*bs, rest)
	}
	return h, src, nil
}

func newIntHistogram(l layout) *histogram.Histogram {
	return &histogram.Histogram{CounterResetHint: l.hint(), Schema: l.schema, ZeroThreshold: l.zeroThreshold,
		PositiveSpans: l.spans[0], NegativeSpans: l.spans[1], CustomValues: l.custom}
}

func newFloatHistogram(l layout) *histogram.FloatHistogram {
	return &histogram.FloatHistogram{CounterResetHint: l.hint(), Schema: l.schema, ZeroThreshold: l.zeroThreshold,
		PositiveSpans: l.spans[0], NegativeSpans: l.spans[1], CustomValues: l.custom}
}

// isBareStale reports whether h is a stale marker without other content.
func isBareStale(h model.Histogram) bool {
	if !h.IsStale() {
		return false
	}
	if i := h.Int; i != nil {
		return i.Count|i.ZeroCount == 0 && i.Schema == 0 && math.Float64bits(i.ZeroThreshold) == 0 &&
			len(i.PositiveSpans)+len(i.NegativeSpans)+len(i.PositiveBuckets)+len(i.NegativeBuckets)+len(i.CustomValues) == 0
	}
	f := h.Float
	return math.Float64bits(f.Count)|math.Float64bits(f.ZeroCount)|math.Float64bits(f.ZeroThreshold) == 0 && f.Schema == 0 &&
		len(f.PositiveSpans)+len(f.NegativeSpans)+len(f.PositiveBuckets)+len(f.NegativeBuckets)+len(f.CustomValues) == 0
}
