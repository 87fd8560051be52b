package block

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/encoding"
	"tsdb/partition/format"
)

// A block that is made of others often has exactly the series of one of them: an L2 those
// of an L0, a tier those of the L2. Its index is then that of the other block but for
// offsets, and is copied. Building it again is most of the work for series of few samples.

// indexSections are the sections of an index, in the order in which they are written.
var indexSections = [...]sectionID{sectionDictionaries, sectionPostings, sectionSeries, sectionSeriesFences,
	sectionIdentities, sectionNameFences, sectionNames, sectionTenants}

// IntactIndex reports whether all sections of the index have the checksums of the tail
// and the form that a Writer writes today, so that the block can be WriterOptions.Index.
// It reads them all; only errors of reading are returned.
func (b *Block) IntactIndex(ctx context.Context) (bool, error) {
	if b.foot.version != blockVersion {
		return false, nil
	}
	buf := make([]byte, min(scanBytes, b.info.Size))
	for _, id := range indexSections {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		err := b.eachPart(b.table[id], buf, func([]byte) {})
		if errors.Is(err, format.ErrCorrupt) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}

// eachPart calls fn with the bytes of a section, part by part in buf. It returns a
// *DamageError if they do not have the checksum of the section.
func (b *Block) eachPart(s section, buf []byte, fn func(part []byte)) error {
	crc := uint32(0)
	for off, end := s.off, s.off+s.length; off < end; {
		part := buf[:min(int64(len(buf)), end-off)]
		if err := b.readInto(off, part); err != nil {
			return err
		}
		crc = encoding.ChecksumSeeded(crc, part)
		fn(part)
		off += int64(len(part))
	}
	if crc != s.crc {
		return b.damage(s.off, format.Corrupt("checksum of %v", s.id))
	}
	return nil
}

// indexSource is the block whose series are those that an indexWriter was given so far,
// in its order. Nothing of them is collected.
type indexSource struct {
	block  *Block
	labels labelReader
}

// copies reports whether the index is, up to now, that of b.
func (x *indexWriter) copies(b *Block) bool { return x.source != nil && x.source.block == b }

// addFrom appends series ord of the source.
func (x *indexWriter) addFrom(ord uint32) error {
	if uint64(ord) == x.series {
		x.series++
		return nil
	}
	e, err := x.source.labels.entry(ord)
	if err != nil {
		return err
	}
	return x.add(e.Tenant, e.ID, e.Labels)
}

// collect leaves the source: it adds the series that were its.
func (x *indexWriter) collect() error {
	source, n := x.source, uint32(x.series)
	x.source, x.series = nil, 0
	for ord := range n {
		e, err := source.labels.entry(ord)
		if err != nil {
			return err
		}
		if err := x.add(e.Tenant, e.ID, e.Labels); err != nil {
			return err
		}
	}
	return nil
}

// finishSource copies the index of the source if all its series were added, and otherwise
// collects them. It reports whether the index is written.
func (x *indexWriter) finishSource() (bool, error) {
	switch {
	case x.source == nil:
		return false, nil
	case x.series < x.source.block.foot.series:
		return false, x.collect()
	}
	b := x.source.block
	if err := x.copy(b); err != nil {
		// No damage to be reported: another attempt finds that the index is not intact.
		return true, fmt.Errorf("copy the index of %s: %v", b.info.Name, err)
	}
	return true, nil
}

// firstAndLast returns the first and the last series, of which there must be one.
func (x *indexWriter) firstAndLast() (first, last SeriesEntry, err error) {
	if x.source == nil {
		last = x.lastSeries
		last.Labels = x.labelsOf(x.last)
		return x.first, last, nil
	}
	if first, err = x.source.labels.entry(0); err == nil {
		last, err = x.source.labels.entry(uint32(x.series - 1))
	}
	return first, last, err
}

// copy writes the sections of the index of b. Offsets in fences are those of the pages in
// the new block.
func (x *indexWriter) copy(b *Block) error {
	buf := make([]byte, min(scanBytes, b.info.Size))
	section := func(id sectionID) (moved int64, err error) {
		s := b.table[id]
		off := x.out.section()
		err = b.eachPart(s, buf, x.out.write)
		x.endSection(id, s.encoding, off)
		return off - s.off, err
	}
	dictionaries, err := section(sectionDictionaries)
	if err != nil {
		return err
	}
	postings, err := section(sectionPostings)
	if err != nil {
		return err
	}
	series, err := section(sectionSeries)
	if err != nil {
		return err
	}
	fences, err := b.fencesOf(&b.series, sectionSeriesFences)
	if err != nil {
		return err
	}
	x.writeBlob(sectionSeriesFences, appendFences(nil, movedPages(fences, series)))
	if _, err := section(sectionIdentities); err != nil {
		return err
	}
	if err := x.copyNames(b, dictionaries, postings); err != nil {
		return err
	}
	tenants, err := b.tenantList()
	if err != nil {
		return err
	}
	x.writeBlob(sectionTenants, appendTenants(nil, tenants))
	return nil
}

// copyNames writes the names of b and their fences.
func (x *indexWriter) copyNames(b *Block, dictionaries, postings int64) error {
	names, err := b.nameList()
	if err != nil {
		return err
	}
	all := make([]nameFences, len(names))
	for k := range names {
		f, err := b.nameFences(k)
		if err != nil {
			return err
		}
		all[k] = nameFences{dictionary: movedPages(f.dictionary, dictionaries), firsts: f.firsts, postings: movedPages(f.postings, postings)}
	}
	x.writeNames(slices.Clone(names), all)
	return nil
}

// movedPages returns fences of the same pages, moved by some bytes.
func movedPages(ps []page, by int64) []page {
	moved := make([]page, len(ps))
	for i, p := range ps {
		p.off += by
		moved[i] = p
	}
	return moved
}

// SeriesAt begins series ord of WriterOptions.Index, like Series, and reports true. It
// reports false, and begins none, if there is no such block or an earlier series was not
// that of it.
func (w *Writer) SeriesAt(ord uint32) bool {
	w.endSeries()
	if w.index.source == nil {
		return false
	}
	w.begin(currentSeries{copied: true, from: ord})
	return true
}

// SeriesOf begins the current series of an iterator, like Series. Its labels are read
// only if the block has, up to now, other series than WriterOptions.Index.
func (w *Writer) SeriesOf(it *Iterator) error {
	w.endSeries() // it may end the copying
	if w.index.copies(it.block) {
		w.SeriesAt(it.ord)
		return w.err
	}
	e, err := it.Series()
	if err != nil {
		return err
	}
	return w.Series(e.Tenant, e.ID, e.Labels)
}

// labels returns the labels of the current series, for messages.
func (w *Writer) labels() labels.Labels {
	s := &w.series
	switch {
	case s.numbered:
		return w.index.labelsOf(w.numbers)
	case !s.copied || w.index.source == nil:
		return s.labels
	}
	e, _ := w.index.source.labels.entry(s.from) // without them the message says less
	return e.Labels
}
