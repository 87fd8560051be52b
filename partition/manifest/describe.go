package manifest

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// Describe writes the content of the MANIFEST at path as lines of offset, bytes
// and meaning. It writes the records it can decode and returns the first error.
func Describe(w io.Writer, fsys vfs.FS, path string) error {
	b, err := readFile(fsys, path, MaxManifestBytes)
	if err != nil {
		return err
	}
	d := manifestDescriber{w: w}
	if err := checkManifestHeader(b); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	d.line(0, 8, "magic %q", b[:8])
	d.line(8, 4, "version %d", binary.LittleEndian.Uint32(b[8:]))
	d.line(12, 4, "CRC-32C of the above")
	records, torn, err := parseManifest(b)
	for i := range records {
		if derr := d.record(&records[i]); derr != nil && err == nil {
			err = derr
		}
	}
	if err == nil && torn.Bytes > 0 {
		d.line(torn.Offset, torn.Bytes, "torn edit")
	}
	if err == nil {
		err = d.err
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

type manifestDescriber struct {
	w   io.Writer
	err error
}

func (d *manifestDescriber) line(off, n int64, format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, "%8d %6d  %s\n", off, n, fmt.Sprintf(format, args...))
	}
}

// record writes one line for the header of a record and one for each field.
func (d *manifestDescriber) record(f *framed) error {
	d.line(f.off, recordHeaderLen, "%s %d, %d bytes, CRC-32C", f.kind, f.number, len(f.payload))
	at := f.off + recordHeaderLen
	return eachField(f.payload, func(off int, tag uint64, body []byte) error {
		var r record
		if err := r.decodeField(tag, body); err != nil {
			return err
		}
		head := format.UvarintLen(uint32(tag)) + format.UvarintLen(uint32(len(body)))
		d.line(at+int64(off), int64(head+len(body)), "  %s %s", tagNames[tag], r.describe(tag))
		return nil
	})
}

// describe returns the value of the only field of r, whose tag is tag, as text.
func (r *record) describe(tag uint64) string {
	switch tag {
	case tagWallMs:
		return FormatMs(r.WallMs)
	case tagSeed:
		return fmt.Sprintf("%016x", r.seed)
	case tagFormat:
		return fmt.Sprintf("%d shards, partitions of %v", r.format.Shards, time.Duration(r.format.PartitionMs)*time.Millisecond)
	case tagAddBlock, tagAddRollup:
		return r.describeBlock()
	case tagCover:
		return r.Cover[0].describe()
	case tagUncover:
		return r.Uncover[0].String()
	case tagTierFloor:
		for tier, floor := range r.TierFloors {
			return CoverKey{tier, floor}.String()
		}
	case tagRuleList:
		return r.RuleLists[0].describe()
	case tagDropRules:
		return fmt.Sprint(r.DropRules[0])
	case tagDropBlock:
		return r.Drop[0]
	case tagDropped:
		return r.dropped[0]
	case tagAddTombstone:
		t := &r.AddTombstones[0]
		return fmt.Sprintf("%d: tenant %d %v from %s to %s before generation %d", t.ID, t.Tenant, t.Matchers,
			FormatMs(t.Range.Min), FormatMs(t.Range.Max), t.Gen)
	case tagDropTombstone:
		return fmt.Sprint(r.DropTombstones[0])
	case tagWALLow:
		return fmt.Sprint(*r.WALLow)
	case tagHighGen:
		return fmt.Sprint(r.HighGen)
	case tagHighLSN:
		return fmt.Sprint(r.HighLSN)
	case tagHighSegment:
		return fmt.Sprint(r.HighSegment)
	case tagFloor:
		return FormatMs(*r.Floor)
	case tagOffset:
		for name, v := range r.Offsets {
			return fmt.Sprintf("%q %d", name, v)
		}
	case tagIncarnation:
		n := r.Incarnation
		return fmt.Sprintf("%016x, losses accepted: %d, the last at %s, of samples received from %s to %s",
			n.ID, n.Losses, FormatMs(n.AcceptedMs), FormatMs(n.FromMs), FormatMs(n.ToMs))
	}
	return ""
}

func (r *record) describeBlock() string {
	b := r.Add[0]
	s := fmt.Sprintf("%s: %v, generations %d to %d, %d bytes, tail %d bytes %08x, %d series, %d samples from %s to %s",
		b.Name, b.Level, b.MinGen, b.MaxGen, b.Size, b.FooterLen, b.CRC, b.Series, b.Samples, FormatMs(b.MinTime), FormatMs(b.MaxTime))
	if b.Tier != block.Raw {
		s += fmt.Sprintf(", %d days, tombstones up to %d, from %q", b.Days, b.Tombstone, b.Sources)
	}
	if len(b.Inputs) > 0 {
		s += fmt.Sprintf(", from %q", b.Inputs)
	}
	if k := r.Keys[b.Name]; !k.IsZero() {
		s += fmt.Sprintf(", keys %q to %q", k.First, k.Last)
	}
	if a, ok := r.ages[b.Name]; ok {
		s += fmt.Sprintf(", added from %s to %s", FormatMs(a.oldest), FormatMs(a.newest))
	}
	return s
}

// FormatMs formats a time in RFC 3339 style, or as a number if its year is
// outside 1 to 9999.
func FormatMs(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return fmt.Sprint(ms)
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}
