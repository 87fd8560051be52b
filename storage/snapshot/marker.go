package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"

	"tsdb/encoding"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// Sizes and numbers of the file SNAPSHOT.
const (
	markerMagic   = "tsdbsnap"
	markerVersion = 1
	markerBytes   = 8 + 4 + 4 + 5*8 + 4
	flagTemporary = 1
)

// Marker describes the origin of a snapshot.
type Marker struct {
	// Temporary is set in a snapshot made for a backup: the server removes it when space
	// is short or nobody has read it for a while.
	Temporary   bool
	WallMs      int64  // when it was taken, Unix milliseconds
	Edit        uint64 // of the MANIFEST
	LSN         uint64 // of the last frame of the log
	Generation  uint64 // highest used
	Incarnation uint64 // of the database
}

// appendMarker encodes a marker.
func appendMarker(dst []byte, m Marker) []byte {
	at := len(dst)
	dst = append(dst, markerMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, markerVersion)
	var flags uint32
	if m.Temporary {
		flags = flagTemporary
	}
	dst = binary.LittleEndian.AppendUint32(dst, flags)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.WallMs))
	dst = binary.LittleEndian.AppendUint64(dst, m.Edit)
	dst = binary.LittleEndian.AppendUint64(dst, m.LSN)
	dst = binary.LittleEndian.AppendUint64(dst, m.Generation)
	dst = binary.LittleEndian.AppendUint64(dst, m.Incarnation)
	return binary.LittleEndian.AppendUint32(dst, encoding.Checksum(dst[at:]))
}

// decodeMarker mirrors appendMarker. b may be anything.
func decodeMarker(b []byte) (m Marker, err error) {
	if len(b) < 16 || string(b[:8]) != markerMagic {
		return m, format.Corrupt("%s without magic number", format.SnapshotName)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != markerVersion {
		return m, fmt.Errorf("%s of version %d: %w", format.SnapshotName, v, format.ErrVersion)
	}
	if len(b) != markerBytes || encoding.Checksum(b[:markerBytes-4]) != binary.LittleEndian.Uint32(b[markerBytes-4:]) {
		return m, format.Corrupt("checksum of %s", format.SnapshotName)
	}
	flags := binary.LittleEndian.Uint32(b[12:])
	if flags&^flagTemporary != 0 {
		return m, format.Corrupt("flags %x of %s", flags, format.SnapshotName)
	}
	return Marker{
		Temporary: flags&flagTemporary != 0, WallMs: int64(binary.LittleEndian.Uint64(b[16:])),
		Edit: binary.LittleEndian.Uint64(b[24:]), LSN: binary.LittleEndian.Uint64(b[32:]),
		Generation: binary.LittleEndian.Uint64(b[40:]), Incarnation: binary.LittleEndian.Uint64(b[48:]),
	}, nil
}

// ReadMarker returns the marker in a data directory. Without one, as in every
// directory that is not a snapshot or was opened, the error is fs.ErrNotExist.
func ReadMarker(fsys vfs.FS, dir string) (m Marker, err error) {
	f, err := fsys.Open(path.Join(dir, format.SnapshotName))
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := make([]byte, markerBytes+1)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return m, err
	}
	return decodeMarker(b[:n])
}

func writeMarker(fsys vfs.FS, dir string, m Marker) error {
	f, err := fsys.Create(path.Join(dir, format.SnapshotName))
	if err != nil {
		return err
	}
	_, err = f.WriteAt(appendMarker(nil, m), 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Describe writes the content of a file SNAPSHOT as lines of offset, bytes and
// meaning.
func Describe(out io.Writer, fsys vfs.FS, name string) error {
	m, err := ReadMarker(fsys, path.Dir(name))
	if err != nil {
		return fmt.Errorf("describe %s: %w", name, err)
	}
	var errs []error
	line := func(off, n int, format string, args ...any) {
		_, err := fmt.Fprintf(out, "%8d %6d  %s\n", off, n, fmt.Sprintf(format, args...))
		errs = append(errs, err)
	}
	line(0, 8, "magic %q", markerMagic)
	line(8, 4, "version %d", markerVersion)
	line(12, 4, "temporary: %v", m.Temporary)
	line(16, 8, "taken at %d ms", m.WallMs)
	line(24, 8, "edit %d of the MANIFEST", m.Edit)
	line(32, 8, "log up to LSN %d", m.LSN)
	line(40, 8, "generations up to %d were used", m.Generation)
	line(48, 8, "incarnation %016x", m.Incarnation)
	line(56, 4, "CRC-32C of the above")
	return errors.Join(errs...)
}
