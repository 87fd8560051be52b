package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"

	"tsdb/encoding"
	"tsdb/internal/panics"
	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// Magic numbers, sizes and bounds of the list of segments.
const (
	listMagic       = "tsdbsegs"
	listVersion     = 1
	listHeaderBytes = 24
	listEntryBytes  = 56
	listMaxEntries  = 1 << 18 // more segments than any log has

	listTempSuffix = ".tmp"
)

// segmentList lists the segments of the log that hold durable frames. It is kept in
// a file outside the log's directory, so that the loss of the log or of some of
// its segments is detected.
type segmentList struct {
	synced   uint64          // all LSNs up to this one were durable; 0 = none
	segments []listedSegment // by rising id
}

// listedSegment is the entry of a segment that holds durable frames, at least one of
// them with client data.
type listedSegment struct {
	id, gen           uint64 // > 0
	bytes             int64  // the end of its last durable frame
	firstLSN, lastLSN uint64 // of the frames up to there
	firstMs, lastMs   int64  // wall times at which those were written
}

func (s *listedSegment) validate() error {
	switch {
	case s.id == 0 || s.gen == 0:
		return fmt.Errorf("segment %d of generation %d: both start at 1", s.id, s.gen)
	case s.bytes < segmentHeaderBytes+frameHeaderBytes || s.bytes > maxSegmentBytes || s.bytes%frameAlign != 0:
		return fmt.Errorf("segment %d: frames end at offset %d, want a multiple of %d from %d to %d", s.id, s.bytes, frameAlign, segmentHeaderBytes+frameHeaderBytes, maxSegmentBytes)
	case s.firstLSN == 0 || s.firstLSN > s.lastLSN:
		return fmt.Errorf("segment %d: LSNs %d to %d are not a range", s.id, s.firstLSN, s.lastLSN)
	case s.firstMs > s.lastMs:
		return fmt.Errorf("segment %d: wall times %d to %d are not a range", s.id, s.firstMs, s.lastMs)
	}
	return nil
}

func (l *segmentList) validate() error {
	if len(l.segments) > listMaxEntries {
		return fmt.Errorf("%d segments exceed the limit of %d", len(l.segments), listMaxEntries)
	}
	for i := range l.segments {
		s := &l.segments[i]
		if err := s.validate(); err != nil {
			return err
		}
		if i > 0 && s.id <= l.segments[i-1].id {
			return fmt.Errorf("segment %d follows segment %d", s.id, l.segments[i-1].id)
		}
	}
	return nil
}

// find returns the index at which the segment with an id is or would be inserted.
func (l *segmentList) find(id uint64) (int, bool) {
	return slices.BinarySearchFunc(l.segments, id, func(s listedSegment, id uint64) int {
		switch {
		case s.id < id:
			return -1
		case s.id > id:
			return 1
		}
		return 0
	})
}

// put adds a segment, or replaces its entry.
func (l *segmentList) put(s listedSegment) (added bool) {
	i, found := l.find(s.id)
	if found {
		l.segments[i] = s
	} else {
		l.segments = slices.Insert(l.segments, i, s)
	}
	return !found
}

func (l *segmentList) clone() segmentList {
	return segmentList{synced: l.synced, segments: slices.Clone(l.segments)}
}

// append encodes the list, which must be valid.
func (l *segmentList) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, listMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, listVersion)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(l.segments)))
	dst = binary.LittleEndian.AppendUint64(dst, l.synced)
	for i := range l.segments {
		s := &l.segments[i]
		dst = binary.LittleEndian.AppendUint64(dst, s.id)
		dst = binary.LittleEndian.AppendUint64(dst, s.gen)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(s.bytes))
		dst = binary.LittleEndian.AppendUint64(dst, s.firstLSN)
		dst = binary.LittleEndian.AppendUint64(dst, s.lastLSN)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(s.firstMs))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(s.lastMs))
	}
	return binary.LittleEndian.AppendUint32(dst, encoding.Checksum(dst[at:]))
}

