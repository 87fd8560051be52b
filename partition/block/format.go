package block

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tsdb/encoding"
	"tsdb/partition/format"
)

// ErrEmptyBlock is returned by Writer.Finish when no series had a chunk; no file is
// left.
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
	sectionGenerations  sectionID = 12 // newest generation of every series
	sectionIDEnd        sectionID = 13
)

func (s sectionID) valid() bool { return s > 0 && s < sectionIDEnd }

func (s sectionID) String() string {
	if !s.valid() {
		return fmt.Sprintf("section(%d)", uint8(s))
	}
	return [...]string{"", "directory fences", "exemplar fences", "dictionaries", "postings", "series table",
		"identities", "series fences", "name fences", "names", "tenants", "metadata", "generations"}[s]
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
