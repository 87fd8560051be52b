package block

import "unsafe"

// timeBytes returns the memory of ts as bytes. It is used only for hashing, and
// the hashes are never written to a file.
func timeBytes(ts []int64) []byte {
	if len(ts) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(ts))), len(ts)*8)
}

// countBytes is timeBytes for counts.
func countBytes(ns []uint32) []byte {
	if len(ns) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(ns))), len(ns)*4)
}
