package encoding

import (
	"encoding/binary"
	"unsafe"
)

// words returns the memory of fs as words of 64 bits. Decoders unpack a column
// into it and turn each word into its float in place, which saves a scratch
// slice and a pass through the cache.
func words(fs []float64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(fs))), len(fs))
}

// wordsOfInts returns the memory of vs as unsigned words.
func wordsOfInts(vs []int64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(vs))), len(vs))
}

// wordAt returns the eight bytes of b from at on, lowest first. at+8 ≤ len(b): the
// caller ensures it by a check on bits, which the compiler cannot use.
func wordAt(b []byte, at uint) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), at))[:])
}

// putWord writes the eight bytes of w to b from at on, lowest first. at+8 ≤
// len(b), as for wordAt.
func putWord(b []byte, at uint, w uint64) {
	binary.LittleEndian.PutUint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), at))[:], w)
}
