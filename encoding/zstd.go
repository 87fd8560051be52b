package encoding

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdWindow bounds the memory of an encoder. A decoder writes to its caller's
// memory and needs no window.
const zstdWindow = 1 << 20

// MaxZstd is the largest decoded size of one frame.
const MaxZstd = 1 << 29

// The library's EncodeAll and DecodeAll are safe for concurrent use and keep one
// encoder or decoder per processor; both are created on first use. All options are
// valid, so creating them cannot fail.
var (
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil,
			zstd.WithEncoderLevel(zstd.SpeedDefault),
			zstd.WithWindowSize(zstdWindow),
			zstd.WithEncoderCRC(false),   // every section and column has a CRC of its own
			zstd.WithSingleSegment(true), // so that short frames state their size, too
			zstd.WithZeroFrames(true))
		if err != nil {
			panic("BUG: zstd encoder: " + err.Error())
		}
		return e
	})
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(0),
			zstd.WithDecoderMaxMemory(MaxZstd),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic("BUG: zstd decoder: " + err.Error())
		}
		return d
	})
)

// AppendZstd appends src as one zstd frame that states its decoded size. Equal
// sources give equal bytes. It panics if src has more than MaxZstd bytes.
func AppendZstd(dst, src []byte) []byte {
	if len(src) > MaxZstd {
		panic(fmt.Sprintf("BUG: zstd frame of %d bytes, at most %d", len(src), MaxZstd))
	}
	return zstdEncoder().EncodeAll(src, dst)
}

// DecodeZstd appends the content of src, one frame as AppendZstd writes it,
// if it has at most maxLen bytes. Memory is bounded by maxLen, whatever size the
// frame states.
func DecodeZstd(dst, src []byte, maxLen int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return dst, corruptf("zstd header: %v", err)
	}
	if h.Skippable || !h.HasFCS {
		return dst, corruptf("zstd frame without a size")
	}
	if h.FrameContentSize > uint64(max(maxLen, 0)) || h.FrameContentSize > MaxZstd {
		return dst, corruptf("zstd frame of %d bytes, at most %d", h.FrameContentSize, maxLen)
	}
	at, size := len(dst), int(h.FrameContentSize)
	dst = slices.Grow(dst, size)
	// The capacity is cut to the frame's size, so the decoder cannot write more.
	out, err := zstdDecoder().DecodeAll(src, dst[:at:at+size])
	if err != nil {
		return dst, corruptf("zstd frame: %v", err)
	}
	if len(out) != at+size {
		return dst, corruptf("zstd frame of %d bytes says %d", len(out)-at, size)
	}
	return dst[:at+size], nil
}

// appendPacked appends b unchanged, or as a zstd frame if that saves at least an
// eighth: a mode byte, then the bytes up to the end of the column.
func appendPacked(dst, b []byte) []byte {
	if len(b) >= packedMin && len(b) <= packedMax {
		at := len(dst)
		dst = AppendZstd(append(dst, packedZstd), b)
		if len(dst)-at <= len(b)-len(b)/8 {
			return dst
		}
		dst = dst[:at]
	}
	return append(append(dst, packedPlain), b...)
}

// decodePacked is the inverse of appendPacked. The result shares the memory of src
// if it was not compressed.
func decodePacked(src []byte) ([]byte, error) {
	if len(src) == 0 {
		return nil, corruptf("no mode byte")
	}
	switch src[0] {
	case packedPlain:
		return src[1:], nil
	case packedZstd:
		return DecodeZstd(nil, src[1:], packedMax)
	}
	return nil, corruptf("packing mode %d", src[0])
}

// The modes of appendPacked.
const (
	packedPlain = 0
	packedZstd  = 1
)

const (
	packedMin = 128     // for fewer bytes the frame's header exceeds the gain
	packedMax = 1 << 24 // bounds the memory that a few corrupt bytes can request
)

func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
