package wal

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// Describe writes the contents of the segment file with the given path as lines of
// offset, bytes and meaning. Long payloads are truncated.
func Describe(out io.Writer, fs vfs.FS, name string) error {
	id, suffix, ok := parseName(name)
	if !ok {
		return fmt.Errorf("describe %s: the name is not that of a segment", name)
	}
	file, err := fs.Open(name)
	if err != nil {
		return fmt.Errorf("describe segment: %w", err)
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return fmt.Errorf("describe segment: %w", err)
	}
	b := bufio.NewWriter(out)
	d := describer{out: b, w: &fileReader{file: file, size: size}, seed: seedOf(id)}
	if suffix == freeSuffix {
		fmt.Fprintf(b, "segment %d, %d bytes, released: what it holds is no longer needed\n", id, size)
	} else {
		fmt.Fprintf(b, "segment %d, %d bytes\n", id, size)
	}
	if err := d.header(id); err != nil {
		return err
	}
	if err := d.frames(); err != nil {
		return err
	}
	return b.Flush()
}

const (
	describedBytes = 64 // of a payload, as hexadecimal digits
	describedLines = 16 // of a decoded payload
)

type describer struct {
	out     io.Writer
	w       *fileReader
	seed    uint32
	payload log.PayloadDecoder
}

// note writes a line without offset and bytes.
func (d *describer) note(format string, args ...any) {
	fmt.Fprintf(d.out, "%35s%s\n", "", fmt.Sprintf(format, args...))
}

// row writes one line: at most 8 bytes and their meaning.
func (d *describer) row(off int64, b []byte, format string, args ...any) {
	line := fmt.Sprintf("%8d  %-23x  %s", off, spaced(b), fmt.Sprintf(format, args...))
	fmt.Fprintln(d.out, strings.TrimRight(line, " "))
}

// spaced makes %x put a space between bytes.
type spaced []byte

// Format implements fmt.Formatter.
func (s spaced) Format(f fmt.State, _ rune) {
	width, _ := f.Width()
	fmt.Fprintf(f, "%-*s", width, fmt.Sprintf("% x", []byte(s)))
}

func (d *describer) header(id uint64) error {
	b, err := d.w.at(0, segmentHeaderBytes)
	if err != nil {
		return err
	}
	h, ok, err := parseSegmentHeader(b)
	if err != nil {
		return err
	}
	if !ok {
		d.row(0, b[:min(8, len(b))], "no header of a segment")
		return nil
	}
	d.row(0, b[:8], "magic")
	filled := "filled with zeros"
	if h.recycled {
		filled = "stale data behind the frames"
	}
	d.row(8, b[8:16], "version %d, %s", binary.LittleEndian.Uint32(b[8:]), filled)
	if h.id == id {
		d.row(16, b[16:24], "segment %d", h.id)
	} else {
		d.row(16, b[16:24], "segment %d: not yet made this one's", h.id)
	}
	d.row(24, b[24:32], "CRC %08x", binary.LittleEndian.Uint32(b[28:]))
	return nil
}

// frames describes the frames of the file, found as scanSegment finds them.
func (d *describer) frames() error {
	at := int64(segmentHeaderBytes)
	other := at // start of bytes that are not a frame
	for at+frameHeaderBytes <= d.w.size {
		f, size, ok, err := readFrame(d.w, at, d.seed)
		if err != nil {
			return err
		}
		if ok {
			if err := d.other(other, at); err != nil {
				return err
			}
			b, err := d.w.at(at, size)
			if err != nil {
				return err
			}
			d.frame(f, b, at)
			at += int64(size)
			other = at
			continue
		}
		var s scannedSegment
		if at, err = s.skip(d.w, at); err != nil {
			return err
		}
	}
	return d.other(other, d.w.size)
}

// other describes bytes that are not a frame.
func (d *describer) other(from, to int64) error {
	if from >= to {
		return nil
	}
	zeros := true
	for at := from; at < to && zeros; {
		b, err := d.w.at(at, int(min(to-at, fileReaderBytes)))
		if err != nil {
			return err
		}
		zeros = len(strings.Trim(string(b), "\x00")) == 0
		at += int64(len(b))
	}
	b, err := d.w.at(from, int(min(to-from, 8)))
	if err != nil {
		return err
	}
	if zeros {
		d.row(from, b, "%d bytes: zeros", to-from)
	} else {
		d.row(from, b, "%d bytes: no frame", to-from)
	}
	return nil
}

func (d *describer) frame(f log.Frame, b []byte, off int64) {
	d.row(off, b[0:8], "%v, shard %d: CRC %08x, check %04x", f.Type, f.Shard,
		binary.LittleEndian.Uint32(b[offCRC:]), binary.LittleEndian.Uint16(b[offCheck:]))
	d.row(off+8, b[8:16], "%d bytes of payload, tenant %d", len(f.Payload), f.Tenant)
	d.row(off+16, b[16:24], "LSN %d", f.LSN)
	d.row(off+24, b[24:32], "generation %d", f.Generation)
	d.row(off+32, b[32:40], "synced LSN %d", f.Synced)
	d.row(off+40, b[40:48], "manifest edit %d", f.Edit)
	d.row(off+48, b[48:56], "written %s", time.UnixMilli(f.WallMs).UTC().Format("2006-01-02T15:04:05.000Z"))
	for i := 0; i < len(f.Payload); i += 8 {
		at := off + frameHeaderBytes + int64(i)
		if i == describedBytes {
			d.note("… %d further bytes", len(f.Payload)-i)
			break
		}
		d.row(at, f.Payload[i:min(i+8, len(f.Payload))], "payload")
	}
	lines := 0
	err := d.payload.Describe(f, func(format string, args ...any) {
		if lines++; lines <= describedLines {
			d.note("  "+format, args...)
		}
	})
	if lines > describedLines {
		d.note("  … %d further entries", lines-describedLines)
	}
	if err != nil {
		d.note("  %v", err)
	}
}
