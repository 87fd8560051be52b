package block

import (
	"encoding/binary"
	"math"

	"tsdb/encoding"
	"tsdb/partition/format"
)

// footer is the content of the tail of a block.
type footer struct {
	version          uint32 // of the container
	meta             Meta
	series           uint64
	samples          uint64
	chunks           uint64
	minTime, maxTime int64
	repeated         Repeated
	sections         []section // in ascending order of offset
}

// appendTail appends one copy of the tail: section table, footer, trailer.
func appendTail(dst []byte, f *footer) []byte {
	start := len(dst)
	dst = binary.AppendUvarint(dst, uint64(len(f.sections)))
	for _, s := range f.sections {
		dst = append(dst, byte(s.id), byte(s.encoding))
		dst = binary.AppendUvarint(dst, uint64(s.off))
		dst = binary.AppendUvarint(dst, uint64(s.length))
		dst = binary.LittleEndian.AppendUint32(dst, s.crc)
	}
	tableLen := len(dst) - start

	dst = append(dst, byte(f.meta.Level))
	dst = binary.AppendVarint(dst, f.meta.Partition)
	dst = binary.AppendUvarint(dst, f.meta.MinGen)
	dst = binary.AppendUvarint(dst, f.meta.MaxGen)
	dst = binary.AppendUvarint(dst, uint64(f.meta.Ordinal))
	dst = binary.AppendUvarint(dst, uint64(len(f.meta.Inputs)))
	for _, in := range f.meta.Inputs {
		dst = format.AppendString(dst, in)
	}
	dst = binary.AppendUvarint(dst, uint64(f.meta.Tier))
	dst = binary.AppendUvarint(dst, uint64(f.meta.Days))
	dst = binary.AppendUvarint(dst, f.meta.Tombstone)
	dst = binary.AppendUvarint(dst, uint64(len(f.meta.Sources)))
	for _, source := range f.meta.Sources {
		dst = format.AppendString(dst, source)
	}
	dst = binary.AppendUvarint(dst, f.series)
	dst = binary.AppendUvarint(dst, f.samples)
	dst = binary.AppendUvarint(dst, f.chunks)
	dst = binary.AppendVarint(dst, f.minTime)
	dst = binary.AppendVarint(dst, f.maxTime)
	dst = f.repeated.append(dst)
	footerLen := len(dst) - start - tableLen

	dst = binary.LittleEndian.AppendUint32(dst, uint32(tableLen))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(footerLen))
	dst = binary.LittleEndian.AppendUint32(dst, blockVersion)
	dst = binary.LittleEndian.AppendUint32(dst, encoding.Checksum(dst[start:]))
	return append(dst, trailerMagic...)
}

// tailLen reads a trailer and returns the length of the tail that it ends.
func tailLen(trailer []byte) (int, error) {
	if len(trailer) != trailerLen || string(trailer[16:]) != trailerMagic {
		return 0, format.Corrupt("no trailer")
	}
	n := uint64(binary.LittleEndian.Uint32(trailer)) + uint64(binary.LittleEndian.Uint32(trailer[4:])) + trailerLen
	if n > maxTailBytes {
		return 0, format.Corrupt("tail of %d bytes", n)
	}
	return int(n), nil
}

// tableLen returns the length of the section table of a valid tail.
func tableLen(tail []byte) uint32 {
	return binary.LittleEndian.Uint32(tail[len(tail)-trailerLen:])
}

// tailCRC returns the checksum stored in a tail.
func tailCRC(tail []byte) uint32 {
	return binary.LittleEndian.Uint32(tail[len(tail)-12:])
}

// decodeTail reads one copy of the tail of a file of size bytes.
func decodeTail(tail []byte, size int64) (*footer, error) {
	if len(tail) < trailerLen {
		return nil, format.Corrupt("tail of %d bytes", len(tail))
	}
	body := tail[:len(tail)-trailerLen]
	n, err := tailLen(tail[len(body):])
	if err != nil {
		return nil, err
	}
	if n != len(tail) {
		return nil, format.Corrupt("tail of %d bytes says %d", len(tail), n)
	}
	if encoding.Checksum(tail[:len(tail)-12]) != tailCRC(tail) {
		return nil, format.Corrupt("tail checksum")
	}
	version, err := knownVersion(tail[len(body)+8:])
	if err != nil {
		return nil, err
	}
	table := tableLen(tail) // at most the tail's length, see tailLen
	f := &footer{version: version}
	if err := f.decodeTable(body[:table], size); err != nil {
		return nil, err
	}
	if err := f.decodeFooter(body[table:]); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *footer) decodeTable(b []byte, size int64) error {
	r := format.Reader{B: b}
	n := r.Uvarint(maxSections)
	end := int64(HeaderLen)
	var seen [sectionIDEnd]bool
	for range n {
		s := section{id: sectionID(r.Byte()), encoding: sectionEncoding(r.Byte())}
		s.off = int64(r.Uvarint(math.MaxInt64))
		s.length = int64(r.Uvarint(math.MaxInt64))
		s.crc = r.Uint32()
		if r.Err != nil {
			break
		}
		old := s.id == sectionGenerations && f.version < versionRollups
		if !s.id.valid() || s.encoding >= encodingEnd || seen[s.id] || old {
			return format.Corrupt("section table: %v in %v", s.id, s.encoding)
		}
		if s.off < end || s.off > size || s.length > size-s.off {
			return format.Corrupt("section table: %v at %d of %d bytes", s.id, s.off, s.length)
		}
		seen[s.id] = true
		end = s.off + s.length
		f.sections = append(f.sections, s)
	}
	return r.End("section table")
}

func (f *footer) decodeFooter(b []byte) error {
	r := format.Reader{B: b}
	f.meta.Level = Level(r.Byte())
	f.meta.Partition = r.Varint()
	f.meta.MinGen = r.Uvarint(math.MaxUint64)
	f.meta.MaxGen = r.Uvarint(math.MaxUint64)
	f.meta.Ordinal = uint32(r.Uvarint(math.MaxUint32))
	f.meta.Inputs = readNames(&r)
	if f.version >= versionRollups {
		f.meta.Tier = Tier(r.Uvarint(math.MaxUint32))
		f.meta.Days = uint32(r.Uvarint(MaxDays))
		f.meta.Tombstone = r.Uvarint(math.MaxUint64)
		f.meta.Sources = readNames(&r)
	}
	f.series = r.Uvarint(maxSeriesInBlock)
	f.samples = r.Uvarint(math.MaxInt64)
	f.chunks = r.Uvarint(math.MaxInt64)
	f.minTime = r.Varint()
	f.maxTime = r.Varint()
	if f.version >= versionRollups {
		f.repeated = readRepeated(&r, f.version)
	}
	if err := r.End("footer"); err != nil {
		return err
	}
	if err := f.meta.Validate(); err != nil {
		return format.Corrupt("footer: %v", err)
	}
	return nil
}

// readNames reads the number of names of blocks and the names.
func readNames(r *format.Reader) (names []string) {
	for range r.Uvarint(MaxInputs) {
		name := r.Text(format.MaxNameBytes)
		if r.Err != nil {
			break
		}
		names = append(names, name)
	}
	return names
}

// info returns the part of the footer that the manifest records.
func (f *footer) info(name string, size int64, tail []byte) Info {
	return Info{
		Name: name, Meta: f.meta, Size: size,
		FooterLen: uint32(len(tail)), CRC: tailCRC(tail),
		Series: f.series, Samples: f.samples, MinTime: f.minTime, MaxTime: f.maxTime,
	}
}
