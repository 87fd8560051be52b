package window

import (
	"bytes"
	"unsafe"
)

// equalTimes reports whether times are equal. It compares them as bytes, because with
// windows of an hour over twelve hours, comparing them one by one took an eighth of
// the time.
func equalTimes(a, b []int64) bool { return bytes.Equal(timeBytes(a), timeBytes(b)) }

func timeBytes(ts []int64) []byte {
	if len(ts) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(ts))), len(ts)*8)
}
