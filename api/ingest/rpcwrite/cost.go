package rpcwrite

import (
	"fmt"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
)

// The minimum memory of the parts of a WriteRequest decoded into generated types:
// the struct, and its pointer in a list that grows by doubling.
const (
	seriesBytes    = 256
	labelBytes     = 96
	histogramBytes = 320
	exemplarBytes  = 128
	metadataBytes  = 128
	spanBytes      = 80
	numberBytes    = 16 // of a list
)

// costOf returns the number of bytes that a WriteRequest occupies once it is
// decoded, by counting its parts in the message: 4 MiB of empty labels, two bytes
// each, would occupy 200 MB. It includes the columns of the batch.
func costOf(message []byte) (int64, error) {
	w := costWalk{sum: int64(len(message)) * (1 + door.DecodedCost)}
	w.fields(message, func(field uint64, part []byte) {
		switch field {
		case 2: // series
			w.sum += seriesBytes
			w.fields(part, func(field uint64, part []byte) {
				switch field {
				case 1:
					w.sum += labelBytes
				case 5:
					w.sum += histogramBytes
					w.histogram(part)
				case 6:
					w.sum += exemplarBytes
					w.fields(part, func(field uint64, part []byte) {
						if field == 1 {
							w.sum += labelBytes
						}
					})
				default: // columns of eight bytes each, packed or not
					w.sum += numberBytes + int64(len(part))*2
				}
			})
		case 3: // metadata
			w.sum += metadataBytes
		}
	})
	if w.malformed {
		return 0, &door.RequestError{Text: fmt.Sprintf("WriteRequest of %d bytes is no protobuf", len(message))}
	}
	return w.sum, nil
}

// histogram adds the spans and buckets of a histogram.
func (w *costWalk) histogram(message []byte) {
	w.fields(message, func(field uint64, part []byte) {
		switch field {
		case 7, 8: // spans
			w.sum += spanBytes
		case 9: // custom values
			w.sum += numberBytes + int64(len(part))*2
		case 10, 11: // counts; a repeated one replaces or joins the one before
			w.sum += histogramBytes
			w.fields(part, func(field uint64, part []byte) {
				w.sum += numberBytes + int64(len(part))*numberBytes // packed varints of a byte each
			})
		}
	})
}

// costWalk adds up the cost of a message.
type costWalk struct {
	sum       int64
	malformed bool
}

// fields calls f with the number of every field of a message, and its bytes if
// it is length-delimited.
func (w *costWalk) fields(b []byte, f func(field uint64, part []byte)) {
	for i := 0; i < len(b) && !w.malformed; {
		tag, next := wire.Uvarint(b, i)
		if next < 0 {
			w.malformed = true
			return
		}
		var part []byte
		if tag&7 == wire.Bytes {
			start, end := wire.LengthPrefixed(b, next)
			if end < 0 {
				w.malformed = true
				return
			}
			part, i = b[start:end], end
		} else if i = wire.SkipField(b, next, tag, 0); i < 0 {
			w.malformed = true
			return
		}
		f(tag>>3, part)
	}
}
