package head

import (
	"encoding/binary"
	"fmt"

	"tsdb/encoding"
	"tsdb/internal/model"
)

// A side stream accompanies the stream of a segment whose samples are not all plain
// floats. It is a list of entries in the order of the samples:
//
//	skip (uvarint)  samples between this one and that of the previous entry
//	kind (1)        sideStart or sideHistogram
//	start (varint)  sideStart: difference of the start timestamp from the last
//	                one, 0 at first; it applies to this sample and those after
//	                it, until an entry sideNone.
//	bytes           sideHistogram: the sample's value, encoding.AppendHistogram.
//	                sideSame: the same, of the sample of the entry before.
//	                sideColumn: all values of the segment, which are histograms,
//	                encoding.AppendHistograms; the last entry. A closed segment
//	                has this form, which is a third of the size.
//
// In the stream a histogram has the value 0.
const (
	sideStart     = 1
	sideNone      = 2
	sideHistogram = 3
	sideSame      = 4
	sideColumn    = 5
)

// sideWriter is the state of the side stream of an open segment.
type sideWriter struct {
	start int64  // start timestamp of the last sample, 0 = none
	next  uint32 // index of the first sample that no skip has counted yet
}

// append appends the entries of sample i, if it needs any.
func (w *sideWriter) append(dst []byte, i int, start int64, h model.Histogram) []byte {
	entry := false
	if start != w.start {
		dst = binary.AppendUvarint(dst, uint64(i)-uint64(w.next))
		if start == 0 {
			dst = append(dst, sideNone)
		} else {
			dst = append(dst, sideStart)
			dst = binary.AppendVarint(dst, start-w.start)
		}
		w.start, w.next = start, uint32(i)+1
		entry = true
	}
	if !h.IsZero() {
		if entry {
			dst = append(dst, 0, sideSame)
		} else {
			dst = binary.AppendUvarint(dst, uint64(i)-uint64(w.next))
			dst = append(dst, sideHistogram)
			w.next = uint32(i) + 1
		}
		dst = encoding.AppendHistogram(dst, h)
	}
	return dst
}

// appendSides appends the side stream of a closed segment, nothing if all of
// its samples are plain floats.
func appendSides(dst []byte, s *model.Samples) []byte {
	column := len(s.H) > 0
	for i := range s.H {
		column = column && !s.H[i].IsZero()
	}
	var w sideWriter
	for i := range s.T {
		h := model.Histogram{}
		if !column {
			h = s.HistogramAt(i)
		}
		dst = w.append(dst, i, s.StartAt(i), h)
	}
	if column {
		dst = encoding.AppendHistograms(append(dst, 0, sideColumn), s.H, encoding.Fast)
	}
	return dst
}

// applySide sets the start timestamps and histograms of dst's samples at and after
// index at, as the side stream has them.
func applySide(dst *model.Samples, at int, side []byte) {
	n := dst.Len()
	start, from, next := int64(0), at, at
	fill := func(to int) {
		if start == 0 {
			return
		}
		dst.ST = extend(dst.ST, n)
		for k := from; k < to; k++ {
			dst.ST[k] = start
		}
	}
	for len(side) > 0 {
		skip, rest, err := encoding.Uvarint(side)
		if err != nil || len(rest) == 0 {
			panic(fmt.Sprintf("BUG: side stream in memory: %v", err))
		}
		i := next + int(skip)
		kind := rest[0]
		side = rest[1:]
		switch kind {
		case sideStart, sideNone:
			fill(i)
			from, next = i, i+1
			if kind == sideNone {
				start = 0
				continue
			}
			var d int64
			d, side, err = encoding.Varint(side)
			start += d
		case sideHistogram, sideSame:
			if kind == sideSame {
				i = next - 1
			}
			dst.H = extend(dst.H, n)
			dst.H[i], side, err = encoding.DecodeHistogram(side)
			next = i + 1
		case sideColumn:
			dst.H, err = encoding.DecodeHistograms(extend(dst.H, at)[:at], side, n-at)
			side = nil
		default:
			err = fmt.Errorf("entry of kind %d", kind)
		}
		if err != nil {
			panic(fmt.Sprintf("BUG: side stream in memory: %v", err))
		}
	}
	fill(n)
}
