package block

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"tsdb/encoding"
)

// Stats breaks down the bytes of a block. Columns, Sections and Other together
// make up the file.
type Stats struct {
	Columns  []ColumnStats  // by how they are stored, most bytes first
	Sections []SectionStats // index sections in the order of the file, then the pages between the columns
	Other    int64          // bytes of header and tail
}

// ColumnClass describes how a column is stored, in the terms of encoding.Info.
// Properties that a column does not have are "".
type ColumnClass struct {
	Kind      encoding.Kind
	Transform string // of floats; of others their form
	Order     string
	Coder     string
	Place     string // inline (bytes count for the directory), group or frame
}

func (c ColumnClass) compare(o ColumnClass) int {
	return cmp.Or(cmp.Compare(c.Kind, o.Kind), cmp.Compare(c.Transform, o.Transform), cmp.Compare(c.Order, o.Order),
		cmp.Compare(c.Coder, o.Coder), cmp.Compare(c.Place, o.Place))
}

// classOf returns the class of a column stored in the given place.
func classOf(i encoding.Info, place string) ColumnClass {
	c := ColumnClass{Kind: i.Kind, Transform: i.Form, Place: place}
	if i.Kind == encoding.KindFloats {
		c.Transform = i.Transform.String()
	}
	integers := i.Kind == encoding.KindTimestamps || i.Kind == encoding.KindStartTimestamps ||
		i.Kind == encoding.KindFloats && i.Transform != encoding.TransformConst
	if integers && i.Bytes > 0 {
		c.Order, c.Coder = i.Order.String(), i.Coder.String()
	}
	return c
}

// ColumnStats sums up the columns of a class.
type ColumnStats struct {
	ColumnClass
	Columns int64
	Samples int64 // values in them; a shared column counts for every chunk that has it
	Bytes   int64 // in the file; a shared column counts once
}

// SectionStats is one section of the index.
type SectionStats struct {
	Name  string
	Bytes int64
}

// Stats reads the headers of all columns and sums them up.
func (b *Block) Stats(ctx context.Context) (Stats, error) {
	s := statistics{reader: chunkReader{block: b, ahead: scanBytes}, columns: map[ColumnClass]*ColumnStats{}}
	directory := int64(0)
	err := b.eachDirectoryPage(func(p page, from int64, d *directoryPage, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		directory += int64(p.stored)
		return s.page(d, p.off, from)
	})
	if err != nil {
		return Stats{}, err
	}
	exemplars, err := b.fencesOf(&b.exemplars, sectionExemplars)
	if err != nil {
		return Stats{}, err
	}
	r := Stats{Other: HeaderLen + 2*int64(b.info.FooterLen)}
	for _, c := range s.columns {
		r.Columns = append(r.Columns, *c)
	}
	slices.SortFunc(r.Columns, compareStats)
	for _, t := range b.foot.sections {
		r.Sections = append(r.Sections, SectionStats{t.id.String(), t.length})
	}
	r.Sections = append(r.Sections, SectionStats{"directory", directory})
	if len(exemplars) > 0 {
		n := int64(0)
		for _, p := range exemplars {
			n += int64(p.stored)
		}
		r.Sections = append(r.Sections, SectionStats{"exemplars", n})
	}
	return r, nil
}

// compareStats orders by bytes, descending, then by class.
func compareStats(a, b ColumnStats) int {
	return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), a.compare(b.ColumnClass))
}

// statistics sums up columns, page by page.
type statistics struct {
	reader  chunkReader
	columns map[ColumnClass]*ColumnStats
}

// columnUse is a column of a page with the number of chunks that use it.
type columnUse struct {
	ref  columnRef
	kind encoding.Kind
	n    uint32 // values
	uses int64
}

