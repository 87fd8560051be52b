package block

import (
	"context"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/partition/format"
)

// Postings returns the ordinals of the series of a tenant that satisfy all
// matchers. As in Prometheus, a label that a series does not have matches as the
// empty string. Without matchers it returns all series of the tenant. The caller
// owns the bitmap.
func (b *Block) Postings(ctx context.Context, tenant uint32, ms []*match.Matcher) (*roaring.Bitmap, error) {
	if err := match.Compile(ms); err != nil {
		return nil, err
	}
	result := roaring.New()
	from, to, err := b.tenantRange(tenant)
	if err != nil || from == to {
		return result, err
	}
	result.AddRange(from, to)
	for _, m := range matchOrder(ms) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		bm, has, err := b.matching(m)
		if err != nil {
			return nil, err
		}
		if has {
			result.And(bm)
		} else {
			result.AndNot(bm)
		}
		if result.IsEmpty() {
			break
		}
	}
	return result, nil
}

// matchOrder sorts matchers by cost: the metric name, other single values, lists,
// prefixes, the rest.
func matchOrder(ms []*match.Matcher) []*match.Matcher {
	cost := func(m *match.Matcher) int {
		switch {
		case m.Type == labels.MatchEqual && m.Name == MetricName && m.Value != "":
			return 0
		case m.Type == labels.MatchEqual && m.Value != "":
			return 1
		case m.Type == labels.MatchNotEqual:
			return 2
		case m.IsListed():
			return 3
		case m.Prefixes() != nil:
			return 4
		}
		return 5
	}
	ms = slices.Clone(ms)
	slices.SortStableFunc(ms, func(a, b *match.Matcher) int { return cost(a) - cost(b) })
	return ms
}

// matching resolves a matcher to a set of series that have the label. If has is
// true the matcher holds for the series in the set; otherwise it holds for all
// others, those without the label among them. The set is shared and must not be
// changed.
func (b *Block) matching(m *match.Matcher) (bm *roaring.Bitmap, has bool, err error) {
	has = !m.Matches("")
	k, ok, err := b.findName(m.Name)
	if err != nil || !ok {
		return roaring.New(), has, err
	}
	key := cacheKey{block: b.id, kind: cachedPostings, text: m.String()}
	bm, err = cached(b.cache, key, func() (*roaring.Bitmap, int, error) {
		bm, err := b.matchValues(k, m, has)
		if err != nil {
			return nil, 0, err
		}
		return bm, int(bm.GetSizeInBytes()) + len(key.text), nil
	})
	return bm, has, err
}

// matchValues returns the series whose value of name number k makes the matcher
// true, or, if want is false, makes it false.
func (b *Block) matchValues(k int, m *match.Matcher, want bool) (*roaring.Bitmap, error) {
	f, err := b.nameFences(k)
	if err != nil {
		return nil, err
	}
	numbers, all, err := b.matchNumbers(k, m, want)
	if err != nil {
		return nil, err
	}
	bm := roaring.New()
	switch {
	case all || len(numbers) == int(f.values):
		err = b.addPostings(bm, f, f.values)
	case 2*len(numbers) <= int(f.values):
		err = b.addPostings(bm, f, numbers...)
	default: // any value, minus the fewer ones of the complement
		others := make([]uint32, 0, int(f.values)-len(numbers))
		next := uint32(0)
		for _, n := range append(numbers, f.values) {
			for ; next < n; next++ {
				others = append(others, next)
			}
			next++
		}
		drop := roaring.New()
		if err = b.addPostings(bm, f, f.values); err == nil {
			err = b.addPostings(drop, f, others...)
		}
		bm.AndNot(drop)
	}
	return bm, err
}

