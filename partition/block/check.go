package block

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/RoaringBitmap/roaring/v2"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Check reads the complete block and reports, by offset in the file, everything
// that a Writer would not have written. It returns errors of reading only, not
// damage.
func (b *Block) Check(ctx context.Context, report func(off int64, what string)) error {
	c := checker{block: b, report: report}
	return c.run(ctx, c.ends, c.sections, c.chunks, c.exemplars, c.series, c.postings, c.metadata, c.generations)
}

// ValidateChecksums reads the complete block and reports, by offset in the file, every
// part that does not have its checksum. No column is decoded, so it takes a small part of
// the time of Check; it finds changed bytes, not faults of a writer. It returns errors of
// reading only, not damage.
func (b *Block) ValidateChecksums(ctx context.Context, report func(off int64, what string)) error {
	c := checker{block: b, report: report}
	return c.run(ctx, c.ends, c.sections, c.frames, c.exemplars)
}

// checker is the state of one Check or ValidateChecksums.
type checker struct {
	block   *Block
	report  func(off int64, what string)
	damaged bool
	extents []extent      // parts of the file that are in use
	pairs   uint64        // fingerprint of (name, value, ordinal) over the series table
	buckets model.Buckets // scratch
	scratch []frame
}

// run takes the steps one after another, and then reports the bytes that none of them
// covered.
func (c *checker) run(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := c.take(step(ctx)); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	c.coverage()
	return nil
}

// extent is a part of the file.
type extent struct{ off, end int64 }

func (c *checker) say(off int64, format string, args ...any) {
	c.damaged = true
	c.report(off, fmt.Sprintf(format, args...))
}

// take reports damage and returns other errors.
func (c *checker) take(err error) error {
	var d *format.DamageError
	if errors.As(err, &d) {
		c.say(d.Offset, "%s", d.What)
		return nil
	}
	return err
}

func (c *checker) cover(off int64, n int64) { c.extents = append(c.extents, extent{off, off + n}) }

// ends checks the header and both copies of the tail.
func (c *checker) ends(context.Context) error {
	b := c.block
	head, err := b.read(0, HeaderLen)
	if err != nil {
		return err
	}
	if err := checkHeader(head, b.foot.version); err != nil {
		c.say(0, "%v", err)
	}
	c.cover(0, HeaderLen)
	n := int64(b.info.FooterLen)
	if b.info.Size < HeaderLen+2*n {
		c.say(0, "no room for two tails of %d bytes", n)
		return nil
	}
	both, err := b.read(b.info.Size-2*n, int(2*n))
	if err != nil {
		return err
	}
	for i, tail := range [][]byte{both[:n], both[n:]} {
		if _, err := decodeTail(tail, b.info.Size); err != nil {
			c.say(b.info.Size-int64(2-i)*n, "copy %d of the tail: %v", i+1, err)
		}
	}
	if !c.damaged && !bytes.Equal(both[:n], both[n:]) {
		c.say(b.info.Size-2*n, "the copies of the tail differ")
	}
	c.cover(b.info.Size-2*n, 2*n)
	return nil
}

// sections checks the checksum of every section.
func (c *checker) sections(ctx context.Context) error {
	buf := make([]byte, min(scanBytes, c.block.info.Size))
	for _, s := range c.block.foot.sections {
		crc := uint32(0)
		for off := s.off; off < s.off+s.length; {
			if err := ctx.Err(); err != nil {
				return err
			}
			part := buf[:min(int64(len(buf)), s.off+s.length-off)]
			if err := c.block.readInto(off, part); err != nil {
				return err
			}
			crc = encoding.ChecksumSeeded(crc, part)
			off += int64(len(part))
		}
		if crc != s.crc {
			c.say(s.off, "checksum of section %v", s.id)
		}
		c.cover(s.off, s.length)
	}
	return nil
}

// eachDirectoryPage calls fn for every directory page, front to back. from is the
// lowest possible offset of the columns of the page. For a page that cannot be
// read fn gets the error; it returns nil to go on.
func (b *Block) eachDirectoryPage(fn func(p page, from int64, d *directoryPage, err error) error) error {
	ps, err := b.fencesOf(&b.directory, sectionDirectory)
	if err != nil {
		return err
	}
	from := int64(HeaderLen)
	for _, p := range ps {
		var d *directoryPage
		data, err := b.readPage(p)
		if err == nil {
			d, err = b.decodeDirectoryPage(p, data)
		}
		if err == nil {
			_, err = d.aggregates.all()
		}
		if err := fn(p, from, d, b.damage(p.off, err)); err != nil {
			return err
		}
		from = p.end()
	}
	return nil
}

