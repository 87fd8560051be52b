package manifest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path"

	"tsdb/encoding"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// manifestMagic is the first 8 bytes of the MANIFEST.
const manifestMagic = "tsdbmani"

// The MANIFEST is a header followed by records: a snapshot, then edits whose
// numbers continue from it without gaps. See docs/format-manifest.md.
// Versions of the file:
//
//	1  the first
//	2  rollups: blocks of their tiers, coverage and floors
//	3  floors of retention rules
//	4  tiers coarser than an hour
//
// A file is written in the lowest version that can hold it, so older programs can
// read a database without rollups, rules or tiers that they do not know.
const (
	manifestVersion   = versionCoarse
	versionRollups    = 2
	versionRules      = 3
	versionCoarse     = 4
	manifestHeaderLen = 16 // magic, version, CRC of both
	recordHeaderLen   = 20 // kind, length, number, CRC of these and the payload
	// maxRecordBytes bounds the payload of a record. A snapshot of a million
	// blocks fits.
	maxRecordBytes = 512 << 20
	// MaxManifestBytes bounds the file: a snapshot and the edits until the next.
	MaxManifestBytes = 2 * (maxRecordBytes + maxLogBytes)
)

// recordKind is the first word of a record, in ASCII to be found in a hex dump.
type recordKind string

const (
	kindSnapshot recordKind = "snap"
	kindEdit     recordKind = "edit"
)

func (k recordKind) valid() bool { return k == kindSnapshot || k == kindEdit }

