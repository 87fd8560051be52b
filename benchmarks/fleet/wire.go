package fleet

import (
	"encoding/binary"
	"math"
)

// The protobuf tags of a remote-write 1 message: WriteRequest.timeseries,
// TimeSeries.labels and .samples, Label.name and .value, Sample.value and
// .timestamp.
const (
	tagTimeSeries = 1<<3 | wireBytes
	tagLabels     = 1<<3 | wireBytes
	tagSamples    = 2<<3 | wireBytes
	tagName       = 1<<3 | wireBytes
	tagValue      = 2<<3 | wireBytes
	tagSampleV    = 1<<3 | wireFixed64
	tagSampleT    = 2<<3 | wireVarint

	wireVarint, wireFixed64, wireBytes = 0, 1, 2
)

// appendLabel appends one label as a field of a TimeSeries.
func appendLabel(dst []byte, name, value string) []byte {
	n := 2 + len(name) + 2 + len(value)
	if n > 127+3 || len(name) > 127 || len(value) > 127 {
		panic("BUG: a label of the fleet is longer than one length byte can say: " + name)
	}
	dst = append(dst, tagLabels)
	dst = binary.AppendUvarint(dst, uint64(n))
	dst = append(dst, tagName, byte(len(name)))
	dst = append(dst, name...)
	dst = append(dst, tagValue, byte(len(value)))
	return append(dst, value...)
}

// appendSample appends one sample as a field of a TimeSeries. Its length is
// sampleBytes for every time from 2004 to 2109.
func appendSample(dst []byte, t int64, v float64) []byte {
	dst = append(dst, tagSamples, sampleBytes-2, tagSampleV)
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	dst = append(dst, tagSampleT)
	return binary.AppendUvarint(dst, uint64(t))
}

const sampleBytes = 2 + 9 + 1 + 6