// decodeSegmentList mirrors append. b may be anything.
func decodeSegmentList(b []byte) (l segmentList, err error) {
	if len(b) < listHeaderBytes+4 || string(b[:8]) != listMagic {
		return l, log.Corruptf("%d bytes are no list of segments", len(b))
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != listVersion {
		return l, fmt.Errorf("%w %d of the list of segments, this program knows %d", ErrVersion, v, listVersion)
	}
	n := uint64(binary.LittleEndian.Uint32(b[12:]))
	if n > listMaxEntries || uint64(len(b)) != listHeaderBytes+n*listEntryBytes+4 {
		return l, log.Corruptf("list of %d segments in %d bytes", n, len(b))
	}
	body := b[:len(b)-4]
	if encoding.Checksum(body) != binary.LittleEndian.Uint32(b[len(body):]) {
		return l, log.Corruptf("checksum of the list of segments")
	}
	l.synced = binary.LittleEndian.Uint64(b[16:])
	for e := body[listHeaderBytes:]; len(e) > 0; e = e[listEntryBytes:] {
		l.segments = append(l.segments, listedSegment{
			id:       binary.LittleEndian.Uint64(e),
			gen:      binary.LittleEndian.Uint64(e[8:]),
			bytes:    int64(binary.LittleEndian.Uint64(e[16:])),
			firstLSN: binary.LittleEndian.Uint64(e[24:]),
			lastLSN:  binary.LittleEndian.Uint64(e[32:]),
			firstMs:  int64(binary.LittleEndian.Uint64(e[40:])),
			lastMs:   int64(binary.LittleEndian.Uint64(e[48:])),
		})
	}
	if err := l.validate(); err != nil {
		return segmentList{}, log.Corruptf("list of segments: %v", err)
	}
	return l, nil
}

// readSegmentList reads the list in a file. A missing file is an
// empty list.
func readSegmentList(fs vfs.FS, name string) (l segmentList, err error) {
	b, err := vfs.ReadFile(fs, name, func(size int64) error {
		if size > listHeaderBytes+listMaxEntries*listEntryBytes+4 {
			return log.Corruptf("list of segments of %d bytes", size)
		}
		return nil
	})
	if errors.Is(err, iofs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("read list of segments: %w", err)
	}
	return decodeSegmentList(b)
}

// writeSegmentList replaces the list in a file in one atomic and durable step.
// After an error the file holds either the old or the new list.
func writeSegmentList(fs vfs.FS, name string, l *segmentList) (err error) {
	if err := l.validate(); err != nil {
		return fmt.Errorf("BUG: list of segments: %w", err)
	}
	defer panics.Catch(&err)
	if err := vfs.ReplaceFile(fs, name, listTempSuffix, l.append(nil)); err != nil {
		return fmt.Errorf("write list of segments: %w", err)
	}
	return nil
}

// DescribeList writes the contents of a list of segments as lines of offset, bytes
// and meaning.
func DescribeList(out io.Writer, fs vfs.FS, name string) error {
	l, err := readSegmentList(fs, name)
	if err != nil {
		return fmt.Errorf("describe %s: %w", name, err)
	}
	var errs []error
	line := func(off, n int, format string, args ...any) {
		_, err := fmt.Fprintf(out, "%8d %6d  %s\n", off, n, fmt.Sprintf(format, args...))
		errs = append(errs, err)
	}
	line(0, 8, "magic %q", listMagic)
	line(8, 4, "version %d", listVersion)
	line(12, 4, "%d segments", len(l.segments))
	line(16, 8, "LSNs up to %d were durable", l.synced)
	at := listHeaderBytes
	for _, s := range l.segments {
		line(at, listEntryBytes, "segment %d of generation %d: durable up to offset %d, LSNs %d to %d, written from %s to %s",
			s.id, s.gen, s.bytes, s.firstLSN, s.lastLSN, wallTime(s.firstMs), wallTime(s.lastMs))
		at += listEntryBytes
	}
	line(at, 4, "CRC-32C of the above")
	return errors.Join(errs...)
}
