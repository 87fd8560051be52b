package block

import (
	"context"
	"errors"
	"slices"
	"sort"

	"github.com/RoaringBitmap/roaring/v2"

	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Present finds the series of ords, which must be ascending, that may have samples
// in tr: the directory lists a chunk that overlaps tr and is not deleted as a
// whole. It reads no columns. If all of the block is in tr, every series has a
// chunk there, and only the directory pages of series with deletions are read;
// otherwise the pages of ords are read. kept[i] is for ords[i]; if all is true,
// every series is kept and kept may be nil.
//
// The series that may have a chunk in a damaged page are kept, and lost holds the
// error. yield is as for Select.
func (b *Block) Present(ctx context.Context, ords []uint32, tr model.TimeRange, d *Deletions, yield func() error) (kept []bool, all bool, lost []error, err error) {
	whole := b.info.TimeRange()
	inside := tr.Min <= whole.Min && whole.Max <= tr.Max
	if inside && d == nil {
		return nil, true, nil, nil
	}
	p := presence{block: b, ords: ords, tr: tr, deletions: d, kept: make([]bool, len(ords))}
	if inside {
		p.ords = make([]uint32, 0, len(ords))
		for i, ord := range ords {
			if p.ranges = d.Ranges(ord, p.ranges[:0]); len(p.ranges) == 0 {
				p.kept[i] = true
				continue
			}
			p.ords, p.keptIndex = append(p.ords, ord), append(p.keptIndex, i)
		}
	}
	if err := p.walk(ctx, yield); err != nil {
		return nil, false, nil, err
	}
	return p.kept, !slices.Contains(p.kept, false), p.lost, nil
}

// PresentIn is Present for a bitmap, from which it removes the series that are not
// kept.
func (b *Block) PresentIn(ctx context.Context, bm *roaring.Bitmap, tr model.TimeRange, d *Deletions) (lost []error, err error) {
	ords := bm.ToArray()
	kept, all, lost, err := b.Present(ctx, ords, tr, d, nil)
	if err != nil || all {
		return lost, err
	}
	n := 0
	for i, ord := range ords {
		if kept[i] {
			ords[n] = ord
			n++
		}
	}
	bm.Clear()
	bm.AddMany(ords[:n])
	return lost, nil
}

// presence is one call of Present.
type presence struct {
	block     *Block
	ords      []uint32 // to look for
	keptIndex []int    // of ords in kept; nil = the same
	tr        model.TimeRange
	deletions *Deletions
	kept      []bool
	lost      []error
	ranges    DeletedRanges // scratch
}

// walk reads the pages of the directory that have a wanted series.
// The chunks of a series may begin in one page and end in a later one.
func (p *presence) walk(ctx context.Context, yield func() error) error {
	ps, err := p.block.fencesOf(&p.block.directory, sectionDirectory)
	if err != nil {
		return err
	}
	next := 0 // of ords: those before it have been searched in all their pages
	for i := 0; i < len(ps) && next < len(p.ords); i++ {
		// The first page that may have the next series: see Reader.find.
		i = max(i, sort.Search(len(ps), func(i int) bool { return ps[i].first >= p.ords[next] })-1)
		until, after := len(p.ords), len(p.ords)
		if i+1 < len(ps) {
			after = next + sort.Search(len(p.ords)-next, func(k int) bool { return p.ords[next+k] >= ps[i+1].first })
			if until = after; until < len(p.ords) && p.ords[until] == ps[i+1].first {
				until++ // it may begin in this page
			}
		}
		if next < until {
			if err := checkpoint(ctx, yield); err != nil {
				return err
			}
			if err := p.page(ps[i], next, until); err != nil {
				return err
			}
		}
		next = after
	}
	return nil
}

// page searches a page for ords[from:to].
func (p *presence) page(at page, from, to int) error {
	d, err := p.block.directoryPage(at)
	if errors.Is(err, format.ErrCorrupt) {
		if p.lost = append(p.lost, err); len(p.lost) > lostMax {
			p.lost = p.lost[:lostMax]
		}
		for i := from; i < to; i++ {
			p.kept[p.keptAt(i)] = true
		}
		return nil
	} else if err != nil {
		return err
	}
	row := 0
	for i := from; i < to && row < len(d.rows); i++ {
		ord := p.ords[i]
		if d.rows[row].ord < ord { // mostly it is the next series
			rest := d.rows[row:]
			row += sort.Search(len(rest), func(k int) bool { return rest[k].ord >= ord })
		}
		for ; row < len(d.rows) && d.rows[row].ord == ord; row++ {
			if k := p.keptAt(i); !p.kept[k] {
				t := &d.times[d.rows[row].time]
				p.kept[k] = t.min < p.tr.Max && t.max >= p.tr.Min && !p.deleted(ord, t)
			}
		}
	}
	return nil
}

func (p *presence) keptAt(i int) int {
	if p.keptIndex == nil {
		return i
	}
	return p.keptIndex[i]
}

// deleted reports whether deletions cover the range of a chunk.
func (p *presence) deleted(ord uint32, t *timeColumn) bool {
	if p.deletions == nil {
		return false
	}
	p.ranges = p.deletions.Ranges(ord, p.ranges[:0])
	return p.ranges.Covers(model.Inclusive(t.min, t.max).Intersect(p.tr))
}
