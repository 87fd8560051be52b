package remote

import (
	"encoding/binary"
	"math"
	"math/bits"
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

// AppendSeries begins a series of a request: labelBytes bytes of AppendLabel
// and n samples of AppendSample must follow.
func AppendSeries(dst []byte, labelBytes, n int) []byte {
	dst = append(dst, tagTimeSeries)
	return binary.AppendUvarint(dst, uint64(labelBytes+n*sampleBytes))
}

// AppendLabel appends one label of a series. Labels are sorted by name.
func AppendLabel(dst []byte, name, value string) []byte {
	n := 1 + uvarintLen(len(name)) + len(name) + 1 + uvarintLen(len(value)) + len(value)
	dst = append(dst, tagLabels)
	dst = binary.AppendUvarint(dst, uint64(n))
	dst = append(dst, tagName)
	dst = binary.AppendUvarint(dst, uint64(len(name)))
	dst = append(dst, name...)
	dst = append(dst, tagValue)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

func uvarintLen(n int) int { return (bits.Len(uint(n|1)) + 6) / 7 }

// AppendSample appends one sample of a series, t in Unix milliseconds. Its
// length is sampleBytes for every time from 2004 to 2109.
func AppendSample(dst []byte, t int64, v float64) []byte {
	dst = append(dst, tagSamples, sampleBytes-2, tagSampleV)
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	dst = append(dst, tagSampleT)
	return binary.AppendUvarint(dst, uint64(t))
}

const sampleBytes = 2 + 9 + 1 + 6
