package block

import (
	"slices"
	"sort"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/format"
)

// SeriesEntry is one series of a block.
type SeriesEntry struct {
	Tenant uint32
	ID     model.Identity
	Labels labels.Labels
}

// nameList returns the label names of the block.
func (b *Block) nameList() ([]nameEntry, error) {
	return b.names.get(func() ([]nameEntry, error) {
		data, err := b.readSection(sectionNames)
		if err != nil {
			return nil, err
		}
		names, err := decodeNames(data, b.table[sectionNameFences].length)
		return names, b.damage(b.table[sectionNames].off, err)
	})
}

// findName returns the number of a label name.
func (b *Block) findName(name string) (int, bool, error) {
	names, err := b.nameList()
	if err != nil {
		return 0, false, err
	}
	i := sort.Search(len(names), func(i int) bool { return names[i].name >= name })
	return i, i < len(names) && names[i].name == name, nil
}

// nameFences returns the fences of name number k.
func (b *Block) nameFences(k int) (*nameFences, error) {
	if f, ok := b.fences.Load(k); ok {
		return f.(*nameFences), nil
	}
	names, err := b.nameList()
	if err != nil {
		return nil, err
	}
	n := names[k]
	p := page{off: b.table[sectionNameFences].off + n.fenceOff, stored: n.fenceLen, crc: n.fenceCRC}
	data, err := b.readPage(p)
	if err != nil {
		return nil, err
	}
	f, err := decodeNameFences(data, n.values, b.info.Size)
	if err != nil {
		return nil, b.damage(p.off, err)
	}
	b.fences.Store(k, f)
	return f, nil
}

// dictionaryPage returns the values of page i of a dictionary.
func (b *Block) dictionaryPage(f *nameFences, i int) ([]string, error) {
	values, err := decodedPage(b, f.dictionary[i], 3, decodeDictionaryPage)
	if err == nil && (len(values) != keys(f.dictionary, i, f.values) || !strings.HasPrefix(values[0], f.firsts[i])) {
		err = b.damage(f.dictionary[i].off, format.Corrupt("dictionary page of %d values does not fit its fence", len(values)))
	}
	return values, err
}

// labelReader builds label sets. It remembers the last dictionary page of every
// name, and others up to readerPages, so that series in order need no look-ups. It
// is not safe for concurrent use.
type labelReader struct {
	block   *Block
	buf     []byte // scratch of text
	names   []nameEntry
	last    []valuePage         // by name: the last page used
	pages   map[int64]valuePage // by offset
	table   *seriesPage         // the last page of the series table
	first   uint32
	ids     []model.Identity // the last page of identities
	idFirst uint32
	clears  uint64 // Cache.clears when the reader was made
}

// readerPages bounds the dictionary pages a labelReader remembers.
const readerPages = 64

type valuePage struct {
	first  uint32
	values []string
}

// value returns value number v of name number k.
func (r *labelReader) value(k, v uint32) (string, error) {
	if int(k) < len(r.last) {
		if p := &r.last[k]; v-p.first < uint32(len(p.values)) { // false, too, if v is below first
			return p.values[v-p.first], nil
		}
	}
	p, err := r.page(k, v)
	if err != nil {
		return "", err
	}
	return p.values[v-p.first], nil
}

// page returns the dictionary page with value number v of name number k.
func (r *labelReader) page(k, v uint32) (valuePage, error) {
	if err := r.loadNames(); err != nil {
		return valuePage{}, err
	}
	f, err := r.block.nameFences(int(k))
	if err != nil {
		return valuePage{}, err
	}
	i := pageOf(f.dictionary, v)
	fence := f.dictionary[i]
	p, ok := r.pages[fence.off]
	if !ok {
		if p.values, err = r.block.dictionaryPage(f, i); err != nil {
			return valuePage{}, err
		}
		p.first = fence.first
		if r.pages == nil || len(r.pages) >= readerPages {
			r.pages = make(map[int64]valuePage)
		}
		r.pages[fence.off] = p
	}
	if v-p.first >= uint32(len(p.values)) {
		return valuePage{}, r.block.damage(fence.off, format.Corrupt("dictionary page without value %d", v))
	}
	if len(r.last) == 0 {
		r.last = make([]valuePage, len(r.names))
	}
	r.last[k] = p
	return p, nil
}

