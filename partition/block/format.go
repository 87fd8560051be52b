package block

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Meta is the part of the description of a block that is known before its first
// byte is written. It is stored in the footer.
type Meta struct {
	Key
	MinGen, MaxGen uint64   // generations, both inclusive, MinGen ≤ MaxGen
	Inputs         []string // names of the blocks it was made from; empty for a cut
	Ordinal        uint32   // ascends over the key-disjoint outputs of one merge, from 0, skipping names in use

	// The fields below are zero in a block of the raw tier, Inputs in one of a
	// rollup, whose sources outlive it.
	Days      uint32   // partitions that the block spans, from Partition on
	Sources   []string // names of the blocks that were rolled up or folded
	Tombstone uint64   // highest ID of the tombstones that were applied
}

// MaxDays bounds the partitions that a block of a rollup spans.
const MaxDays = 64

// Span returns the times of the partitions of the block, which must have one.
func (m *Meta) Span() model.TimeRange {
	r := m.Key.Range()
	if m.Days > 1 {
		r.Max = model.AddTime(r.Min, int64(m.Days)*m.Tier.PartitionMs())
	}
	return r
}

// Info is the description of a block that the MANIFEST records.
type Info struct {
	Name string // path relative to the data directory
	Meta
	Size      int64  // bytes of the file
	FooterLen uint32 // bytes of one copy of the tail; the last of the two ends the file
	CRC       uint32 // CRC-32C of the tail
	Series    uint64
	Samples   uint64
	MinTime   int64 // time of the first sample, Unix milliseconds
	MaxTime   int64 // time of the last sample, inclusive
}

// TimeRange returns the range from the first to the last sample of the block.
func (b Info) TimeRange() model.TimeRange { return model.Inclusive(b.MinTime, b.MaxTime) }

// ErrEmptyBlock is returned by Writer.Finish when no series had a sample; no
// file is left.
var ErrEmptyBlock = errors.New("block has no samples")

// Limits that readers check before they use a number from a file.
const (
	maxColumnBytes   = 64 << 20 // one encoded column
	maxPageBytes     = 64 << 20 // one page of an index section, raw
	maxSectionBytes  = 1 << 30  // one section that is read at once, raw
	maxTailBytes     = 8 << 20  // one copy of section table, footer and trailer
	MaxInputs        = 1 << 16
	maxLabelBytes    = 1<<24 - 1 // one label name or value
	maxSections      = 64
	maxSeriesInBlock = 1<<32 - 2 // ordinals are uint32
)

const (
	HeaderLen  = 16
	trailerLen = 24
)

// sectionID identifies a section. An unknown id is an error.
type sectionID uint8

const (
	sectionDirectory    sectionID = 1  // fences of the directory pages
	sectionExemplars    sectionID = 2  // fences of the exemplar pages
	sectionDictionaries sectionID = 3  // pages of label values
	sectionPostings     sectionID = 4  // pages of postings
	sectionSeries       sectionID = 5  // pages of the series table
	sectionIdentities   sectionID = 6  // identities by ordinal, fixed stride
	sectionSeriesFences sectionID = 7  // fences of the series table
	sectionNameFences   sectionID = 8  // fences of the dictionaries and postings, name by name
	sectionNames        sectionID = 9  // label names
	sectionTenants      sectionID = 10 // first ordinal of every tenant
	sectionMetadata     sectionID = 11 // metadata of metrics
	sectionIDEnd        sectionID = 12
)

func (s sectionID) valid() bool { return s > 0 && s < sectionIDEnd }

func (s sectionID) String() string {
	if !s.valid() {
		return fmt.Sprintf("section(%d)", uint8(s))
	}
	return [...]string{"", "directory fences", "exemplar fences", "dictionaries", "postings", "series table",
		"identities", "series fences", "name fences", "names", "tenants", "metadata"}[s]
}

// sectionEncoding is the way the bytes of a section are stored. An unknown
// encoding is an error.
type sectionEncoding uint8

const (
	encodingPlain sectionEncoding = 0 // not compressed
	encodingZstd  sectionEncoding = 1 // one zstd frame
	encodingPages sectionEncoding = 2 // pages, each plain or a zstd frame, found by fences
	encodingFixed sectionEncoding = 3 // pages of one length, each ending in its checksum
	encodingEnd   sectionEncoding = 4
)

func (e sectionEncoding) String() string {
	switch e {
	case encodingPlain:
		return "plain"
	case encodingZstd:
		return "zstd"
	case encodingPages:
		return "pages"
	case encodingFixed:
		return "fixed pages"
	}
	return fmt.Sprintf("encoding(%d)", uint8(e))
}

// section is one row of the section table.
type section struct {
	id       sectionID
	encoding sectionEncoding
	off      int64 // in the file
	length   int64
	crc      uint32
}

// footer is the content of the tail of a block.
type footer struct {
	version          uint32 // of the container
	meta             Meta
	series           uint64
	samples          uint64
	chunks           uint64
	minTime, maxTime int64
	sections         []section // in ascending order of offset
}

