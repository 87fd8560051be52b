package log

import (
	"encoding/binary"
	"fmt"
	"slices"

	"tsdb/encoding"
	"tsdb/internal/model"
)

// maxRows is the largest number of samples, histograms, exemplars, definitions
// or metadata in one frame.
const maxRows = 1 << 16

// Payloads with rows begin with the same columns:
//
//	┌───────┬──────────┬─────────────────────┬──────────────────┬───────────────┐
//	│ flags │ rows (u) │ slots: differences  │ times: one, or   │ start times:  │
//	│       │          │ (zz)                │ differences (zz) │ the same (zz) │
//	└───────┴──────────┴─────────────────────┴──────────────────┴───────────────┘
const (
	flagStarts   = 1 // there is a column of start times
	flagOneTime  = 2 // all times are equal and stored once
	flagOneStart = 4 // the same for the start times
	knownFlags   = flagStarts | flagOneTime | flagOneStart
)

// keys are the columns that identify the series and the time of each row.
type keys struct {
	Slots []uint32 // of the series, valid in the frame's shard and generation only
	T     []int64  // Unix milliseconds
	ST    []int64  // start timestamps, 0 = unset; empty if no row has one
}

// Upper bounds of the encoded size of flags and count, and of the key of one row.
const (
	maxKeysHeaderBytes = 1 + binary.MaxVarintLen64
	maxKeyBytes        = binary.MaxVarintLen32 + 2*binary.MaxVarintLen64
)

// appendKeys appends the columns. sts may be empty. extra is the number of
// further bytes the caller will append per row, so that dst grows once.
func appendKeys(dst []byte, slots []uint32, ts, sts []int64, extra int) []byte {
	n := len(slots)
	if n > maxRows || len(ts) != n || len(sts) != 0 && len(sts) != n {
		panic(fmt.Sprintf("BUG: rows of a frame: %d slots, %d times, %d start times", n, len(ts), len(sts)))
	}
	var flags byte
	if n > 1 && allEqual(ts) {
		flags |= flagOneTime
		ts = ts[:1]
	}
	if !allZero(sts) {
		flags |= flagStarts
		if n > 1 && allEqual(sts) {
			flags |= flagOneStart
			sts = sts[:1]
		}
	} else {
		sts = nil
	}
	dst = slices.Grow(dst, maxKeysHeaderBytes+n*(maxKeyBytes+extra))
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(n))
	at := len(dst)
	b := dst[:cap(dst)]
	prev, bits := int64(0), uint32(0)
	for _, s := range slots {
		at = putVarint(b, at, int64(s)-prev)
		prev, bits = int64(s), bits|s
	}
	if bits >= model.MaxSlots { // a power of two
		panic(fmt.Sprintf("BUG: rows of slot %d", slices.Max(slots)))
	}
	at = putDeltas(b, at, ts)
	at = putDeltas(b, at, sts)
	return b[:at]
}

// putDeltas writes the first value, then differences, at b[at:].
func putDeltas(b []byte, at int, vs []int64) int {
	prev := int64(0)
	for _, v := range vs {
		at = putVarint(b, at, v-prev)
		prev = v
	}
	return at
}

func putVarint(b []byte, at int, v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	if u < 0x80 {
		b[at] = byte(u)
		return at + 1
	}
	return at + binary.PutUvarint(b[at:], u)
}

func allEqual(vs []int64) bool {
	for _, v := range vs {
		if v != vs[0] {
			return false
		}
	}
	return true
}

func allZero(vs []int64) bool { return len(vs) == 0 || vs[0] == 0 && allEqual(vs) }

// decode reads the columns into k, reusing its memory, and returns the number of
// rows and the bytes after the columns, in which each row has at least minRowBytes
// bytes.
func (k *keys) decode(src []byte, minRowBytes int) (n int, rest []byte, err error) {
	if len(src) == 0 {
		return 0, nil, Corruptf("no flags")
	}
	flags := src[0]
	if flags&^byte(knownFlags) != 0 {
		return 0, nil, Corruptf("flags %#x", flags)
	}
	count, rest, err := encoding.Uvarint(src[1:])
	if err != nil {
		return 0, nil, Corruptf("rows: %v", err)
	}
	if count > maxRows || count*uint64(1+minRowBytes) > uint64(len(rest)) {
		return 0, nil, Corruptf("%d rows in %d bytes", count, len(rest))
	}
	n = int(count)
	if k.Slots, rest, err = decodeSlots(k.Slots, rest, n); err != nil {
		return 0, nil, err
	}
	if k.T, rest, err = deltas(k.T, rest, n, flags&flagOneTime != 0); err != nil {
		return 0, nil, err
	}
	k.ST = k.ST[:0]
	if flags&flagStarts != 0 {
		k.ST, rest, err = deltas(k.ST, rest, n, flags&flagOneStart != 0)
	}
	return n, rest, err
}

func decodeSlots(dst []uint32, src []byte, n int) (_ []uint32, rest []byte, err error) {
	dst = slices.Grow(dst[:0], n)[:n]
	prev, at := int64(0), 0
	for i := range dst {
		u, size := uint64(0), 1
		if at < len(src) && src[at] < 0x80 {
			u = uint64(src[at])
		} else if u, size = binary.Uvarint(src[at:]); size <= 0 {
			return dst, nil, errVarint
		}
		at += size
		prev += int64(u>>1) ^ -int64(u&1)
		if prev < 0 || prev >= model.MaxSlots {
			return dst, nil, Corruptf("slot %d", prev)
		}
		dst[i] = uint32(prev)
	}
	return dst, src[at:], nil
}

// deltas reads n values that putDeltas wrote; with one, a single value that all n share.
func deltas(dst []int64, src []byte, n int, one bool) (_ []int64, rest []byte, err error) {
	dst = slices.Grow(dst[:0], n)[:n]
	written := dst
	if one {
		written = dst[:min(n, 1)]
	}
	prev, at := int64(0), 0
	for i := range written {
		u, size := uint64(0), 1
		if at < len(src) && src[at] < 0x80 {
			u = uint64(src[at])
		} else if u, size = binary.Uvarint(src[at:]); size <= 0 {
			return dst, nil, errVarint
		}
		at += size
		prev += int64(u>>1) ^ -int64(u&1)
		written[i] = prev
	}
	for i := len(written); i < n; i++ {
		dst[i] = prev
	}
	return dst, src[at:], nil
}

var errVarint = Corruptf("varint cut short or above 64 bits")

// varint reads a signed varint.
func varint(src []byte) (int64, []byte, error) {
	v, n := binary.Varint(src)
	if n <= 0 {
		return 0, nil, errVarint
	}
	return v, src[n:], nil
}
