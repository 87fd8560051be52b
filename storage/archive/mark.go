package archive

import (
	"cmp"
	"encoding/binary"
	"math"

	"tsdb/encoding"
	"tsdb/internal/objstore"
	"tsdb/partition/format"
)

// Versions and limits of the formats.
const (
	markMagic    = "tsdbmark"
	headMagic    = "tsdbhead"
	version      = 1
	markVersion  = 2 // of a mark that lacks blocks; others have version
	maxMarkBytes = 1 << 30
	maxHeadBytes = 256 << 20
	maxPieces    = 1 << 24
	maxMarks     = 1 << 22
	maxObjects   = 1 << 24
)

// piece describes an object with frames of one segment whose LSNs rise by one.
type piece struct {
	Segment, Generation uint64
	First, Last         uint64 // LSNs
	Prev                uint64 // LSN of the frame before, < First
	FirstMs, LastMs     int64  // lowest and highest wall time of the frames, Unix milliseconds
	RawBytes            uint64
	RawCRC              uint32 // CRC-32C of the frames
	Object              objstore.Identity
}

// mark is one archived moment.
type mark struct {
	Incarnation uint64
	WallMs      int64  // Unix milliseconds
	MaxMs       int64  // highest wall time of a frame up to LSN
	Edit        uint64 // of the MANIFEST
	Low         uint64 // lowest generation that the blocks do not have
	LSN         uint64 // of the last frame
	Generation  uint64 // highest used
	Manifest    []byte
	// Pieces are those with the generations from Low on up to LSN, and those with what
	// has been written since the mark before; by rising LSN.
	Pieces []piece
	// Missing are the names of blocks that the MANIFEST lists and the archive has not,
	// because they could not be read; rising.
	Missing []string
}

func begin(dst []byte, magic string, v uint32, inc uint64) []byte {
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, v)
	return binary.LittleEndian.AppendUint64(dst, inc)
}

// open checks magic, version, which is at most newest, and checksum and returns the version
// and a reader of what follows.
func open(b []byte, magic string, newest uint32) (uint32, *format.Reader, error) {
	if len(b) < 8+4+8+4 || string(b[:8]) != magic {
		return 0, nil, format.Corrupt("%d bytes are no %s", len(b), magic)
	}
	// The checksum first: what damage makes of a version is not one of a newer program.
	body := b[:len(b)-4]
	v := binary.LittleEndian.Uint32(b[8:])
	if encoding.Checksum(body) != binary.LittleEndian.Uint32(b[len(body):]) {
		return v, nil, format.Corrupt("checksum of %s", magic)
	}
	if v < version || v > newest {
		return v, nil, format.ErrVersion
	}
	return v, &format.Reader{B: body[12:]}, nil
}

// appendMark encodes a mark.
func appendMark(dst []byte, m *mark) []byte {
	at := len(dst)
	v := uint32(version)
	if len(m.Missing) > 0 {
		v = markVersion
	}
	dst = begin(dst, markMagic, v, m.Incarnation)
	dst = binary.AppendVarint(dst, m.WallMs)
	dst = binary.AppendVarint(dst, m.MaxMs)
	dst = binary.AppendUvarint(dst, m.Edit)
	dst = binary.AppendUvarint(dst, m.Low)
	dst = binary.AppendUvarint(dst, m.LSN)
	dst = binary.AppendUvarint(dst, m.Generation)
	dst = binary.AppendUvarint(dst, uint64(len(m.Manifest)))
	dst = append(dst, m.Manifest...)
	dst = binary.AppendUvarint(dst, uint64(len(m.Pieces)))
	for i := range m.Pieces {
		p := &m.Pieces[i]
		dst = binary.AppendUvarint(dst, p.Segment)
		dst = binary.AppendUvarint(dst, p.Generation)
		dst = binary.AppendUvarint(dst, p.First)
		dst = binary.AppendUvarint(dst, p.Last-p.First)
		dst = binary.AppendUvarint(dst, p.First-p.Prev)
		dst = binary.AppendVarint(dst, p.FirstMs)
		dst = binary.AppendVarint(dst, p.LastMs)
		dst = binary.AppendUvarint(dst, p.RawBytes)
		dst = binary.LittleEndian.AppendUint32(dst, p.RawCRC)
		dst = binary.AppendUvarint(dst, uint64(p.Object.Size))
		dst = binary.LittleEndian.AppendUint32(dst, p.Object.TailCRC)
	}
	if v == markVersion {
		dst = binary.AppendUvarint(dst, uint64(len(m.Missing)))
		for _, name := range m.Missing {
			dst = format.AppendString(dst, name)
		}
	}
	return binary.LittleEndian.AppendUint32(dst, encoding.Checksum(dst[at:]))
}