// appendHeader appends the first bytes of a block: magic, version and the CRC
// of both.
func appendHeader(dst []byte) []byte {
	n := len(dst)
	dst = append(dst, blockMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, blockVersion)
	return binary.LittleEndian.AppendUint32(dst, encoding.Checksum(dst[n:]))
}

// checkHeader checks the header of a block whose tail is of the given version.
func checkHeader(b []byte, version uint32) error {
	if len(b) != HeaderLen || string(b[:8]) != blockMagic {
		return format.Corrupt("header without magic number")
	}
	if encoding.Checksum(b[:12]) != binary.LittleEndian.Uint32(b[12:]) {
		return format.Corrupt("header checksum")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return format.Corrupt("header of version %d, tail of version %d", v, version)
	}
	return nil
}

// knownVersion reads the version of a block.
func knownVersion(b []byte) (uint32, error) {
	v := binary.LittleEndian.Uint32(b)
	if v < 1 || v > blockVersion {
		return 0, fmt.Errorf("block version %d: %w", v, format.ErrVersion)
	}
	return v, nil
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
	dst = binary.AppendUvarint(dst, f.series)
	dst = binary.AppendUvarint(dst, f.samples)
	dst = binary.AppendUvarint(dst, f.chunks)
	dst = binary.AppendVarint(dst, f.minTime)
	dst = binary.AppendVarint(dst, f.maxTime)
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
		if !s.id.valid() || s.encoding >= encodingEnd || seen[s.id] {
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
	for range r.Uvarint(MaxInputs) {
		in := r.Text(format.MaxNameBytes)
		if r.Err != nil {
			break
		}
		f.meta.Inputs = append(f.meta.Inputs, in)
	}
	f.series = r.Uvarint(maxSeriesInBlock)
	f.samples = r.Uvarint(math.MaxInt64)
	f.chunks = r.Uvarint(math.MaxInt64)
	f.minTime = r.Varint()
	f.maxTime = r.Varint()
	if err := r.End("footer"); err != nil {
		return err
	}
	if err := f.meta.Validate(); err != nil {
		return format.Corrupt("footer: %v", err)
	}
	return nil
}

// Validate returns an error if m is inconsistent or exceeds a limit.
func (m *Meta) Validate() error {
	switch {
	case !m.Tier.Valid():
		return fmt.Errorf("unknown tier %d", uint32(m.Tier))
	case !m.Level.valid():
		return fmt.Errorf("unknown level %d", m.Level)
	case m.MinGen > m.MaxGen:
		return fmt.Errorf("generations %d to %d are not a range", m.MinGen, m.MaxGen)
	case (m.Level == L0) != (m.Partition == NoPartition):
		return fmt.Errorf("a block of level %v has partition %d", m.Level, m.Partition)
	case len(m.Inputs) > MaxInputs:
		return fmt.Errorf("%d inputs exceed the limit of %d", len(m.Inputs), MaxInputs)
	case m.Tier == Raw && (m.Days != 0 || len(m.Sources) > 0 || m.Tombstone != 0):
		return errors.New("a block of the raw tier has the fields of a rollup")
	case m.Tier != Raw && (m.Level != L2 || len(m.Inputs) > 0 || m.Days < 1 || m.Days > MaxDays || len(m.Sources) > MaxInputs):
		return fmt.Errorf("a block of the %v tier has level %v, %d inputs, %d days, %d sources", m.Tier, m.Level, len(m.Inputs), m.Days, len(m.Sources))
	case m.Tier != Raw && m.Tier.PartitionStart(m.Partition) != m.Partition:
		return fmt.Errorf("a block of the %v tier begins at %d, inside of a day", m.Tier, m.Partition)
	}
	bytes := 0
	for _, in := range slices.Concat(m.Inputs, m.Sources) {
		bytes += len(in)
		if len(in) > format.MaxNameBytes {
			return fmt.Errorf("input name of %d bytes exceeds the limit of %d", len(in), format.MaxNameBytes)
		}
		if bytes > maxTailBytes/2 {
			return fmt.Errorf("input names of %d bytes exceed the limit of %d", bytes, maxTailBytes/2)
		}
	}
	return nil
}

// info returns the part of the footer that the manifest records.
func (f *footer) info(name string, size int64, tail []byte) Info {
	return Info{
		Name: name, Meta: f.meta, Size: size,
		FooterLen: uint32(len(tail)), CRC: tailCRC(tail),
		Series: f.series, Samples: f.samples, MinTime: f.minTime, MaxTime: f.maxTime,
	}
}

// CompareInfo orders blocks from the oldest to the newest: if a sample of b can
// replace a sample of a, a comes first.
func CompareInfo(a, b Info) int {
	switch {
	case a.MinGen != b.MinGen:
		return cmp.Compare(a.MinGen, b.MinGen)
	case !a.SamePartition(b.Key):
		return a.At(0).Compare(b.At(0))
	case a.MaxGen != b.MaxGen:
		return cmp.Compare(a.MaxGen, b.MaxGen)
	case a.Ordinal != b.Ordinal:
		return cmp.Compare(uint64(a.Ordinal), uint64(b.Ordinal))
	}
	return strings.Compare(a.Name, b.Name) // blocks of different merges
}
