package block

import "fmt"

// CopyChunk adds a chunk of another block to the current series without decoding
// it. Its samples must come after those the series already has of its kind. A
// *DamageError means that the chunk cannot be read: nothing was added, the Writer
// can still be used, and the chunk can be passed to Bad.
func (w *Writer) CopyChunk(c Chunk) error {
	if err := w.beginChunk(c); err != nil {
		return err
	}
	if c.Bad {
		return c.from.errBad(c)
	}
	times, values, starts, err := c.from.raw(c)
	if err != nil {
		return err
	}
	if !w.list() {
		return w.err
	}
	src := &c.page.rows[c.row]
	t := c.page.times[src.time]
	r := row{ord: w.series.ord, flags: src.flags &^ rowAggregate}
	if src.flags&rowAggregate != 0 {
		if a, ok := c.page.aggregates.at(src.aggregate); ok {
			w.columns.addAggregate(&r, a)
		}
	}
	r.time = w.columns.addEncodedTimes(times, t)
	r.value = w.columns.addValues(values, int(c.Count))
	if starts != nil {
		r.starts = w.columns.add(streamValues, starts, int(c.Count))
	}
	w.endChunk(r, c)
	return w.err
}

// Bad adds a chunk that cannot be read to the current series: the directory lists
// it with the number and times of its samples, and reading it returns a
// *DamageError.
func (w *Writer) Bad(c Chunk) error {
	if err := w.beginChunk(c); err != nil {
		return err
	}
	if !w.list() {
		return w.err
	}
	src := &c.page.rows[c.row]
	r := row{ord: w.series.ord, flags: src.flags&^(rowStarts|rowAggregate) | rowBad}
	r.time = w.columns.addLostTimes(c.page.times[src.time])
	w.endChunk(r, c)
	return w.err
}

// beginChunk writes the buffered samples and returns an error if chunk c may not
// come next.
func (w *Writer) beginChunk(c Chunk) error {
	if w.err != nil {
		return w.err
	}
	if !w.series.set {
		return fmt.Errorf("write block %s: chunk of no series", w.name)
	}
	if !c.Kind.valid() {
		return fmt.Errorf("write block %s: %w", w.name, errKind(c.Kind))
	}
	if w.meta.Tier != Raw || !c.Kind.fits(Raw) {
		return fmt.Errorf("write block %s: copy of a chunk of %v in the %v tier", w.name, c.Kind, w.meta.Tier)
	}
	if err := w.checkSpan(c.MinTime, c.MaxTime); err != nil {
		return err
	}
	w.flush(true)
	if s := &w.series; s.kindTaken[c.Kind] && c.MinTime <= s.kindLast[c.Kind] {
		return fmt.Errorf("write block %s: series %v: chunk from %d after %d", w.name, w.labels(), c.MinTime, s.kindLast[c.Kind])
	}
	return w.err
}

func (w *Writer) endChunk(r row, c Chunk) {
	w.row(r, c.MinTime, c.MaxTime, int(c.Count))
	s := &w.series
	if !s.taken || c.MaxTime > s.last {
		s.last, s.taken = c.MaxTime, true
	}
}
