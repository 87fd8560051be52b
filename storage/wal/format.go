package wal

import (
	"encoding/binary"
	"fmt"
	"path"
	"strconv"
	"strings"

	"tsdb/encoding"
	"tsdb/storage/log"
)

// Names of files in the log's directory.
const (
	segmentSuffix = ".wal"  // <id>.wal: frames
	freeSuffix    = ".free" // <id>.free: a released segment, kept for reuse
	badSuffix     = ".bad"  // <id>.bad: a released segment with damage, kept for a human
	idDigits      = 12
)

// Magic numbers and sizes.
const (
	segmentMagic   = "TSDBWAL\n"
	segmentVersion = 1

	segmentHeaderBytes = 32
	frameHeaderBytes   = log.FrameHeaderBytes
	frameAlign         = log.FrameAlign
)

// Limits enforced both when writing and when reading.
const (
	// maxSegmentBytes is the largest size of a segment.
	maxSegmentBytes = 1 << 30
	// minSegmentBytes is the smallest size of a segment; only tests use it.
	minSegmentBytes = 16 << 10
	// tailBytes is the end of each segment that only deletes and marks may use.
	tailBytes = 64 << 10
)

// segmentName returns the path of the segment with an id.
func segmentName(dir string, id uint64) string {
	return path.Join(dir, idString(id)+segmentSuffix)
}

func idString(id uint64) string { return fmt.Sprintf("%0*d", idDigits, id) }

// parseName returns the id in a file's name and its suffix, ok = false if it is
// not a file name of this package.
func parseName(name string) (id uint64, suffix string, ok bool) {
	digits, ext, found := strings.Cut(path.Base(name), ".")
	if !found || len(digits) < idDigits {
		return 0, "", false
	}
	id, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || id == 0 || digits != idString(id) {
		return 0, "", false
	}
	switch "." + ext {
	case segmentSuffix, freeSuffix, badSuffix:
		return id, "." + ext, true
	}
	return 0, "", false
}

// seedOf returns the checksum that all checksums of a segment continue from.
// Stale frames in a reused file have the seed of its previous id and never
// validate.
func seedOf(id uint64) uint32 {
	return encoding.Checksum(binary.LittleEndian.AppendUint64(nil, id))
}

// segmentHeader is the first bytes of a segment. It is durable before the first
// frame is written.
type segmentHeader struct {
	id       uint64
	recycled bool // the file had another id before: after the frames is stale data
}

const flagRecycled = 1

func (h segmentHeader) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, segmentVersion)
	var flags uint32
	if h.recycled {
		flags = flagRecycled
	}
	dst = binary.LittleEndian.AppendUint32(dst, flags)
	dst = binary.LittleEndian.AppendUint64(dst, h.id)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	return binary.LittleEndian.AppendUint32(dst, encoding.Checksum(dst[at:]))
}

// parseSegmentHeader returns ok = false for bytes that are not a header, and an
// error only for a valid one of a version it does not know.
func parseSegmentHeader(b []byte) (h segmentHeader, ok bool, err error) {
	if len(b) < segmentHeaderBytes || string(b[:8]) != segmentMagic ||
		encoding.Checksum(b[:28]) != binary.LittleEndian.Uint32(b[28:]) {
		return h, false, nil
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != segmentVersion {
		return h, false, fmt.Errorf("%w %d, this program knows %d", ErrVersion, v, segmentVersion)
	}
	h.recycled = binary.LittleEndian.Uint32(b[12:])&flagRecycled != 0
	h.id = binary.LittleEndian.Uint64(b[16:])
	return h, true, nil
}
