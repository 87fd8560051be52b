package block

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"time"

	"tsdb/encoding"
	"tsdb/partition/format"
)

// describeBytes is the number of bytes of each part that Describe shows.
const describeBytes = 16

// Describe prints the file part by part: offset, length, first bytes, meaning. The
// content of a compressed part is printed below it, without an offset. For a
// damaged part it prints the error.
func (b *Block) Describe(ctx context.Context, out io.Writer) error {
	d := describer{block: b, w: bufio.NewWriter(out), reader: chunkReader{block: b, ahead: scanBytes}}
	for _, step := range []func(context.Context) error{d.header, d.columns, d.sections, d.tails} {
		if err := d.damaged(step(ctx)); err != nil {
			return err
		}
	}
	return d.w.Flush()
}

type describer struct {
	block  *Block
	w      *bufio.Writer
	reader chunkReader
}

// part prints one part of the file.
func (d *describer) part(off, length int64, format string, args ...any) error {
	data, err := d.block.read(off, int(min(length, describeBytes)))
	if err != nil {
		return err
	}
	text := hex.EncodeToString(data)
	if length > describeBytes {
		text += "…"
	}
	fmt.Fprintf(d.w, "%08x %8d  %-*s  %s\n", off, length, 2*describeBytes+1, text, fmt.Sprintf(format, args...))
	return nil
}

// below prints a line about the content of the last part.
func (d *describer) below(format string, args ...any) {
	fmt.Fprintf(d.w, "%*s%s\n", 8+1+8+2+2*describeBytes+1+2+2, "", fmt.Sprintf(format, args...))
}

// damaged prints a DamageError and returns other errors.
func (d *describer) damaged(err error) error {
	var damage *format.DamageError
	if errors.As(err, &damage) {
		fmt.Fprintf(d.w, "%08x %8s  damaged: %s\n", damage.Offset, "?", damage.What)
		return nil
	}
	return err
}

func (d *describer) header(context.Context) error {
	return d.part(0, HeaderLen, "header: magic %q, version %d, checksum", blockMagic, d.block.foot.version)
}