// matchNumbers returns the numbers, in ascending order, of the values of name
// number k for which m.Matches returns want. If all is true these are all values,
// and numbers may be nil. Lists and prefixes narrow the values down before any is
// matched. No value of a dictionary is empty.
func (b *Block) matchNumbers(k int, m *match.Matcher, want bool) (numbers []uint32, all bool, err error) {
	negative := m.Negative()
	if m.Any() {
		return nil, negative != want, nil
	}
	if m.IsListed() && m.Values() == 1 && m.Listed()[0] == "" {
		// name="" is false and name!="" is true for every value.
		return nil, negative == want, nil
	}
	// Only for values in the list, or with the prefix, can a positive matcher
	// be true and a negative one false.
	if negative != want {
		if m.IsListed() {
			numbers, err = b.findValues(k, m.Listed())
			return numbers, false, err
		}
		if ps := m.Prefixes(); ps != nil {
			return b.scanValues(k, ps, m, want)
		}
	}
	return b.scanValues(k, []string{""}, m, want)
}

// findValues returns the numbers, in ascending order, of those of the sorted values
// that name number k has.
func (b *Block) findValues(k int, values []string) (numbers []uint32, err error) {
	f, err := b.nameFences(k)
	if err != nil {
		return nil, err
	}
	numbers = make([]uint32, 0, min(len(values), int(f.values)))
	pages := dictionaryPages{block: b, fences: f}
	for _, v := range values {
		page, first, err := pages.get(f.pageOfValue(v))
		if err != nil {
			return nil, err
		}
		if at, ok := slices.BinarySearch(page, v); ok {
			numbers = append(numbers, first+uint32(at))
		}
	}
	return numbers, nil
}

// scanValues matches the values that begin with one of the sorted prefixes.
func (b *Block) scanValues(k int, prefixes []string, m *match.Matcher, want bool) (numbers []uint32, all bool, err error) {
	f, err := b.nameFences(k)
	if err != nil {
		return nil, false, err
	}
	pages := dictionaryPages{block: b, fences: f}
	for _, prefix := range prefixes {
		within := true
		for i := f.pageOfValue(prefix); within && i < len(f.dictionary); i++ {
			page, first, err := pages.get(i)
			if err != nil {
				return nil, false, err
			}
			for at, _ := slices.BinarySearch(page, prefix); at < len(page); at++ {
				if within = strings.HasPrefix(page[at], prefix); !within {
					break
				}
				if m.Matches(page[at]) == want {
					numbers = append(numbers, first+uint32(at))
				}
			}
		}
	}
	return numbers, false, nil
}

// dictionaryPages reads the pages of a dictionary and remembers the last one,
// because values are mostly looked up in order.
type dictionaryPages struct {
	block  *Block
	fences *nameFences
	number int
	values []string // of the last page, nil = none
}

// get returns the values of page i and the number of the first of them.
func (p *dictionaryPages) get(i int) (values []string, first uint32, err error) {
	if p.values == nil || p.number != i {
		if p.values, err = p.block.dictionaryPage(p.fences, i); err != nil {
			p.values = nil
			return nil, 0, err
		}
		p.number = i
	}
	return p.values, p.fences.dictionary[i].first, nil
}

// postingsPagesMax bounds the pages of postings that are read at once.
const postingsPagesMax = 16

// addPostings adds the series with the values of the given ascending numbers of
// the name with fences f. Number f.values stands for any value.
func (b *Block) addPostings(bm *roaring.Bitmap, f *nameFences, numbers ...uint32) error {
	var memory [postingsPagesMax]page
	for len(numbers) > 0 {
		fences, n := memory[:0], 0
		for n < len(numbers) && len(fences) < postingsPagesMax {
			i := pageOf(f.postings, numbers[n])
			fences = append(fences, f.postings[i])
			for n < len(numbers) && (i+1 == len(f.postings) || numbers[n] < f.postings[i+1].first) {
				n++
			}
		}
		pages, err := b.postingsPages(f, fences)
		if err != nil {
			return err
		}
		at := 0
		for _, number := range numbers[:n] {
			for at+1 < len(fences) && number >= fences[at+1].first {
				at++
			}
			if err := pages[at].addTo(bm, int(number-fences[at].first), b.foot.series); err != nil {
				return b.damage(fences[at].off, err)
			}
		}
		numbers = numbers[n:]
	}
	return nil
}