func (r *labelReader) loadNames() (err error) {
	if r.names == nil {
		r.names, err = r.block.nameList()
	}
	return err
}

// row returns the row of a series in the series table. It is valid until the next
// call.
func (r *labelReader) row(ord uint32) (seriesEntry, error) {
	b := r.block
	if err := b.checkOrdinal(ord); err != nil {
		return seriesEntry{}, err
	}
	if r.table == nil || ord < r.first || ord-r.first >= uint32(len(r.table.shape)) {
		fences, err := b.fencesOf(&b.series, sectionSeriesFences)
		if err != nil {
			return seriesEntry{}, err
		}
		i := pageOf(fences, ord)
		if i < 0 {
			return seriesEntry{}, b.damage(b.table[sectionSeriesFences].off, format.Corrupt("no page with series %d", ord))
		}
		if err := r.loadNames(); err != nil {
			return seriesEntry{}, err
		}
		table, err := decodedPage(b, fences[i], 8, func(data []byte) (*seriesPage, error) {
			return decodeSeriesPage(data, r.names)
		})
		if err != nil {
			return seriesEntry{}, err
		}
		if ord-fences[i].first >= uint32(len(table.shape)) {
			return seriesEntry{}, b.damage(fences[i].off, format.Corrupt("series page without series %d", ord))
		}
		r.table, r.first = table, fences[i].first
	}
	return r.table.at(int(ord - r.first)), nil
}

// text returns the labels of a series as the string for model.LabelsOf. It is valid until
// the next call.
func (r *labelReader) text(ord uint32) ([]byte, error) {
	e, err := r.row(ord)
	if err != nil {
		return nil, err
	}
	b := r.buf[:0]
	for i, k := range e.names {
		v, err := r.value(k, e.values[i])
		if err != nil {
			return nil, err
		}
		b = model.AppendLabelString(b, r.names[k].name)
		b = model.AppendLabelString(b, v)
	}
	r.buf = b
	return b, nil
}

// labels returns the labels of a series.
func (r *labelReader) labels(ord uint32) (labels.Labels, error) {
	b, err := r.text(ord)
	return model.LabelsOf(slices.Clone(b)), err
}

// metric returns the metric name of a series, "" if it has none.
func (r *labelReader) metric(ord uint32) (string, error) {
	e, err := r.row(ord)
	if err != nil {
		return "", err
	}
	for i, k := range e.names {
		if r.names[k].name == MetricName {
			return r.value(k, e.values[i])
		}
	}
	return "", nil
}

// id returns the identity of a series.
func (r *labelReader) id(ord uint32) (model.Identity, error) {
	if ord < r.idFirst || ord-r.idFirst >= uint32(len(r.ids)) {
		if err := r.block.checkOrdinal(ord); err != nil {
			return model.Identity{}, err
		}
		ids, first, err := r.block.identityPage(ord)
		if err != nil {
			return model.Identity{}, err
		}
		r.ids, r.idFirst = ids, first
	}
	return r.ids[ord-r.idFirst], nil
}

// identityPage returns the page of identities with that of series ord, and the
// first ordinal of the page.
func (b *Block) identityPage(ord uint32) ([]model.Identity, uint32, error) {
	off, length, first := identityRange(ord, b.foot.series)
	off += b.table[sectionIdentities].off
	key := cacheKey{block: b.id, kind: cachedPage, off: off}
	ids, err := cached(b.cache, key, func() ([]model.Identity, int, error) {
		data, err := b.read(off, length)
		if err != nil {
			return nil, 0, err
		}
		ids, err := decodeIdentities(data)
		return ids, len(data), b.damage(off, err)
	})
	return ids, first, err
}