// columns prints the columns, the directory and the exemplar pages between them.
func (d *describer) columns(ctx context.Context) error {
	exemplars, err := d.block.fencesOf(&d.block.exemplars, sectionExemplars)
	if err != nil {
		return err
	}
	err = d.block.eachDirectoryPage(func(p page, from int64, dir *directoryPage, err error) error {
		if err != nil {
			return d.damaged(err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		type frameAt struct {
			s stream
			n uint32
		}
		var frames []frameAt
		for s := range dir.frames {
			for n := range dir.frames[s] {
				if dir.frames[s][n].off >= from {
					frames = append(frames, frameAt{stream(s), uint32(n)})
				}
			}
		}
		at := func(f frameAt) int64 { return dir.frames[f.s][f.n].off }
		sort.Slice(frames, func(i, j int) bool { return at(frames[i]) < at(frames[j]) })
		uses := usesOf(dir)
		for _, f := range frames {
			for len(exemplars) > 0 && exemplars[0].off < at(f) {
				if err := d.exemplarPage(exemplars[0]); err != nil {
					return err
				}
				exemplars = exemplars[1:]
			}
			if err := d.frame(dir, f.s, f.n, uses[f.s]); err != nil {
				return err
			}
		}
		for len(exemplars) > 0 && exemplars[0].off < p.off {
			if err := d.exemplarPage(exemplars[0]); err != nil {
				return err
			}
			exemplars = exemplars[1:]
		}
		return d.directoryPage(p, dir, uses)
	})
	for _, m := range exemplars {
		if err == nil {
			err = d.exemplarPage(m)
		}
	}
	return err
}

// frame prints one frame and the columns in it.
func (d *describer) frame(dir *directoryPage, s stream, n uint32, uses []columnUse) error {
	f := dir.frames[s][n]
	var columns [][]string
	for _, u := range uses {
		if u.ref.frame == n {
			lines, err := d.column(dir, s, u)
			if err != nil {
				return err
			}
			columns = append(columns, lines)
		}
	}
	var err error
	if f.raw == 0 && len(columns) == 1 {
		err = d.part(f.off, int64(f.stored), "%s", columns[0][0])
		columns[0] = columns[0][1:]
	} else {
		err = d.part(f.off, int64(f.stored), "group of %v: %d columns, %d bytes", s, len(columns), f.size())
	}
	for _, lines := range columns {
		for _, line := range lines {
			d.below("%s", line)
		}
	}
	return err
}

// column describes a column in a line, and its inner columns in one each.
func (d *describer) column(dir *directoryPage, s stream, u columnUse) (lines []string, err error) {
	col, err := d.reader.column(dir, s, u.ref)
	var info encoding.Info
	var inner []encoding.BucketField
	if err == nil {
		info, err = encoding.ColumnInfo(u.kind, col, int(u.n))
		if err == nil && (u.kind == encoding.KindBucketTimes || u.kind == encoding.KindBucketValues) {
			inner, err = encoding.BucketFields(u.kind, col, int(u.n))
		}
		err = d.block.damage(0, err)
	}
	if errors.Is(err, format.ErrCorrupt) {
		return []string{fmt.Sprintf("damaged column of %v: %v", u.kind, err)}, nil
	}
	if err != nil {
		return nil, err
	}
	lines = append(lines, fmt.Sprintf("column of %v: %d values, %v, %d bytes, chunks %d", u.kind, u.n, info, len(col), u.uses))
	for _, f := range inner {
		lines = append(lines, fmt.Sprintf("  %v", f))
	}
	return lines, nil
}

func (d *describer) directoryPage(p page, dir *directoryPage, uses [streams][]columnUse) error {
	if err := d.part(p.off, int64(p.stored), "directory page: %d chunks, %d time columns, %d aggregates",
		len(dir.rows), len(dir.times), dir.aggregates.n); err != nil {
		return err
	}
	for s := range uses {
		for _, u := range uses[s] {
			if u.ref.frame == inlineFrame {
				lines, err := d.column(dir, stream(s), u)
				if err != nil {
					return err
				}
				lines[0] = "inline " + lines[0]
				for _, line := range lines {
					d.below("%s", line)
				}
			}
		}
	}
	for i := range dir.rows {
		c := newChunk(&d.reader, dir, p.off, i)
		bad := ""
		if c.Bad {
			bad = ", bad"
		}
		noted := ""
		if a, ok := c.Aggregate(); ok && dir.rows[i].flags&rowAggregate != 0 {
			noted = fmt.Sprintf(", min %v, max %v, sum %v%+g", a.Min, a.Max, a.Sum, a.Comp)
		}
		rung := ""
		if c.Kind.fits(Raw) {
			rung = fmt.Sprintf(", rung %d", c.Rung)
		}
		d.below("chunk: series %d, %d %v, %s to %s%s%s%s", c.Ordinal, c.Count, c.Kind, showTime(c.MinTime), showTime(c.MaxTime), rung, bad, noted)
	}
	return nil
}

func showTime(t int64) string { return time.UnixMilli(t).UTC().Format("2006-01-02T15:04:05.000Z") }

func (d *describer) exemplarPage(p page) error {
	data, err := d.block.readPage(p)
	if err != nil {
		return d.damaged(err)
	}
	all, err := decodeExemplarPage(data, p.first)
	if err != nil {
		return d.damaged(d.block.damage(p.off, err))
	}
	if err := d.part(p.off, int64(p.stored), "exemplar page: %d series, %d bytes", len(all), p.size()); err != nil {
		return err
	}
	for _, s := range all {
		for _, e := range s.es {
			d.below("exemplar: series %d, %s, %v, %v", s.ord, showTime(e.T), e.V, e.Labels)
		}
	}
	return nil
}

// tails prints both copies of the tail.
func (d *describer) tails(context.Context) error {
	b := d.block
	n := int64(b.info.FooterLen)
	for off := b.info.Size - 2*n; off < b.info.Size; off += n {
		tail, err := b.read(off, int(n))
		if err != nil {
			return err
		}
		f, err := decodeTail(tail, b.info.Size)
		if err != nil {
			if err := d.damaged(b.damage(off, err)); err != nil {
				return err
			}
			continue
		}
		table := int64(tableLen(tail))
		if err := d.part(off, table, "section table"); err != nil {
			return err
		}
		for _, s := range f.sections {
			d.below("%v: %v, %d bytes at %d", s.id, s.encoding, s.length, s.off)
		}
		if err := d.part(off+table, n-table-trailerLen, "footer: %v, generations %d to %d, ordinal %d, made of %q",
			f.meta.Level, f.meta.MinGen, f.meta.MaxGen, f.meta.Ordinal, f.meta.Inputs); err != nil {
			return err
		}
		if f.meta.Partition != NoPartition {
			d.below("partition %s", showTime(f.meta.Partition))
		}
		rows := "samples"
		if f.meta.Tier != Raw {
			rows = "rows"
			d.below("rollup to %v of %d days, tombstones up to %d, of %q", f.meta.Tier, f.meta.Days, f.meta.Tombstone, f.meta.Sources)
		}
		d.below("%d series, %d %s in %d chunks, %s to %s", f.series, f.samples, rows, f.chunks, showTime(f.minTime), showTime(f.maxTime))
		d.repeated(f.repeated)
		if err := d.part(off+n-trailerLen, trailerLen, "trailer: lengths, version, checksum, magic %q", trailerMagic); err != nil {
			return err
		}
	}
	return nil
}

// repeated prints the state that a footer repeats.
func (d *describer) repeated(r Repeated) {
	if r.Seed != 0 {
		d.below("identity seed %016x", r.Seed)
	}
	for _, t := range slices.Sorted(maps.Keys(r.Floors)) {
		d.below("retention floor of %v: %s", t, showTime(r.Floors[t]))
	}
	for _, t := range r.Tombstones {
		d.below("tombstone %x", t)
	}
	if r.LeftOut {
		d.below("more tombstones, left out")
	}
	if r.Edit != 0 {
		d.below("state of edit %d", r.Edit)
	}
	for _, l := range r.RuleLists {
		d.below("retention rules %x", l)
	}
	if r.RulesLeftOut {
		d.below("more retention rules, left out")
	}
}
