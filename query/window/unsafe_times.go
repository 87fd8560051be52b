package window

import (
	"bytes"
	"unsafe"
)

// equalTimes reports whether times are equal. They are compared as the bytes
// they are in memory: windows of an hour over twelve hours spent an eighth of
// their time on comparing them one by one.
func equalTimes(a, b []int64) bool { return bytes.Equal(timeBytes(a), timeBytes(b)) }

func timeBytes(ts []int64) []byte {
	if len(ts) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(ts))), len(ts)*8)
}
