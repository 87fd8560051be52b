package archive

import (
	"encoding/binary"
	"io"

	"tsdb/encoding"
	"tsdb/partition/format"
	"tsdb/storage/log"
	"tsdb/storage/wal"
)

const (
	pieceMagic  = "tsdbflog"
	pieceHeader = 8 + 4 + 4*8
	// maxChunk bounds a chunk: some frames, of which the last may be the longest.
	maxChunk = 1<<20 + log.FrameHeaderBytes + log.MaxPayload + log.FrameAlign
)

// pieceWriter writes the object of a piece.
type pieceWriter struct {
	out io.Writer
	crc uint32 // of all written
	buf []byte
}

func newPieceWriter(out io.Writer, p *piece) (*pieceWriter, error) {
	w := &pieceWriter{out: out}
	b := append([]byte(nil), pieceMagic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	for _, n := range []uint64{p.Segment, p.Generation, p.First, p.Last} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return w, w.write(b)
}

func (w *pieceWriter) write(b []byte) error {
	w.crc = encoding.ChecksumSeeded(w.crc, b)
	_, err := w.out.Write(b)
	return err
}

// frames writes a chunk.
func (w *pieceWriter) frames(raw []byte) error {
	b := append(w.buf[:0], 0, 0, 0, 0, 0, 0, 0, 0)
	b = encoding.AppendZstd(b, raw)
	if len(b)-8 >= len(raw) {
		b = append(b[:8], raw...)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(raw)))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	w.buf = b
	return w.write(b)
}

// finish writes the end.
func (w *pieceWriter) finish() error {
	if err := w.write(make([]byte, 8)); err != nil {
		return err
	}
	_, err := w.out.Write(binary.LittleEndian.AppendUint32(nil, w.crc))
	return err
}

// readPiece calls fn with the frames of a piece, whose object in reads. The checksum of
// the object is verified at its end, those of frames before fn is called. It returns
// what the object says of itself; Prev is unknown.
func readPiece(in io.Reader, fn func(segment uint64, f log.Frame) error) (p piece, err error) {
	crc := uint32(0)
	read := func(b []byte) error {
		if _, err := io.ReadFull(in, b); err != nil {
			return format.Corrupt("piece of the log: %v", err)
		}
		crc = encoding.ChecksumSeeded(crc, b)
		return nil
	}
	head := make([]byte, pieceHeader)
	if err := read(head); err != nil {
		return p, err
	}
	if string(head[:8]) != pieceMagic {
		return p, format.Corrupt("piece of the log without magic number")
	}
	if binary.LittleEndian.Uint32(head[8:]) != version {
		// What damage makes of a version is not one of a newer program.
		rest, err := io.ReadAll(in)
		if n := len(rest) - 4; err != nil || n < 0 || encoding.ChecksumSeeded(crc, rest[:n]) != binary.LittleEndian.Uint32(rest[n:]) {
			return p, format.Corrupt("checksum of a piece of the log")
		}
		return p, format.ErrVersion
	}
	p = piece{
		Segment: binary.LittleEndian.Uint64(head[12:]), Generation: binary.LittleEndian.Uint64(head[20:]),
		First: binary.LittleEndian.Uint64(head[28:]), Last: binary.LittleEndian.Uint64(head[36:]),
	}
	next := p.First
	var stored, raw []byte
	for {
		var sizes [8]byte
		if err := read(sizes[:]); err != nil {
			return p, err
		}
		rawLen, storedLen := binary.LittleEndian.Uint32(sizes[:]), binary.LittleEndian.Uint32(sizes[4:])
		if rawLen == 0 && storedLen == 0 {
			break
		}
		if rawLen > maxChunk || storedLen > rawLen || storedLen == 0 {
			return p, format.Corrupt("chunk of %d bytes in %d", rawLen, storedLen)
		}
		stored = append(stored[:0], make([]byte, storedLen)...)
		if err := read(stored); err != nil {
			return p, err
		}
		frames := stored
		if storedLen < rawLen {
			if raw, err = encoding.DecodeZstd(raw[:0], stored, int(rawLen)); err != nil || len(raw) != int(rawLen) {
				return p, format.Corrupt("chunk of the log: %d bytes, %v", len(raw), err)
			}
			frames = raw
		}
		p.RawBytes += uint64(len(frames))
		p.RawCRC = encoding.ChecksumSeeded(p.RawCRC, frames)
		err := wal.EachFrame(frames, p.Segment, func(f log.Frame) error {
			if f.LSN != next || f.LSN > p.Last || f.Generation != p.Generation {
				return format.Corrupt("frame with LSN %d of generation %d, want %d of %d", f.LSN, f.Generation, next, p.Generation)
			}
			next++
			return fn(p.Segment, f)
		})
		if err != nil {
			return p, err
		}
	}
	want := crc
	var end [4]byte
	if _, err := io.ReadFull(in, end[:]); err != nil || binary.LittleEndian.Uint32(end[:]) != want {
		return p, format.Corrupt("checksum of a piece of the log")
	}
	if next != p.Last+1 {
		return p, format.Corrupt("piece of the log ends at LSN %d, want %d", next-1, p.Last)
	}
	return p, nil
}