// chunks decodes every chunk and checks it against directory and footer.
func (c *checker) chunks(ctx context.Context) error {
	b := c.block
	r := chunkReader{block: b, ahead: scanBytes}
	var samples, chunks uint64
	next := uint32(0) // lowest ordinal without a chunk so far
	complete := true
	var last Chunk
	var got model.ColumnSet
	err := b.eachDirectoryPage(func(p page, from int64, d *directoryPage, err error) error {
		if ctxErr := ctx.Err(); ctxErr != nil {
			return ctxErr
		}
		c.cover(p.off, int64(p.stored))
		if err != nil {
			complete = false
			return c.take(err)
		}
		for _, f := range c.framesOf(d, from) {
			c.cover(f.off, int64(f.stored))
		}
		for i := range d.rows {
			ch := newChunk(&r, d, p.off, i)
			if complete && ch.Ordinal > next {
				c.say(p.off, "series %d has no chunk", next)
			}
			next = ch.Ordinal + 1
			if err := c.chunk(&r, ch, last, &got); err != nil {
				return err
			}
			last = ch
			samples += ch.rows()
			chunks++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if f := b.foot; complete && (uint64(next) != f.series || samples != f.samples || chunks != f.chunks) {
		c.say(b.info.Size, "footer counts %d series, %d samples, %d chunks; the directory %d, %d, %d",
			f.series, f.samples, f.chunks, next, samples, chunks)
	}
	return nil
}

// framesOf returns the frames of a directory page, by rising offset, but for those of
// earlier pages, which end at from.
func (c *checker) framesOf(d *directoryPage, from int64) []frame {
	c.scratch = c.scratch[:0]
	for s := range d.frames {
		for _, f := range d.frames[s] {
			if f.off >= from {
				c.scratch = append(c.scratch, f)
			}
		}
	}
	slices.SortFunc(c.scratch, func(a, b frame) int { return cmp.Compare(a.off, b.off) })
	return c.scratch
}

// frames checks the checksum of every directory page and every frame.
func (c *checker) frames(ctx context.Context) error {
	r := chunkReader{block: c.block, ahead: scanBytes}
	return c.block.eachDirectoryPage(func(p page, from int64, d *directoryPage, err error) error {
		if ctxErr := ctx.Err(); ctxErr != nil {
			return ctxErr
		}
		c.cover(p.off, int64(p.stored))
		if err != nil {
			return c.take(err)
		}
		for _, f := range c.framesOf(d, from) {
			c.cover(f.off, int64(f.stored))
			if _, err := r.frame(0, f); err != nil { // all streams through one: they are read in file order
				if err := c.take(err); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// chunk checks one chunk; last is the one before it in the directory.
func (c *checker) chunk(r *chunkReader, ch, last Chunk, got *model.ColumnSet) error {
	b := c.block
	if ch.MinTime < b.foot.minTime || ch.MaxTime > b.foot.maxTime {
		c.say(ch.pageOff, "chunk of series %d from %d to %d is outside of the block's times", ch.Ordinal, ch.MinTime, ch.MaxTime)
	}
	if b.info.Tier != Raw {
		return c.rollupChunk(r, ch, last)
	}
	part := ch.from.block.info.Tier.PartitionRange(ch.MinTime)
	w := windowOf(part.Min, ch.Rung, ch.MinTime)
	// Older versions wrote chunks with invalid times, which may be anywhere.
	// They are hidden, and a merge drops them.
	kept := model.AllTime.Overlaps(model.Inclusive(ch.MinTime, ch.MaxTime))
	if kept && ch.MaxTime >= part.Max || b.foot.meta.Level != L0 && part.Min != b.foot.meta.Partition {
		c.say(ch.pageOff, "chunk of series %d from %d to %d is not in one partition", ch.Ordinal, ch.MinTime, ch.MaxTime)
	}
	if kept && ch.MaxTime >= w.Max {
		c.say(ch.pageOff, "chunk of series %d from %d to %d is not in one window", ch.Ordinal, ch.MinTime, ch.MaxTime)
	}
	if last.page != nil && last.Ordinal == ch.Ordinal && last.Kind == ch.Kind && last.MaxTime >= ch.MinTime {
		c.say(ch.pageOff, "chunks of series %d overlap at %d", ch.Ordinal, ch.MinTime)
	}
	if ch.Bad {
		return nil // known to be damaged, and nothing to read
	}
	got.Reset()
	if err := r.append(ch, model.Inclusive(ch.MinTime, ch.MaxTime), got); err != nil {
		return c.take(err)
	}
	if ch.page.rows[ch.row].flags&rowAggregate != 0 {
		said, _ := ch.Aggregate()
		if is, ok := AggregateOf(got.V); !ok || is != said {
			c.say(ch.pageOff, "chunk of series %d from %d: aggregate %v, its samples give %v", ch.Ordinal, ch.MinTime, said, is)
		}
	}
	return nil
}

// coverage checks that the parts fill the file without gap or overlap. After
// damage they need not, because a directory page may be missing.
func (c *checker) coverage() {
	if c.damaged {
		return
	}
	sort.Slice(c.extents, func(i, j int) bool { return c.extents[i].off < c.extents[j].off })
	end := int64(0)
	for _, e := range c.extents {
		if e.off != end {
			c.say(min(e.off, end), "%d bytes belong to nothing, or to two things", max(e.off-end, end-e.off))
		}
		end = e.end
	}
	if end != c.block.info.Size {
		c.say(end, "%d bytes at the end belong to nothing", c.block.info.Size-end)
	}
}

func (c *checker) exemplars(context.Context) error {
	ps, err := c.block.fencesOf(&c.block.exemplars, sectionExemplars)
	if err != nil {
		return err
	}
	for _, p := range ps {
		c.cover(p.off, int64(p.stored))
		data, err := c.block.readPage(p)
		if err == nil {
			var all []seriesExemplars
			all, err = decodeExemplarPage(data, p.first)
			if n := len(all); err == nil && (n == 0 || uint64(all[n-1].ord) >= c.block.foot.series) {
				err = format.Corrupt("exemplars of no series")
			}
		}
		if err := c.take(c.block.damage(p.off, err)); err != nil {
			return err
		}
	}
	return nil
}

// series checks order, tenants and labels of all series.
func (c *checker) series(ctx context.Context) error {
	b := c.block
	r := labelReader{block: b}
	var last SeriesEntry
	for ord := range uint32(b.foot.series) {
		if ord%seriesPageRows == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		e, err := r.entry(ord)
		if err != nil {
			return err // one damaged page of the index is reported once
		}
		if ord > 0 && Compare(last.Tenant, last.Labels, e.Tenant, e.Labels) >= 0 {
			c.say(b.table[sectionSeries].off, "series %d %v of tenant %d is not above the one before", ord, e.Labels, e.Tenant)
		}
		last = e
		row, err := r.row(ord)
		if err != nil {
			return err
		}
		names, err := b.nameList()
		if err != nil {
			return err
		}
		for i, k := range row.names {
			c.pairs += pairHash(k, row.values[i], ord) + pairHash(k, names[k].values, ord)
		}
	}
	return nil
}

// pairHash returns a hash of one entry of the series table or of the postings.
// The sums of the hashes of two sets are equal, whatever the order, if and (barring
// collisions) only if the sets are.
func pairHash(name, value, ord uint32) uint64 {
	h := uint64(name)<<32 ^ uint64(value)
	h = (h ^ h>>29) * 0xbf58476d1ce4e5b9
	h ^= uint64(ord) * 0x9e3779b97f4a7c15
	h = (h ^ h>>32) * 0x94d049bb133111eb
	return h ^ h>>31
}

// postings checks that the postings agree with the series table.
func (c *checker) postings(ctx context.Context) error {
	b := c.block
	names, err := b.nameList()
	if err != nil {
		return err
	}
	pairs := uint64(0)
	bm := roaring.New()
	for k := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := b.nameFences(k)
		if err != nil {
			return err
		}
		for v := range f.values + 1 {
			bm.Clear()
			if err := b.addPostings(bm, f, v); err != nil {
				return err
			}
			bm.Iterate(func(ord uint32) bool {
				pairs += pairHash(uint32(k), v, ord)
				return true
			})
		}
	}
	if !c.damaged && pairs != c.pairs {
		c.say(b.table[sectionPostings].off, "postings and series table differ")
	}
	return nil
}

func (c *checker) metadata(context.Context) error {
	_, err := c.block.Metadata()
	return err
}

func (c *checker) generations(context.Context) error {
	if c.block.table[sectionGenerations].id == 0 {
		return nil
	}
	_, err := c.block.generationList()
	return err
}