// Series returns the tenant, identity and labels of a series.
func (b *Block) Series(ord uint32) (SeriesEntry, error) {
	r := b.labelReader()
	defer b.labelReaders.Put(r)
	return r.entry(ord)
}

// labelReader returns a reader to be put back into labelReaders. Callers read one
// series after another, and the pages the reader remembers make the next one about
// ten times cheaper (BenchmarkLabels).
func (b *Block) labelReader() *labelReader {
	n := b.cache.clears()
	if r, ok := b.labelReaders.Get().(*labelReader); ok && r.clears == n {
		return r
	}
	return &labelReader{block: b, clears: n}
}

func (r *labelReader) entry(ord uint32) (SeriesEntry, error) {
	var e SeriesEntry
	var err error
	if e.ID, err = r.id(ord); err != nil {
		return SeriesEntry{}, err
	}
	if e.Tenant, err = r.block.tenantOf(ord); err != nil {
		return SeriesEntry{}, err
	}
	e.Labels, err = r.labels(ord)
	return e, err
}

// is reports whether series ord is e, with the same tenant, identity and labels.
func (r *labelReader) is(ord uint32, e SeriesEntry) (bool, error) {
	id, err := r.id(ord)
	if err != nil || id != e.ID {
		return false, err
	}
	tenant, err := r.block.tenantOf(ord)
	if err != nil || tenant != e.Tenant {
		return false, err
	}
	row, err := r.row(ord)
	if err != nil {
		return false, err
	}
	same, i := true, 0
	e.Labels.Range(func(l labels.Label) {
		if !same || i == len(row.names) || r.names[row.names[i]].name != l.Name {
			same = false
			return
		}
		var value string
		value, err = r.value(row.names[i], row.values[i])
		same = err == nil && value == l.Value
		i++
	})
	return same && i == len(row.names), err
}

// ID returns the identity of a series, without building its labels.
func (b *Block) ID(ord uint32) (model.Identity, error) {
	r := b.labelReader()
	defer b.labelReaders.Put(r)
	return r.id(ord)
}

// tenantList returns the ranges of ordinals of the tenants.
func (b *Block) tenantList() ([]tenantRange, error) {
	return b.tenants.get(func() ([]tenantRange, error) {
		data, err := b.readSection(sectionTenants)
		if err != nil {
			return nil, err
		}
		ts, err := decodeTenants(data, b.foot.series)
		return ts, b.damage(b.table[sectionTenants].off, err)
	})
}

// Tenants returns the tenants that have series in the block.
func (b *Block) Tenants() ([]uint32, error) {
	ranges, err := b.tenantList()
	if err != nil {
		return nil, err
	}
	tenants := make([]uint32, len(ranges))
	for i, r := range ranges {
		tenants[i] = r.tenant
	}
	return tenants, nil
}

func (b *Block) tenantOf(ord uint32) (uint32, error) {
	ts, err := b.tenantList()
	if err != nil {
		return 0, err
	}
	i := sort.Search(len(ts), func(i int) bool { return ts[i].from > ord }) - 1
	if i < 0 {
		return 0, b.damage(b.table[sectionTenants].off, format.Corrupt("no tenant of series %d", ord))
	}
	return ts[i].tenant, nil
}

// tenantRange returns the ordinals of a tenant as a half-open range.
func (b *Block) tenantRange(tenant uint32) (from, to uint64, err error) {
	ts, err := b.tenantList()
	if err != nil {
		return 0, 0, err
	}
	i := sort.Search(len(ts), func(i int) bool { return ts[i].tenant >= tenant })
	if i == len(ts) || ts[i].tenant != tenant {
		return 0, 0, nil
	}
	to = b.foot.series
	if i+1 < len(ts) {
		to = uint64(ts[i+1].from)
	}
	return uint64(ts[i].from), to, nil
}
