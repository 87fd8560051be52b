package promread

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/encoding/protowire"

	"tsdb/internal/model"
	"tsdb/internal/panics"
	"tsdb/internal/transfer/promdir"
)

// Bounds of what is decoded.
const (
	maxLabels         = 1_000   // of a series
	maxChunkBytes     = 1 << 20 // of one chunk
	maxHistogramBytes = 1 << 20 // of one native histogram in a message of samples
)

// field is a field of a message: bytes, or a number.
type field struct {
	number protowire.Number
	bytes  []byte
	value  uint64
}

// eachField calls f with the fields of a message. Messages are decoded by hand, because
// generated code takes many times the memory of a message of empty parts.
func eachField(message []byte, f func(field) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		x := field{number: number}
		switch kind {
		case protowire.BytesType:
			x.bytes, n = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			x.value, n = protowire.ConsumeVarint(message)
		case protowire.Fixed64Type:
			x.value, n = protowire.ConsumeFixed64(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

// decodeFrame takes a ChunkedReadResponse: chunks of some series, each of which may go on in
// the next frame.
func (r *reader) decodeFrame(message []byte) error {
	return eachField(message, func(x field) error {
		if x.number != 1 {
			return nil // index of the query: there is one
		}
		wanted, err := r.series(x.bytes)
		if err != nil || !wanted {
			return err
		}
		return eachField(x.bytes, func(part field) error {
			if part.number != 2 {
				return nil
			}
			if err := r.chunk(part.bytes); err != nil {
				return fmt.Errorf("chunk of %s: %w", r.labels, err)
			}
			return nil
		})
	})
}

// series begins the series of a message that has its labels as field 1.
func (r *reader) series(message []byte) (wanted bool, err error) {
	r.builder.Reset()
	n := 0
	err = eachField(message, func(x field) error {
		if x.number != 1 {
			return nil
		}
		if n++; n > maxLabels {
			return fmt.Errorf("series with more than %d labels", maxLabels)
		}
		var name, value string
		err := eachField(x.bytes, func(x field) error {
			switch x.number {
			case 1:
				name = string(x.bytes)
			case 2:
				value = string(x.bytes)
			}
			return nil
		})
		if value != "" {
			r.builder.Add(name, value)
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read a series: %w", err)
	}
	r.builder.Sort()
	return r.begin(r.builder.Labels())
}

// chunk takes a chunk of the series at hand.
func (r *reader) chunk(message []byte) error {
	var encoding uint64
	var data []byte
	err := eachField(message, func(x field) error {
		switch x.number {
		case 3:
			encoding = x.value
		case 4:
			data = x.bytes
		}
		return nil
	})
	if err != nil {
		return err
	}
	n := r.samples.Len()
	if err := appendChunk(&r.samples, encoding, data, &r.iterator); err != nil {
		return err
	}
	return r.keep(n)
}

// appendChunk appends the samples of a chunk in one of Prometheus' encodings. After an error
// some of them may have been appended. The iterator is reused.
func appendChunk(dst *model.Samples, encoding uint64, data []byte, it *chunkenc.Iterator) (err error) {
	if encoding > math.MaxUint8 || !chunkenc.IsValidEncoding(chunkenc.Encoding(encoding)) {
		return fmt.Errorf("unknown encoding %d", encoding)
	}
	if len(data) > maxChunkBytes {
		return fmt.Errorf("%d bytes exceed the limit of %d", len(data), maxChunkBytes)
	}
	c, err := chunkenc.FromData(chunkenc.Encoding(encoding), data)
	if err != nil {
		return err
	}
	switch c.Encoding() {
	case chunkenc.EncXOR, chunkenc.EncXOR2:
		if len(data) < 3 {
			return errors.New("too short")
		}
	default:
		if err := checkLayout(data); err != nil {
			return err
		}
	}
	defer panics.Catch(&err)
	*it = c.Iterator(*it)
	return promdir.AppendSamples(*it, dst)
}

// decodeSamples takes a ReadResponse.
func (r *reader) decodeSamples(message []byte) error {
	return eachField(message, func(result field) error {
		if result.number != 1 {
			return nil
		}
		return eachField(result.bytes, func(x field) error {
			if x.number != 1 {
				return nil
			}
			wanted, err := r.series(x.bytes)
			if err != nil || !wanted {
				return err
			}
			n := r.samples.Len()
			if err := appendSeries(&r.samples, x.bytes); err != nil {
				return fmt.Errorf("samples of %s: %w", r.labels, err)
			}
			return r.keep(n)
		})
	})
}

// appendSeries appends the samples and native histograms of a TimeSeries.
func appendSeries(dst *model.Samples, message []byte) error {
	return eachField(message, func(x field) error {
		switch x.number {
		case 2:
			var t int64
			var v float64
			err := eachField(x.bytes, func(x field) error {
				switch x.number {
				case 1:
					v = math.Float64frombits(x.value)
				case 2:
					t = int64(x.value)
				}
				return nil
			})
			if err != nil {
				return err
			}
			dst.Append(t, 0, v, model.Histogram{})
		case 4:
			if len(x.bytes) > maxHistogramBytes {
				return fmt.Errorf("native histogram of %d bytes exceeds the limit of %d", len(x.bytes), maxHistogramBytes)
			}
			var h prompb.Histogram
			if err := h.Unmarshal(x.bytes); err != nil {
				return fmt.Errorf("native histogram: %w", err)
			}
			if h.IsFloatHistogram() {
				dst.Append(h.Timestamp, 0, 0, model.Histogram{Float: h.ToFloatHistogram()})
			} else {
				dst.Append(h.Timestamp, 0, 0, model.Histogram{Int: h.ToIntHistogram()})
			}
		}
		return nil
	})
}