// postingsPage returns page i of the postings of a name.
func (b *Block) postingsPage(f *nameFences, i int) (*postingsPage, error) {
	pages, err := b.postingsPages(f, f.postings[i:i+1])
	if err != nil {
		return nil, err
	}
	return pages[0], nil
}

// postingsPages returns pages of the postings of a name by their fences.
func (b *Block) postingsPages(f *nameFences, fences []page) ([]*postingsPage, error) {
	pages, err := decodedPages(b, fences, 3, decodePostingsPage)
	if err != nil {
		return nil, err
	}
	for k, p := range pages {
		if i := pageOf(f.postings, fences[k].first); len(p.bodies) != keys(f.postings, i, f.values+1) {
			return nil, b.damage(fences[k].off, format.Corrupt("postings page of %d lists does not fit its fence", len(p.bodies)))
		}
	}
	return pages, nil
}

// LabelNames returns the sorted names of the labels that the series in bm have;
// nil stands for all series.
func (b *Block) LabelNames(ctx context.Context, bm *roaring.Bitmap) ([]string, error) {
	names, err := b.nameList()
	if err != nil {
		return nil, err
	}
	var found []string
	for k, n := range names {
		if bm != nil {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			f, err := b.nameFences(k)
			if err != nil {
				return nil, err
			}
			with := roaring.New()
			if err := b.addPostings(with, f, f.values); err != nil {
				return nil, err
			}
			if !with.Intersects(bm) {
				continue
			}
		}
		found = append(found, n.name)
	}
	return found, nil
}

// LabelValues returns the sorted values of a label among the series in bm, the first
// limit of them if limit > 0; a nil bm stands for all series.
func (b *Block) LabelValues(ctx context.Context, name string, bm *roaring.Bitmap, limit int) ([]string, error) {
	k, ok, err := b.findName(name)
	if err != nil || !ok {
		return nil, err
	}
	f, err := b.nameFences(k)
	if err != nil {
		return nil, err
	}
	var values []string
	full := func() bool { return limit > 0 && len(values) >= limit }
	if bm == nil {
		for i := range f.dictionary {
			page, err := b.dictionaryPage(f, i)
			if err != nil {
				return nil, err
			}
			for _, v := range page {
				if full() {
					return values, nil
				}
				values = append(values, strings.Clone(v))
			}
		}
		return values, nil
	}
	if bm.GetCardinality() < uint64(f.values) {
		return b.valuesOfSeries(ctx, uint32(k), bm, limit)
	}
	with := roaring.New()
	for i := range f.dictionary {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		page, err := b.dictionaryPage(f, i)
		if err != nil {
			return nil, err
		}
		for at, v := range page {
			if full() {
				return values, nil
			}
			with.Clear()
			if err := b.addPostings(with, f, f.dictionary[i].first+uint32(at)); err != nil {
				return nil, err
			}
			if with.Intersects(bm) {
				values = append(values, strings.Clone(v))
			}
		}
	}
	return values, nil
}

// valuesOfSeries is LabelValues through the series table, for few series.
func (b *Block) valuesOfSeries(ctx context.Context, k uint32, bm *roaring.Bitmap, limit int) ([]string, error) {
	r := labelReader{block: b}
	numbers := roaring.New()
	for it := bm.Iterator(); it.HasNext(); {
		ord := it.Next()
		if ord%seriesPageRows == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e, err := r.row(ord)
		if err != nil {
			return nil, err
		}
		if i, ok := slices.BinarySearch(e.names, k); ok {
			numbers.Add(e.values[i])
		}
	}
	var values []string
	for it := numbers.Iterator(); it.HasNext() && (limit <= 0 || len(values) < limit); {
		v, err := r.value(k, it.Next())
		if err != nil {
			return nil, err
		}
		values = append(values, strings.Clone(v))
	}
	return values, nil
}
