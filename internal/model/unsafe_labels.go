package model

import (
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"
)

// A labels.Labels is one string: for every label the length and the bytes of its
// name, then of its value, as AppendLabelString appends them. Building that string
// takes a third of the time of the labels builder, and label sets built together
// share one allocation (BenchmarkSelect). TestLabelsAreTheStringsWeMake checks that
// both give the same string.

// With other build tags of package labels, Labels is not the size of a string, one
// of these lengths is negative, and the build fails.
var (
	_ [unsafe.Sizeof(labels.Labels{}) - unsafe.Sizeof("")]struct{}
	_ [unsafe.Sizeof("") - unsafe.Sizeof(labels.Labels{})]struct{}
)

// LabelsOf returns the label set of such a string. b must not be changed
// afterwards.
func LabelsOf(b []byte) labels.Labels {
	s := unsafe.String(unsafe.SliceData(b), len(b))
	return *(*labels.Labels)(unsafe.Pointer(&s))
}

// LabelString returns the string of a label set.
func LabelString(ls labels.Labels) string { return *(*string)(unsafe.Pointer(&ls)) }

// AppendLabelString appends the length of s, which is below 1<<24, and s.
func AppendLabelString[T string | []byte](dst []byte, s T) []byte {
	const long = 255
	if n := len(s); n < long {
		dst = append(dst, byte(n))
	} else {
		dst = append(dst, long, byte(n), byte(n>>8), byte(n>>16))
	}
	return append(dst, s...)
}