// usesOf returns the columns of a page in the order of streams and offsets.
func usesOf(d *directoryPage) [streams][]columnUse {
	var of [streams]map[columnRef]*columnUse
	for s := range of {
		of[s] = map[columnRef]*columnUse{}
	}
	use := func(s stream, ref columnRef, k encoding.Kind, n uint32) {
		u := of[s][ref]
		if u == nil {
			u = &columnUse{ref: ref, kind: k, n: n}
			of[s][ref] = u
		}
		u.uses++
	}
	for _, w := range d.rows {
		if !w.flags.hasColumns() {
			continue
		}
		t := d.times[w.time]
		times, values := w.flags.kind().columnKinds()
		use(streamTimes, t.columnRef, times, t.count)
		use(streamValues, w.value, values, t.count)
		if w.flags&rowStarts != 0 {
			use(streamValues, w.starts, encoding.KindStartTimestamps, t.count)
		}
	}
	var uses [streams][]columnUse
	for s := range of {
		for _, u := range of[s] {
			uses[s] = append(uses[s], *u)
		}
		slices.SortFunc(uses[s], func(a, b columnUse) int {
			return cmp.Or(cmp.Compare(a.ref.frame, b.ref.frame), cmp.Compare(a.ref.start, b.ref.start))
		})
	}
	return uses
}

// page adds the columns of one directory page; those in frames before from
// belong to an earlier page, so that only their samples count.
func (s *statistics) page(d *directoryPage, pageOff, from int64) error {
	for st, uses := range usesOf(d) {
		given := map[uint32]int64{} // content bytes of a group counted so far
		for _, u := range uses {
			col, err := s.reader.column(d, stream(st), u.ref)
			if err != nil {
				return err
			}
			info, err := encoding.ColumnInfo(u.kind, col, int(u.n))
			if err != nil {
				return s.reader.block.damage(d.offsetOf(stream(st), u.ref, pageOff), err)
			}
			place, bytes := placeOf(d, stream(st), u.ref, from, given)
			class := classOf(info, place)
			c := s.columns[class]
			if c == nil {
				c = &ColumnStats{ColumnClass: class}
				s.columns[class] = c
			}
			c.Samples += int64(u.n) * u.uses
			c.Bytes += bytes
			if bytes > 0 || place == placeInline {
				c.Columns++
			}
		}
	}
	return nil
}

// The places of columns.
const (
	placeInline = "inline"
	placeGroup  = "group"
	placeFrame  = "frame"
)

// placeOf returns the place of a column and the bytes of the file it takes. A
// column in a group takes a share of it; the shares add up to the group.
func placeOf(d *directoryPage, s stream, ref columnRef, from int64, given map[uint32]int64) (string, int64) {
	if ref.frame == inlineFrame {
		return placeInline, 0
	}
	f := d.frames[s][ref.frame]
	place := placeFrame
	if f.raw > 0 || ref.length < f.stored {
		place = placeGroup
	}
	if f.off < from {
		return place, 0
	}
	before := given[ref.frame]
	after := before + int64(ref.length)
	given[ref.frame] = after
	size, stored := int64(f.size()), int64(f.stored)
	return place, after*stored/size - before*stored/size
}

// Add adds the statistics of another block.
func (s *Stats) Add(o Stats) {
	columns := map[ColumnClass]ColumnStats{}
	for _, c := range slices.Concat(s.Columns, o.Columns) {
		sum := columns[c.ColumnClass]
		c.Columns, c.Samples, c.Bytes = c.Columns+sum.Columns, c.Samples+sum.Samples, c.Bytes+sum.Bytes
		columns[c.ColumnClass] = c
	}
	s.Columns = slices.SortedFunc(maps.Values(columns), compareStats)
	for _, sec := range o.Sections {
		if i := slices.IndexFunc(s.Sections, func(t SectionStats) bool { return t.Name == sec.Name }); i >= 0 {
			s.Sections[i].Bytes += sec.Bytes
		} else {
			s.Sections = append(s.Sections, sec)
		}
	}
	s.Other += o.Other
}

// Bytes returns the bytes of all files summed up.
func (s *Stats) Bytes() int64 {
	n := s.Other
	for _, c := range s.Columns {
		n += c.Bytes
	}
	for _, sec := range s.Sections {
		n += sec.Bytes
	}
	return n
}

func (c ColumnStats) String() string {
	return fmt.Sprintf("%v: %s %s %s, %s: %d columns, %d samples, %d bytes", c.Kind, c.Transform, c.Order, c.Coder, c.Place, c.Columns, c.Samples, c.Bytes)
}
