package door

import (
	"context"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"tsdb/api/reqbody"
)

const (
	// maxZstdBlock is the maximum number of bytes a block decodes to.
	maxZstdBlock = 128 << 10
	// maxZstdWindow is the largest window of a frame that is accepted: that of the
	// highest level of the Go library most senders use.
	maxZstdWindow = 32 << 20
	// zstdSlack is the room after the output without which the decoder copies more
	// slowly.
	zstdSlack = 16
)

// Unzstd decompresses a zstd body to at most limit bytes and charges them. The slice is
// valid until the next call.
func (b *Body) Unzstd(ctx context.Context, src []byte, limit reqbody.Limit, charge *reqbody.Charge) ([]byte, error) {
	bound, err := zstdBound(src)
	if err != nil {
		return nil, corrupt("zstd", err)
	}
	// The bound is exact if the frames name their size. Otherwise it may exceed the
	// limit although the body does not; then the buffer has the size of the limit.
	n := int(min(bound, limit.Bytes))
	if err := charge.Take(ctx, int64(n)*(1+DecodedCost)); err != nil {
		return nil, err
	}
	if cap(b.decoded) < n+zstdSlack {
		b.decoded = make([]byte, n+n/8+zstdSlack)
	}
	if b.zstd == nil {
		b.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return nil, fmt.Errorf("make zstd decoder: %w", err)
		}
	}
	out, err := b.zstd.DecodeAll(src, b.decoded[:0:n+zstdSlack])
	switch {
	case int64(len(out)) > limit.Bytes:
		return nil, limit.Exceeded("it decodes to", -1)
	case err == nil:
		return out, nil
	case errors.Is(err, zstd.ErrDecoderSizeExceeded) && bound > limit.Bytes:
		return nil, limit.Exceeded("it decodes to", -1)
	}
	return nil, corrupt("zstd", err)
}

// zstdBound returns an upper bound of the decompressed size of the frames in src: the
// size that a frame names, or else the sum over its blocks, without decoding them.
func zstdBound(src []byte) (int64, error) {
	var sum int64
	for len(src) > 0 {
		var h zstd.Header
		if err := h.Decode(src); err != nil {
			return 0, err
		}
		rest := src[h.HeaderSize:]
		if h.Skippable {
			if uint64(h.SkippableSize) > uint64(len(rest)) {
				return 0, errTruncated
			}
			src = rest[h.SkippableSize:]
			continue
		}
		var size int64
		for last := false; !last; {
			if len(rest) < 3 {
				return 0, errTruncated
			}
			header := uint32(rest[0]) | uint32(rest[1])<<8 | uint32(rest[2])<<16
			rest = rest[3:]
			last = header&1 == 1
			n := int64(header >> 3)
			switch header >> 1 & 3 {
			case 0: // raw
				size += n
			case 1: // one byte, repeated
				size += n
				n = 1
			default:
				size += maxZstdBlock
			}
			if n > int64(len(rest)) {
				return 0, errTruncated
			}
			rest = rest[n:]
		}
		if h.HasCheckSum {
			if len(rest) < 4 {
				return 0, errTruncated
			}
			rest = rest[4:]
		}
		if h.HasFCS {
			// A frame cannot decode to more than its blocks may.
			size = int64(min(uint64(size), h.FrameContentSize))
		}
		sum += size
		src = rest
	}
	return sum, nil
}

var errTruncated = errors.New("it is truncated")
