package wal

import (
	"encoding/binary"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/storage/log"
)

// Offsets in a frame's header.
const (
	offCRC        = 0  // u32 of all bytes after it up to the end of the payload, seeded
	offCheck      = 4  // u16 low bits of the checksum of the header bytes after it, seeded
	offType       = 6  // u8
	offShard      = 7  // u8
	offLength     = 8  // u32 bytes of payload
	offTenant     = 12 // u32
	offLSN        = 16 // u64
	offGeneration = 24 // u64
	offSynced     = 32 // u64
	offEdit       = 40 // u64
	offWall       = 48 // i64
)

// tailFlag marks, in the shard byte of a frame that is still in memory, that
// its bytes were granted from the segment's tail.
const tailFlag = 0x80

// putFrame fills b, which has FrameBytes(len(f.Payload)) bytes, with the
// fields known when a frame is appended; sealFrame adds the others.
func putFrame(b []byte, f log.Frame) {
	binary.LittleEndian.PutUint64(b, 0)
	b[offType] = byte(f.Type)
	b[offShard] = byte(f.Shard)
	binary.LittleEndian.PutUint32(b[offLength:], uint32(len(f.Payload)))
	binary.LittleEndian.PutUint32(b[offTenant:], f.Tenant)
	binary.LittleEndian.PutUint64(b[offLSN:], f.LSN)
	binary.LittleEndian.PutUint64(b[offGeneration:], f.Generation)
	n := copy(b[frameHeaderBytes:], f.Payload)
	clear(b[frameHeaderBytes+n:])
}

// sealFrame completes the frame b for a segment with the given seed.
func sealFrame(b []byte, seed uint32, synced, edit uint64, wallMs int64) {
	b[offShard] &^= tailFlag
	binary.LittleEndian.PutUint64(b[offSynced:], synced)
	binary.LittleEndian.PutUint64(b[offEdit:], edit)
	binary.LittleEndian.PutUint64(b[offWall:], uint64(wallMs))
	binary.LittleEndian.PutUint16(b[offCheck:], headerCheck(b, seed))
	binary.LittleEndian.PutUint32(b[offCRC:], frameCRC(b, payloadLength(b), seed))
}

func payloadLength(b []byte) int { return int(binary.LittleEndian.Uint32(b[offLength:])) }

// headerCheck returns the header's own checksum. It lets a search for the next frame
// reject other bytes without a checksum over a payload of an unproven length.
func headerCheck(b []byte, seed uint32) uint16 {
	return uint16(encoding.ChecksumSeeded(seed, b[offType:frameHeaderBytes]))
}

func frameCRC(b []byte, payload int, seed uint32) uint32 {
	return encoding.ChecksumSeeded(seed, b[offCheck:frameHeaderBytes+payload])
}

// plausible returns the size of the frame that begins at b if its header can be one
// of a segment with this seed. b has at least a whole header.
func plausible(b []byte, seed uint32) (size int, ok bool) {
	n := binary.LittleEndian.Uint32(b[offLength:])
	if n > log.MaxPayload || binary.LittleEndian.Uint16(b[offCheck:]) != headerCheck(b, seed) {
		return 0, false
	}
	return log.FrameBytes(int(n)), true
}

// parseFrame reads the frame at the start of b, which must be complete. The
// payload shares b's memory.
func parseFrame(b []byte, seed uint32) (f log.Frame, ok bool) {
	n := payloadLength(b)
	if frameCRC(b, n, seed) != binary.LittleEndian.Uint32(b[offCRC:]) {
		return f, false
	}
	f = log.Frame{
		Type:       log.FrameType(b[offType]),
		Shard:      int(b[offShard]),
		Tenant:     binary.LittleEndian.Uint32(b[offTenant:]),
		LSN:        binary.LittleEndian.Uint64(b[offLSN:]),
		Generation: binary.LittleEndian.Uint64(b[offGeneration:]),
		Synced:     binary.LittleEndian.Uint64(b[offSynced:]),
		Edit:       binary.LittleEndian.Uint64(b[offEdit:]),
		WallMs:     int64(binary.LittleEndian.Uint64(b[offWall:])),
		Payload:    b[frameHeaderBytes : frameHeaderBytes+n : frameHeaderBytes+n],
	}
	if f.Type == 0 || f.Shard >= model.Shards || f.LSN == 0 || f.Generation == 0 || f.Synced >= f.LSN ||
		f.Type == log.FrameMark && n != 0 || (f.Type == log.FrameStart || f.Type == log.FrameRelease) && n != 8 {
		return f, false
	}
	return f, true
}