// decodeMark mirrors appendMark. b may be anything.
func decodeMark(b []byte) (*mark, error) {
	v, in, err := open(b, markMagic, markVersion)
	if err != nil {
		return nil, err
	}
	m := &mark{
		Incarnation: in.Uint64(), WallMs: in.Varint(), MaxMs: in.Varint(), Edit: in.Uvarint(math.MaxUint64),
		Low: in.Uvarint(math.MaxUint64), LSN: in.Uvarint(math.MaxUint64), Generation: in.Uvarint(math.MaxUint64),
	}
	m.Manifest = in.Bytes(in.Uvarint(maxMarkBytes))
	n := in.Uvarint(min(maxPieces, uint64(len(in.B))))
	for range n {
		p := piece{Segment: in.Uvarint(math.MaxUint64), Generation: in.Uvarint(math.MaxUint64), First: in.Uvarint(math.MaxUint64)}
		p.Last = p.First + in.Uvarint(math.MaxUint64-p.First)
		p.Prev = p.First - in.Uvarint(p.First)
		p.FirstMs, p.LastMs = in.Varint(), in.Varint()
		p.RawBytes, p.RawCRC = in.Uvarint(math.MaxUint64), in.Uint32()
		p.Object = objstore.Identity{Size: int64(in.Uvarint(math.MaxInt64)), TailCRC: in.Uint32()}
		if in.Err != nil {
			break
		}
		if p.First == 0 || p.Prev == p.First {
			return nil, format.Corrupt("piece of the log from LSN %d after %d", p.First, p.Prev)
		}
		m.Pieces = append(m.Pieces, p)
	}
	if v == markVersion {
		n := in.Uvarint(min(maxObjects, uint64(len(in.B))))
		if in.Err == nil && n == 0 {
			return nil, format.Corrupt("version %d of a mark that lacks no block", v)
		}
		for range n {
			name := in.Text(objstore.MaxKeyBytes)
			if in.Err != nil {
				break
			}
			m.Missing = append(m.Missing, name)
		}
	}
	if err := in.End(markMagic); err != nil {
		return nil, err
	}
	return m, nil
}

// MarkRef describes a mark in the head.
type MarkRef struct {
	WallMs int64  // the moment, Unix milliseconds
	Edit   uint64 // of the MANIFEST
	LSN    uint64 // last one that is in it
	Object objstore.Identity
}

func compareMarks(x, y MarkRef) int {
	return cmp.Or(cmp.Compare(x.LSN, y.LSN), cmp.Compare(x.Edit, y.Edit), cmp.Compare(x.WallMs, y.WallMs))
}

// head lists the marks of an incarnation.
type head struct {
	Incarnation  uint64
	Changes      uint64
	Marks        []MarkRef // by rising LSN
	Unreferenced []unreferenced
	Condemned    []string // keys of objects that may be deleted already
}

// unreferenced is an object that no mark refers to.
type unreferenced struct {
	Key     string
	SinceMs int64 // when that was first seen, Unix milliseconds
}

// appendHead encodes a head.
func appendHead(dst []byte, h *head) []byte {
	at := len(dst)
	dst = begin(dst, headMagic, version, h.Incarnation)
	dst = binary.AppendUvarint(dst, h.Changes)
	dst = binary.AppendUvarint(dst, uint64(len(h.Marks)))
	for _, m := range h.Marks {
		dst = binary.AppendVarint(dst, m.WallMs)
		dst = binary.AppendUvarint(dst, m.Edit)
		dst = binary.AppendUvarint(dst, m.LSN)
		dst = binary.AppendUvarint(dst, uint64(m.Object.Size))
		dst = binary.LittleEndian.AppendUint32(dst, m.Object.TailCRC)
	}
	dst = binary.AppendUvarint(dst, uint64(len(h.Unreferenced)))
	for _, u := range h.Unreferenced {
		dst = format.AppendString(dst, u.Key)
		dst = binary.AppendVarint(dst, u.SinceMs)
	}
	dst = binary.AppendUvarint(dst, uint64(len(h.Condemned)))
	for _, key := range h.Condemned {
		dst = format.AppendString(dst, key)
	}
	return binary.LittleEndian.AppendUint32(dst, encoding.Checksum(dst[at:]))
}

// decodeHead mirrors appendHead. b may be anything.
func decodeHead(b []byte) (*head, error) {
	_, in, err := open(b, headMagic, version)
	if err != nil {
		return nil, err
	}
	h := &head{Incarnation: in.Uint64(), Changes: in.Uvarint(math.MaxUint64)}
	for range in.Uvarint(min(maxMarks, uint64(len(in.B)))) {
		m := MarkRef{WallMs: in.Varint(), Edit: in.Uvarint(math.MaxUint64), LSN: in.Uvarint(math.MaxUint64)}
		m.Object = objstore.Identity{Size: int64(in.Uvarint(math.MaxInt64)), TailCRC: in.Uint32()}
		if in.Err != nil {
			break
		}
		h.Marks = append(h.Marks, m)
	}
	for range in.Uvarint(min(maxObjects, uint64(len(in.B)))) {
		u := unreferenced{Key: in.Text(objstore.MaxKeyBytes), SinceMs: in.Varint()}
		if in.Err != nil {
			break
		}
		h.Unreferenced = append(h.Unreferenced, u)
	}
	for range in.Uvarint(min(maxObjects, uint64(len(in.B)))) {
		key := in.Text(objstore.MaxKeyBytes)
		if in.Err != nil {
			break
		}
		h.Condemned = append(h.Condemned, key)
	}
	if err := in.End(headMagic); err != nil {
		return nil, err
	}
	return h, nil
}