// manifestHeader returns the header of a file of a version. Every version has the
// magic, the version and the checksum at the same offsets.
func manifestHeader(version uint32) []byte {
	b := append([]byte(nil), manifestMagic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	return binary.LittleEndian.AppendUint32(b, encoding.Checksum(b))
}

func checkManifestHeader(b []byte) error {
	switch {
	case len(b) < manifestHeaderLen || string(b[:8]) != manifestMagic:
		return format.Corrupt("header without magic number")
	case encoding.Checksum(b[:12]) != binary.LittleEndian.Uint32(b[12:]):
		return format.Corrupt("header checksum")
	}
	switch v := binary.LittleEndian.Uint32(b[8:]); {
	case v > manifestVersion:
		return fmt.Errorf("the data directory was written by a newer version of tsdb: MANIFEST format %d, this program knows %d: %w",
			v, manifestVersion, format.ErrVersion)
	case v < 1:
		return fmt.Errorf("MANIFEST format %d: %w", v, format.ErrVersion)
	}
	return nil
}

// appendFramed appends a record with its header.
func appendFramed(dst []byte, kind recordKind, r *record) ([]byte, error) {
	if err := r.validate(); err != nil {
		return dst, fmt.Errorf("encode %s %d: %w", kind, r.Number, err)
	}
	start := len(dst)
	dst = append(dst, make([]byte, recordHeaderLen)...)
	dst = appendRecord(dst, r)
	head := dst[start:]
	n := len(head) - recordHeaderLen
	if n > maxRecordBytes {
		return dst[:start], fmt.Errorf("encode %s %d: %d bytes exceed the limit of %d", kind, r.Number, n, maxRecordBytes)
	}
	copy(head, kind)
	binary.LittleEndian.PutUint32(head[4:], uint32(n))
	binary.LittleEndian.PutUint64(head[8:], r.Number)
	binary.LittleEndian.PutUint32(head[16:], recordChecksum(head))
	return dst, nil
}

// recordChecksum covers the header up to the checksum and the payload.
func recordChecksum(b []byte) uint32 {
	return encoding.ChecksumSeeded(encoding.Checksum(b[:16]), b[recordHeaderLen:])
}

// framed is a record whose checksum is right.
type framed struct {
	off     int64
	kind    recordKind
	number  uint64
	payload []byte
	version uint32 // of the file; 0 if unknown
}

// end returns the offset just past the record.
func (f *framed) end() int64 { return f.off + recordHeaderLen + int64(len(f.payload)) }

// unframe reads the record at off, if a complete one is there.
func unframe(b []byte, off int64) (framed, bool) {
	b = b[off:]
	if len(b) < recordHeaderLen || !recordKind(b[:4]).valid() {
		return framed{}, false
	}
	n := uint64(binary.LittleEndian.Uint32(b[4:]))
	if n > maxRecordBytes || n > uint64(len(b)-recordHeaderLen) {
		return framed{}, false
	}
	b = b[:recordHeaderLen+n]
	if recordChecksum(b) != binary.LittleEndian.Uint32(b[16:]) {
		return framed{}, false
	}
	return framed{off: off, kind: recordKind(b[:4]), number: binary.LittleEndian.Uint64(b[8:]), payload: b[recordHeaderLen:]}, true
}

// Torn is the incomplete record at the end of a MANIFEST: an edit that was being
// written when the process or the machine stopped, and was never acknowledged.
// Bytes is 0 if there is none.
type Torn struct {
	Offset, Bytes int64
}

// parseManifest returns the records of a MANIFEST. Bytes that are not a complete
// record are a torn edit if no record follows them, and damage if one does,
// because every edit is synced before the next is written.
func parseManifest(b []byte) (records []framed, torn Torn, err error) {
	if err := checkManifestHeader(b); err != nil {
		return nil, Torn{}, err
	}
	off := int64(manifestHeaderLen)
	for off < int64(len(b)) {
		f, ok := unframe(b, off)
		if !ok {
			break
		}
		switch {
		case (f.kind == kindSnapshot) != (len(records) == 0):
			return nil, Torn{}, damage(off, "%s as record %d", f.kind, len(records))
		case len(records) > 0 && f.number != records[len(records)-1].number+1:
			return nil, Torn{}, damage(off, "edit %d after %d", f.number, records[len(records)-1].number)
		}
		f.version = binary.LittleEndian.Uint32(b[8:])
		records = append(records, f)
		off = f.end()
	}
	if len(records) == 0 {
		return nil, Torn{}, damage(off, "no snapshot")
	}
	if next, ok := findRecord(b, off, records[len(records)-1].number); ok {
		return nil, Torn{}, damage(off, "edit %d is damaged, edit %d follows at %d",
			records[len(records)-1].number+1, next.number, next.off)
	}
	return records, Torn{Offset: off, Bytes: int64(len(b)) - off}, nil
}

// findRecord searches b from off for an edit numbered above last. The bytes at
// off need not be a record.
func findRecord(b []byte, off int64, last uint64) (framed, bool) {
	for off < int64(len(b)) {
		i := bytes.Index(b[off:], []byte(kindEdit))
		if i < 0 {
			break
		}
		off += int64(i)
		if f, ok := unframe(b, off); ok && f.number > last {
			return f, true
		}
		off++
	}
	return framed{}, false
}

// damage returns a DamageError at an offset of the MANIFEST.
func damage(off int64, what string, args ...any) error {
	return &format.DamageError{Path: format.ManifestName, Offset: off, What: fmt.Sprintf(what, args...)}
}

// replay applies the records of a MANIFEST in order.
func replay(records []framed) (*State, error) {
	var s *State
	for i := range records {
		f := &records[i]
		r, err := decodeRecord(f.payload)
		if err != nil {
			return nil, damage(f.off, "%s %d: %v", f.kind, f.number, err)
		}
		if v := r.version(); v > f.version {
			return nil, damage(f.off, "%s %d has fields of version %d in a file of version %d", f.kind, f.number, v, f.version)
		}
		r.Number = f.number
		if i == 0 {
			if r.format != thisFormat {
				return nil, fmt.Errorf("the database has format options %+v, this program needs %+v: %w", r.format, thisFormat, format.ErrVersion)
			}
			s = r.state()
			continue
		}
		for _, name := range r.Drop {
			if _, ok := s.Blocks[name]; !ok {
				return nil, damage(f.off, "edit %d drops %q, which is not listed", f.number, name)
			}
		}
		s.change(r.Edit)
	}
	return s, nil
}

// readManifest returns the state in the copy of the MANIFEST named base in dir,
// and the torn edit at its end, if any. It changes nothing on disk.
func readManifest(fsys vfs.FS, dir, base string) (*State, Torn, error) {
	name := path.Join(dir, base)
	b, err := readFile(fsys, name, MaxManifestBytes)
	if err != nil {
		return nil, Torn{}, err
	}
	records, torn, err := parseManifest(b)
	var s *State
	if err == nil {
		s, err = replay(records)
	}
	if err != nil {
		var d *format.DamageError
		if errors.As(err, &d) {
			d.Path = base
		}
		return nil, Torn{}, fmt.Errorf("read %s: %w", name, err)
	}
	return s, torn, nil
}

// readFile reads a file of at most limit bytes.
func readFile(fsys vfs.FS, name string, limit int64) ([]byte, error) {
	b, err := vfs.ReadFile(fsys, name, func(size int64) error {
		if size > limit {
			return fmt.Errorf("%w: %d bytes exceed %d", format.ErrCorrupt, size, limit)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}
