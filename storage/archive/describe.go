package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/storage/log"
)

// Describe writes the content of a file of an archive, a head, a mark or a piece of the
// log, as lines of text.
func Describe(out io.Writer, fsys vfs.FS, name string) error {
	b, err := vfs.ReadFile(fsys, name, func(size int64) error {
		if size > maxMarkBytes {
			return format.Corrupt("%s has %d bytes", name, size)
		}
		return nil
	})
	if err != nil {
		return err
	}
	d := &description{out: out}
	switch {
	case len(b) >= 8 && string(b[:8]) == headMagic:
		err = d.head(b)
	case len(b) >= 8 && string(b[:8]) == markMagic:
		err = d.mark(b)
	default:
		err = d.piece(b)
	}
	if err != nil {
		return fmt.Errorf("describe %s: %w", name, err)
	}
	return errors.Join(d.errs...)
}

// description writes lines.
type description struct {
	out  io.Writer
	errs []error
}

func (d *description) line(format string, args ...any) {
	_, err := fmt.Fprintf(d.out, format+"\n", args...)
	d.errs = append(d.errs, err)
}

func (d *description) head(b []byte) error {
	h, err := decodeHead(b)
	if err != nil {
		return err
	}
	d.line("head of incarnation %s, %d bytes, changed %d times", IncarnationID(h.Incarnation), len(b), h.Changes)
	for _, m := range h.Marks {
		d.line("mark at %s, edit %d, LSN %d: %v", timeText(m.WallMs), m.Edit, m.LSN, m.Object)
	}
	for _, u := range h.Unreferenced {
		d.line("unreferenced since %s: %s", timeText(u.SinceMs), u.Key)
	}
	for _, key := range h.Condemned {
		d.line("condemned: %s", key)
	}
	return nil
}

func (d *description) mark(b []byte) error {
	m, err := decodeMark(b)
	if err != nil {
		return err
	}
	d.line("mark of incarnation %s, %d bytes", IncarnationID(m.Incarnation), len(b))
	d.line("at %s, last frame of %s", timeText(m.WallMs), timeText(m.MaxMs))
	d.line("edit %d, log from generation %d to LSN %d, generations up to %d were used", m.Edit, m.Low, m.LSN, m.Generation)
	d.line("MANIFEST of %d bytes", len(m.Manifest))
	for _, p := range m.Pieces {
		d.line("piece of segment %d, generation %d: LSNs %d to %d after %d, %s to %s, %d bytes with checksum %08x in %v",
			p.Segment, p.Generation, p.First, p.Last, p.Prev, timeText(p.FirstMs), timeText(p.LastMs), p.RawBytes, p.RawCRC, p.Object)
	}
	for _, name := range m.Missing {
		d.line("without %s", name)
	}
	return nil
}

func (d *description) piece(b []byte) error {
	frames := 0
	p, err := readPiece(bytes.NewReader(b), func(uint64, log.Frame) error { frames++; return nil })
	if err != nil {
		return err
	}
	d.line("piece of segment %d, generation %d, %d bytes: LSNs %d to %d, %d frames with %d bytes and checksum %08x",
		p.Segment, p.Generation, len(b), p.First, p.Last, frames, p.RawBytes, p.RawCRC)
	return nil
}
