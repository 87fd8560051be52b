package block

import (
	"context"

	"github.com/RoaringBitmap/roaring/v2"
)

// sections prints the index.
func (d *describer) sections(ctx context.Context) error {
	steps := map[sectionID]func(section) error{
		sectionDictionaries: d.dictionaries,
		sectionPostings:     d.postings,
		sectionSeries:       d.seriesTable,
		sectionIdentities:   d.identities,
		sectionNameFences:   d.nameFences,
		sectionMetadata:     d.metadata,
		sectionTenants:      d.tenants,
		sectionGenerations:  d.generations,
	}
	for _, s := range d.block.foot.sections {
		if err := ctx.Err(); err != nil {
			return err
		}
		step := steps[s.id]
		if step == nil {
			step = func(s section) error { return d.part(s.off, s.length, "section %v, %v", s.id, s.encoding) }
		}
		if err := d.damaged(step(s)); err != nil {
			return err
		}
	}
	return nil
}

// eachName calls fn with every name and its fences.
func (d *describer) eachName(fn func(k int, n nameEntry, f *nameFences) error) error {
	names, err := d.block.nameList()
	if err != nil {
		return err
	}
	for k, n := range names {
		f, err := d.block.nameFences(k)
		if err == nil {
			err = fn(k, n, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *describer) dictionaries(section) error {
	return d.eachName(func(_ int, n nameEntry, f *nameFences) error {
		for i, p := range f.dictionary {
			values, err := d.block.dictionaryPage(f, i)
			if err != nil {
				return err
			}
			if err := d.part(p.off, int64(p.stored), "dictionary of %q: values %d to %d, %d bytes",
				n.name, p.first, int(p.first)+len(values)-1, p.size()); err != nil {
				return err
			}
			d.below("%q", values)
		}
		return nil
	})
}

func (d *describer) postings(section) error {
	return d.eachName(func(_ int, n nameEntry, f *nameFences) error {
		for i, p := range f.postings {
			lists, err := d.block.postingsPage(f, i)
			if err != nil {
				return err
			}
			if err := d.part(p.off, int64(p.stored), "postings of %q: lists %d to %d, %d bytes",
				n.name, p.first, int(p.first)+len(lists.bodies)-1, p.size()); err != nil {
				return err
			}
			for l := range lists.bodies {
				bm := roaring.New()
				if err := lists.addTo(bm, l, d.block.foot.series); err != nil {
					return d.block.damage(p.off, err)
				}
				d.below("%d as %v: %v", int(p.first)+l, lists.forms[l], bm)
			}
		}
		return nil
	})
}

func (d *describer) seriesTable(section) error {
	fences, err := d.block.fencesOf(&d.block.series, sectionSeriesFences)
	if err != nil {
		return err
	}
	r := labelReader{block: d.block}
	for i, p := range fences {
		n := keys(fences, i, uint32(d.block.foot.series))
		if err := d.part(p.off, int64(p.stored), "series page: series %d to %d, %d bytes", p.first, int(p.first)+n-1, p.size()); err != nil {
			return err
		}
		for k := range n {
			ls, err := r.labels(p.first + uint32(k))
			if err != nil {
				return err
			}
			d.below("series %d: %v", int(p.first)+k, ls)
		}
	}
	return nil
}

func (d *describer) identities(s section) error {
	for ord := uint32(0); uint64(ord) < d.block.foot.series; {
		off, length, _ := identityRange(ord, d.block.foot.series)
		ids, _, err := d.block.identityPage(ord)
		if err != nil {
			return err
		}
		if err := d.part(s.off+off, int64(length), "identities of series %d to %d, checksum", ord, int(ord)+len(ids)-1); err != nil {
			return err
		}
		ord += uint32(len(ids))
	}
	return nil
}

func (d *describer) nameFences(s section) error {
	return d.eachName(func(_ int, n nameEntry, f *nameFences) error {
		return d.part(s.off+n.fenceOff, int64(n.fenceLen), "fences of %q: %d values in %d pages, postings in %d pages",
			n.name, n.values, len(f.dictionary), len(f.postings))
	})
}

func (d *describer) metadata(s section) error {
	ms, err := d.block.Metadata()
	if err != nil {
		return err
	}
	if err := d.part(s.off, s.length, "section %v, %v: %d metrics", s.id, s.encoding, len(ms)); err != nil {
		return err
	}
	for _, m := range ms {
		d.below("tenant %d, %q: type %q, unit %q, help %q", m.Tenant, m.Metric, m.Type, m.Unit, m.Help)
	}
	return nil
}

func (d *describer) tenants(s section) error {
	ts, err := d.block.tenantList()
	if err != nil {
		return err
	}
	if err := d.part(s.off, s.length, "section %v, %v", s.id, s.encoding); err != nil {
		return err
	}
	for _, t := range ts {
		d.below("tenant %d: from series %d", t.tenant, t.from)
	}
	return nil
}

func (d *describer) generations(s section) error {
	g, err := d.block.generationList()
	if err != nil {
		return err
	}
	if err := d.part(s.off, s.length, "section %v, %v: %d runs of series", s.id, s.encoding, len(g.runs)); err != nil {
		return err
	}
	from := uint32(0)
	for _, run := range g.runs {
		d.below("series %d to %d: generation %d", from, run.end-1, g.all[run.index])
		from = run.end
	}
	return nil
}
