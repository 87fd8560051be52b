package cardinality

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

const (
	magic      = "tsdbcard"
	version    = 1
	headBytes  = len(magic) + 4
	maxBytes   = 4 << 20 // of a file
	dayBytes   = 16      // of a day in the file, at least
	rowBytes   = 2       // of a row
	nameBytes  = 1       // of a name
	dayMin     = -110_000
	dayMax     = 110_000 // days that have times, and some more
	flagSet    = 1
	decodeCost = 24 // bytes of memory that a byte of the file becomes, at most
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendDays appends the encoding of days, which are sorted.
func appendDays(dst []byte, days []Day) []byte {
	at := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, version)
	index := map[string]uint64{}
	var names []string
	for i := range days {
		for _, t := range days[i].Tables {
			for _, r := range t.Rows {
				if _, known := index[r.Name]; !known {
					index[r.Name] = uint64(len(names))
					names = append(names, r.Name)
				}
			}
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, name := range names {
		dst = format.AppendString(dst, name)
	}
	dst = binary.AppendUvarint(dst, uint64(len(days)))
	for i := range days {
		dst = appendDay(dst, &days[i], index)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

func appendDay(dst []byte, d *Day, index map[string]uint64) []byte {
	dst = binary.AppendVarint(dst, d.Day)
	dst = append(dst, flagByte(d.Running))
	dst = binary.AppendVarint(dst, d.Counted)
	dst = binary.LittleEndian.AppendUint64(dst, d.Basis)
	for _, n := range []uint64{d.Deletion, d.Series, d.Pairs, d.New, d.Gone} {
		dst = binary.AppendUvarint(dst, n)
	}
	for _, t := range d.Tables {
		dst = append(dst, flagByte(t.Cut))
		dst = binary.AppendUvarint(dst, uint64(len(t.Rows)))
		for _, r := range t.Rows {
			dst = binary.AppendUvarint(dst, index[r.Name])
			dst = binary.AppendUvarint(dst, r.Count)
		}
	}
	return dst
}

func flagByte(set bool) byte {
	if set {
		return flagSet
	}
	return 0
}

// decoder reads a file. line, if not nil, is called with each part of it.
type decoder struct {
	all  []byte
	r    format.Reader
	at   int // where the part begins that is described next
	line func(off, n int, format string, args ...any)
}

// tell describes what was read since the last call.
func (d *decoder) tell(format string, args ...any) {
	end := len(d.all) - 4 - len(d.r.B)
	if d.line != nil && d.r.Err == nil {
		d.line(d.at, end-d.at, format, args...)
	}
	d.at = end
}

// decodeDays decodes a file.
func decodeDays(b []byte, line func(off, n int, format string, args ...any)) ([]Day, error) {
	if len(b) < headBytes+4 || string(b[:len(magic)]) != magic {
		return nil, format.Corrupt("not a file of daily counts")
	}
	v := binary.LittleEndian.Uint32(b[len(magic):])
	if v != version {
		return nil, fmt.Errorf("daily counts: %w: %d", format.ErrVersion, v)
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, format.Corrupt("checksum of the daily counts")
	}
	d := decoder{all: b, line: line, r: format.Reader{B: body[len(magic):]}}
	d.tell("magic %q", magic)
	d.r.Uint32()
	d.tell("version %d", v)
	names := make([]string, 0, d.r.Uvarint(uint64(len(d.r.B))/nameBytes))
	d.tell("%d names", cap(names))
	for range cap(names) {
		names = append(names, string(d.r.Bytes(d.r.Uvarint(MaxNameBytes))))
		d.tell("name %d: %q", len(names)-1, names[len(names)-1])
	}
	days := make([]Day, d.r.Uvarint(min(MaxDays, uint64(len(d.r.B))/dayBytes)))
	d.tell("%d days", len(days))
	for i := range days {
		d.day(&days[i], names)
		if i > 0 && days[i].Day <= days[i-1].Day {
			d.r.Fail("days do not rise")
		}
	}
	if d.line != nil && d.r.Err == nil {
		d.line(len(b)-4, 4, "CRC-32C of the above")
	}
	return days, d.r.End("daily counts")
}

func (d *decoder) flag() bool {
	b := d.r.Byte()
	if b > flagSet {
		d.r.Fail("unknown flag")
	}
	return b == flagSet
}

func (d *decoder) day(day *Day, names []string) {
	if day.Day = d.r.Varint(); day.Day < dayMin || day.Day > dayMax {
		d.r.Fail("day out of range")
	}
	day.Running, day.Counted = d.flag(), d.r.Varint()
	day.Basis = d.r.Uint64()
	for _, n := range []*uint64{&day.Deletion, &day.Series, &day.Pairs, &day.New, &day.Gone} {
		*n = d.r.Uvarint(1<<64 - 1)
	}
	if d.r.Err == nil {
		d.tell("%s, counted %s, running %t, basis %016x, deletion %d: %d series, %d pairs, %d new, %d gone", Date(day.Day),
			time.Unix(day.Counted, 0).UTC().Format(time.RFC3339), day.Running, day.Basis, day.Deletion, day.Series, day.Pairs, day.New, day.Gone)
	}
	for k := range day.Tables {
		t := &day.Tables[k]
		t.Cut = d.flag()
		t.Rows = make([]Row, d.r.Uvarint(min(MaxRows, uint64(len(d.r.B))/rowBytes)))
		d.tell("  %v: %d rows, more left out %t", Kind(k), len(t.Rows), t.Cut)
		for i := range t.Rows {
			at := d.r.Uvarint(uint64(len(names)))
			if at >= uint64(len(names)) {
				d.r.Fail("no such name")
				break
			}
			t.Rows[i] = Row{names[at], d.r.Uvarint(1<<64 - 1)}
			if i > 0 && t.Rows[i].Count > t.Rows[i-1].Count {
				d.r.Fail("counts rise")
			}
			d.tell("    %s %d", t.Rows[i].Name, t.Rows[i].Count)
		}
	}
}

// Describe writes a file as lines of offset, bytes and meaning.
func Describe(out io.Writer, fsys vfs.FS, name string) error {
	b, err := read(fsys, name, nil)
	if err != nil {
		return fmt.Errorf("describe %s: %w", name, err)
	}
	var errs []error
	_, err = decodeDays(b, func(off, n int, format string, args ...any) {
		_, err := fmt.Fprintf(out, "%8d %6d  %s\n", off, n, fmt.Sprintf(format, args...))
		errs = append(errs, err)
	})
	return errors.Join(append(errs, err)...)
}
