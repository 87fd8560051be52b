package ingest

import "fmt"

// What the parts of a WriteRequest take at least once they are decoded into
// generated types: the struct, and its pointer in a list that grows by doubling.
const (
	rpcSeriesBytes    = 256
	rpcLabelBytes     = 96
	rpcHistogramBytes = 320
	rpcExemplarBytes  = 128
	rpcMetadataBytes  = 128
	rpcSpanBytes      = 80
	rpcNumberBytes    = 16 // of a list
)

// rpcCost returns how many bytes a WriteRequest takes once it is decoded, as its
// parts are counted in the message: 4 MiB of empty labels, two bytes each, would
// take 200 MB. It includes the columns of the batch.
func rpcCost(message []byte) (int64, error) {
	w := costWalk{sum: int64(len(message)) * (1 + decodedCost)}
	w.fields(message, func(field uint64, part []byte) {
		switch field {
		case 2: // series
			w.sum += rpcSeriesBytes
			w.fields(part, func(field uint64, part []byte) {
				switch field {
				case 1:
					w.sum += rpcLabelBytes
				case 5:
					w.sum += rpcHistogramBytes
					w.histogram(part)
				case 6:
					w.sum += rpcExemplarBytes
					w.fields(part, func(field uint64, part []byte) {
						if field == 1 {
							w.sum += rpcLabelBytes
						}
					})
				default: // columns of eight bytes each, packed or not
					w.sum += rpcNumberBytes + int64(len(part))*2
				}
			})
		case 3: // metadata
			w.sum += rpcMetadataBytes
		}
	})
	if w.malformed {
		return 0, &requestError{fmt.Sprintf("WriteRequest of %d bytes is no protobuf", len(message))}
	}
	return w.sum, nil
}

// histogram adds the spans and buckets of a histogram.
func (w *costWalk) histogram(message []byte) {
	w.fields(message, func(field uint64, part []byte) {
		switch field {
		case 7, 8: // spans
			w.sum += rpcSpanBytes
		case 9: // custom values
			w.sum += rpcNumberBytes + int64(len(part))*2
		case 10, 11: // counts; a repeated one replaces or joins the one before
			w.sum += rpcHistogramBytes
			w.fields(part, func(field uint64, part []byte) {
				w.sum += rpcNumberBytes + int64(len(part))*rpcNumberBytes // packed varints of a byte each
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
		tag, next := uvarint(b, i)
		if next < 0 {
			w.malformed = true
			return
		}
		var part []byte
		if tag&7 == wireBytes {
			start, end := lengthPrefixed(b, next)
			if end < 0 {
				w.malformed = true
				return
			}
			part, i = b[start:end], end
		} else if i = skipField(b, next, tag, 0); i < 0 {
			w.malformed = true
			return
		}
		f(tag>>3, part)
	}
}
