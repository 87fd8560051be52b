package block

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/encoding"
	"tsdb/internal/model"
)

const postingsBatch = 2 << 20

// indexWriter collects the index while series are written and writes it at the
// end. A series takes 16 bytes for its identity and about a dozen for the labels
// in which it differs from the previous series.
type indexWriter struct {
	source     *indexSource // nil = the series are collected here
	table      pairTable
	series     uint64 // written so far
	rows       slabs  // one row per series
	identities identityList
	tenants    []tenantRange
	counts     []uint32 // series that have a pair, by its number
	last       []uint32 // pairs of the last series
	current    []uint32 // scratch
	lastText   string   // labels of the last series, "" if it was added by pairs
	lastEnds   []int    // of each of them in lastText
	ends       []int    // scratch
	metric     int      // which label of the last series is its metric name, noMetric = none
	first      SeriesEntry
	lastSeries SeriesEntry // without labels: see last
	out        *output
	sections   []section
	batch      int      // ordinals held at once
	ords       []uint32 // scratch
	content    []byte   // scratch
	packed     []byte   // scratch
	list       []byte   // scratch
}

// slabs is a byte arena that grows without copying. A slice lies in one slab. The first
// slabs are small: most blocks of few series need no more.
type slabs [][]byte

const (
	slabBytes    = 256 << 10
	minSlabBytes = 4 << 10 // doubles until slabBytes
)

func (s *slabs) append(b []byte) {
	n := len(*s)
	if n == 0 || len((*s)[n-1])+len(b) > cap((*s)[n-1]) {
		*s = append(*s, make([]byte, 0, max(min(minSlabBytes<<min(n, 10), slabBytes), len(b))))
		n++
	}
	(*s)[n-1] = append((*s)[n-1], b...)
}

// noMetric is the index of the metric name in a series that has none.
const noMetric = -1

// add appends a series; its ordinal is the number of series before it. It rejects
// labels that are empty or not sorted, and a series that does not sort after the
// last one.
func (x *indexWriter) add(tenant uint32, id model.Identity, ls labels.Labels) error {
	if x.source != nil {
		if err := x.collect(); err != nil {
			return err
		}
	}
	if err := x.number(ls); err != nil {
		return err
	}
	if err := x.addCurrent(tenant, id); err != nil {
		return err
	}
	x.lastEnds, x.ends = x.ends, x.lastEnds
	x.lastText = model.LabelString(ls)
	return nil
}

// addPairs is add for a series of which the table has numbered the labels.
func (x *indexWriter) addPairs(tenant uint32, id model.Identity, pairs []uint32) error {
	if x.source != nil {
		if err := x.collect(); err != nil {
			return err
		}
	}
	x.current = append(x.current[:0], pairs...)
	bad := len(pairs) == 0
	for i, p := range pairs {
		if int(p) >= x.table.n {
			return fmt.Errorf("no label has the number %d", p)
		}
		if i == 0 || i < len(x.last) && p == x.last[i] && pairs[i-1] == x.last[i-1] {
			continue // in order there
		}
		bad = bad || x.nameOf(pairs[i-1]) >= x.nameOf(p)
	}
	if bad {
		return fmt.Errorf("series %v: labels empty or not sorted", x.labelsOf(pairs))
	}
	if err := x.addCurrent(tenant, id); err != nil {
		return err
	}
	x.lastEnds, x.lastText = x.lastEnds[:0], ""
	return nil
}

// addCurrent appends the series of the pairs in current.
func (x *indexWriter) addCurrent(tenant uint32, id model.Identity) error {
	if x.series >= maxSeriesInBlock {
		return fmt.Errorf("more than %d series in a block", x.series)
	}
	if x.table.values.err != nil {
		return x.table.values.err
	}
	metric := x.metricOf(x.current)
	if err := x.checkOrder(tenant, metric); err != nil {
		return err
	}
	for _, p := range x.current {
		for int(p) >= len(x.counts) {
			x.counts = append(x.counts, 0)
		}
		x.counts[p]++
	}
	x.list = appendSeriesRow(x.list[:0], x.last, x.current)
	x.rows.append(x.list)
	x.list = appendIdentity(x.list[:0], id)
	x.identities.add(x.list)
	x.series++
	x.last, x.current = x.current, x.last
	x.metric = metric
	x.lastSeries = SeriesEntry{Tenant: tenant, ID: id}
	if x.series == 1 {
		x.first = SeriesEntry{Tenant: tenant, ID: id, Labels: x.labelsOf(x.last)}
	}
	return nil
}

// metricOf returns which of the pairs is the metric name.
func (x *indexWriter) metricOf(pairs []uint32) int {
	if i := x.metric; i >= 0 && i < len(pairs) && x.isMetric(pairs[i]) { // as in the last series
		return i
	}
	return slices.IndexFunc(pairs, x.isMetric)
}

func (x *indexWriter) isMetric(pair uint32) bool { return x.nameOf(pair) == MetricName }

// metricName returns the metric name of pairs, of which it is label i.
func (x *indexWriter) metricName(pairs []uint32, i int) string {
	if i == noMetric {
		return ""
	}
	return x.table.valueOf(pairs[i])
}

// labelsOf returns the labels that pairs number.
func (x *indexWriter) labelsOf(pairs []uint32) labels.Labels {
	var b model.LabelBuilder
	b.Reset()
	for _, p := range pairs {
		b.Add(x.nameOf(p), x.table.valueOf(p))
	}
	return b.Labels()
}

// number sets current to the pairs of a series. Series in order differ from the last one
// in few labels, which lie between bytes that both have: only they are looked up.
func (x *indexWriter) number(ls labels.Labels) error {
	text := model.LabelString(ls)
	last := x.last[:len(x.lastEnds)] // none if there is no text of it
	head := commonPrefix(x.lastText, text)
	tail := commonSuffix(x.lastText[head:], text[head:])
	moved := len(text) - len(x.lastText)
	x.current, x.ends = x.current[:0], x.ends[:0]
	// The labels at the front, up to the first that may differ.
	n, at := 0, 0
	for n < len(x.lastEnds) && x.lastEnds[n] <= head {
		at = x.lastEnds[n]
		n++
	}
	x.current, x.ends = append(x.current, last[:n]...), append(x.ends, x.lastEnds[:n]...)
	// The labels in between, up to the first of which the last series has all bytes, too.
	same, from := len(last), len(x.lastText)
	for same > n && x.startOfLast(same-1) >= len(x.lastText)-tail {
		same--
		from = x.startOfLast(same)
	}
	bad, long := false, 0
	for at < len(text) && at != from+moved {
		name, value, end := nextLabel(text, at)
		bad = bad || name == "" || value == ""
		long = max(long, len(name), len(value))
		guess := noPair
		if i := len(x.current); i < len(last) {
			guess = last[i]
		}
		x.current, x.ends = append(x.current, x.table.pair(name, value, guess)), append(x.ends, end)
		at = end
	}
	if at != from+moved { // those bytes are the end of one label here
		same = len(last)
	}
	changed := len(x.current)
	x.current = append(x.current, last[same:]...)
	for _, end := range x.lastEnds[same:] {
		x.ends = append(x.ends, end+moved)
	}
	for i := max(n, 1); i < min(changed+1, len(x.current)); i++ { // the others are in order in the last series
		bad = bad || x.nameOf(x.current[i-1]) >= x.nameOf(x.current[i])
	}
	if bad || len(x.current) == 0 {
		return fmt.Errorf("series %v: labels empty or not sorted", ls)
	}
	if long > maxLabelBytes {
		return errLabelBytes(long)
	}
	return nil
}

func errLabelBytes(n int) error {
	return fmt.Errorf("a label name or value of %d bytes exceeds the limit of %d", n, maxLabelBytes)
}

func (x *indexWriter) nameOf(pair uint32) string { return x.table.names[x.table.at(pair).name] }

// startOfLast returns where label i of the last series begins.
func (x *indexWriter) startOfLast(i int) int {
	if i == 0 {
		return 0
	}
	return x.lastEnds[i-1]
}

// nextLabel returns the label at an offset of the string of a label set, and where it
// ends.
func nextLabel(text string, at int) (name, value string, end int) {
	name, at = nextLabelString(text, at)
	value, at = nextLabelString(text, at)
	return name, value, at
}

func nextLabelString(text string, at int) (string, int) {
	n := int(text[at])
	at++
	if n == 255 {
		n = int(text[at]) | int(text[at+1])<<8 | int(text[at+2])<<16
		at += 3
	}
	return text[at : at+n], at + n
}

// commonPrefix returns the number of bytes with which a and b begin alike.
func commonPrefix(a, b string) int {
	n, i := min(len(a), len(b)), 0
	for i+8 <= n && a[i:i+8] == b[i:i+8] {
		i += 8
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// commonSuffix returns the number of bytes with which a and b end alike.
func commonSuffix(a, b string) int {
	n, i := min(len(a), len(b)), 0
	for i+8 <= n && a[len(a)-i-8:len(a)-i] == b[len(b)-i-8:len(b)-i] {
		i += 8
	}
	for i < n && a[len(a)-1-i] == b[len(b)-1-i] {
		i++
	}
	return i
}

// checkOrder returns an error unless the current series, of which label metric is the
// metric name, sorts after the last one.
func (x *indexWriter) checkOrder(tenant uint32, metric int) error {
	n := len(x.tenants)
	if n == 0 || tenant > x.tenants[n-1].tenant {
		x.tenants = append(x.tenants, tenantRange{tenant, uint32(x.series)})
		return nil
	}
	c := 0
	if tenant < x.tenants[n-1].tenant {
		c = 1
	} else if c = x.compareMetrics(metric); c == 0 {
		c = x.comparePairs(x.last, x.current)
	}
	if c >= 0 {
		return fmt.Errorf("series %v of tenant %d out of order", x.labelsOf(x.current), tenant)
	}
	return nil
}

// compareMetrics compares the metric name of the last series with that of the current one,
// which is its label metric.
func (x *indexWriter) compareMetrics(metric int) int {
	if metric != noMetric && x.metric != noMetric && x.last[x.metric] == x.current[metric] {
		return 0
	}
	return strings.Compare(x.metricName(x.last, x.metric), x.metricName(x.current, metric))
}

// comparePairs orders label sets with the same metric name as Compare does.
func (x *indexWriter) comparePairs(a, b []uint32) int {
	k := 0
	for k < len(a) && k < len(b) && a[k] == b[k] {
		k++
	}
	for i, j := k, k; ; i, j = i+1, j+1 {
		i, j = x.skipMetric(a, i), x.skipMetric(b, j)
		if i == len(a) || j == len(b) {
			return (len(a) - i) - (len(b) - j)
		}
		if a[i] == b[j] {
			continue
		}
		if na, nb := x.table.at(a[i]).name, x.table.at(b[j]).name; na != nb {
			return strings.Compare(x.table.names[na], x.table.names[nb])
		}
		return strings.Compare(x.table.valueOf(a[i]), x.table.valueOf(b[j]))
	}
}

// skipMetric returns i, or i+1 if pair i is the metric name.
func (x *indexWriter) skipMetric(pairs []uint32, i int) int {
	if i < len(pairs) && x.isMetric(pairs[i]) {
		i++
	}
	return i
}

// appendSeriesRow appends the pairs of a series: their count, a bit for each pair
// that is set if it differs from the pair at the same position in the previous
// series, and the pairs that differ.
func appendSeriesRow(dst []byte, last, pairs []uint32) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(pairs)))
	at := len(dst)
	for range (len(pairs) + 7) / 8 {
		dst = append(dst, 0)
	}
	for i, p := range pairs {
		if i >= len(last) || last[i] != p {
			dst[at+i/8] |= 1 << (i % 8)
			dst = binary.AppendUvarint(dst, uint64(p))
		}
	}
	return dst
}

// each calls fn with the pairs of every series, in order.
func (x *indexWriter) each(fn func(ord uint32, pairs []uint32)) {
	var pairs []uint32
	ord := uint32(0)
	for _, b := range x.rows {
		for len(b) > 0 {
			n, w := binary.Uvarint(b)
			b = b[w:]
			mask := b[:(n+7)/8]
			b = b[len(mask):]
			for len(pairs) < int(n) {
				pairs = append(pairs, 0)
			}
			pairs = pairs[:n]
			for i := range pairs {
				if mask[i/8]&(1<<(i%8)) != 0 {
					p, w := binary.Uvarint(b)
					b = b[w:]
					pairs[i] = uint32(p)
				}
			}
			fn(ord, pairs)
			ord++
		}
	}
}

// write writes the sections of the index.
func (x *indexWriter) write() {
	if written, err := x.finishSource(); written || err != nil {
		if x.out.err == nil {
			x.out.err = err
		}
		return
	}
	sym := x.table.order(x.counts)
	fences := make([]nameFences, len(sym.names))
	x.writeDictionaries(sym, fences)
	x.writePostings(sym, fences)
	x.writeSeries(sym)
	x.writeIdentities()
	names := make([]nameEntry, len(sym.names))
	for k, name := range sym.names {
		names[k] = nameEntry{name: name, values: sym.values(k)}
	}
	x.writeNames(names, fences)
	x.writeBlob(sectionTenants, appendTenants(nil, x.tenants))
}

// endSection records a section that began at off.
func (x *indexWriter) endSection(id sectionID, enc sectionEncoding, off int64) {
	x.sections = append(x.sections, section{id: id, encoding: enc, off: off, length: x.out.off - off, crc: x.out.crc})
}

// writeBlob writes a section that is read at once.
func (x *indexWriter) writeBlob(id sectionID, content []byte) {
	if len(content) > maxSectionBytes && x.out.err == nil {
		x.out.err = fmt.Errorf("section %v of %d bytes exceeds the limit of %d", id, len(content), maxSectionBytes)
		return
	}
	off := x.out.section()
	stored, packed := compress(x.packed[:0], content)
	x.packed = stored
	x.out.write(stored)
	enc := encodingPlain
	if packed {
		enc = encodingZstd
	}
	x.endSection(id, enc, off)
}

func (x *indexWriter) writePage(first uint32, content []byte) page {
	p, stored := makePage(first, content, x.packed)
	x.packed = stored
	return x.out.writePage(p, stored)
}

func (x *indexWriter) writeDictionaries(sym *symbols, fences []nameFences) {
	off := x.out.section()
	var values []string
	for k := range sym.names {
		last := ""
		for first, n := uint32(0), sym.values(k); first < n; {
			values = values[:0]
			for v := first; v < n && v < first+dictionaryValues; v++ {
				values = append(values, sym.value(k, v))
			}
			var taken int
			x.content, taken = appendDictionaryPage(x.content[:0], values)
			fences[k].dictionary = append(fences[k].dictionary, x.writePage(first, x.content))
			fences[k].firsts = append(fences[k].firsts, separator(last, values[0]))
			last = values[taken-1]
			first += uint32(taken)
		}
	}
	x.endSection(sectionDictionaries, encodingPages, off)
}

// writePostings walks the series once for every batch of names.
func (x *indexWriter) writePostings(sym *symbols, fences []nameFences) {
	off := x.out.section()
	counts := make([]uint32, len(sym.pair)) // by rank
	for r, p := range sym.pair {
		counts[r] = x.counts[p]
	}
	for from := 0; from < len(sym.names); {
		to, total := from, 0
		for to < len(sym.names) {
			n := 0
			for _, c := range counts[sym.first[to]:sym.first[to+1]] {
				if !x.ofAll(c) {
					n += int(c)
				}
			}
			if to > from && total+n > x.batch {
				break
			}
			total += n
			to++
		}
		x.writePostingsBatch(sym, fences, counts, from, to, total)
		from = to
	}
	x.endSection(sectionPostings, encodingPages, off)
}

// minOfAll is the number of series from which on the shortest form of the list of all
// of them is one interval.
const minOfAll = 9

// ofAll reports whether a pair of n series is that of all series, so that its list
// needs no walk.
func (x *indexWriter) ofAll(n uint32) bool { return n >= minOfAll && uint64(n) == x.series }

// writePostingsBatch writes the postings of the names from ≤ k < to, which have
// total ordinals, not counting pairs of all series.
func (x *indexWriter) writePostingsBatch(sym *symbols, fences []nameFences, counts []uint32, from, to, total int) {
	lo, hi := sym.first[from], sym.first[to]
	x.ords = slices.Grow(x.ords[:0], total)[:total] // every ordinal is set below
	ords := x.ords
	next := make([]uint32, hi-lo) // where the next ordinal of a pair goes
	at := uint32(0)
	for r := lo; r < hi; r++ {
		next[r-lo] = at
		if !x.ofAll(counts[r]) {
			at += counts[r]
		}
	}
	any := make([][]interval, to-from)
	walk := x.each
	if total == 0 {
		walk = func(func(uint32, []uint32)) {}
	}
	walk(func(ord uint32, pairs []uint32) {
		for _, p := range pairs {
			r := sym.rank[p]
			if r < lo || r >= hi || x.ofAll(counts[r]) {
				continue
			}
			ords[next[r-lo]] = ord
			next[r-lo]++
			name, _ := sym.numbers(p)
			k := int(name) - from
			if n := len(any[k]); n > 0 && any[k][n-1].to == ord {
				any[k][n-1].to++
			} else {
				any[k] = append(any[k], interval{ord, ord + 1})
			}
		}
	})
	at = 0
	for k := from; k < to; k++ {
		x.content = x.content[:0]
		first := uint32(0)
		for v := range sym.values(k) {
			if n := counts[sym.first[k]+v]; x.ofAll(n) {
				any[k-from] = []interval{{0, n}}
				x.content = appendPostingsRuns(x.content, any[k-from], &x.list)
			} else {
				x.content = appendPostings(x.content, ords[at:at+n], &x.list)
				at += n
			}
			if len(x.content) >= postingsBytes || v+1-first >= postingsValues {
				fences[k].postings = append(fences[k].postings, x.writePage(first, x.content))
				x.content, first = x.content[:0], v+1
			}
		}
		x.content = appendPostingsRuns(x.content, any[k-from], &x.list)
		fences[k].postings = append(fences[k].postings, x.writePage(first, x.content))
	}
}

func (x *indexWriter) writeSeries(sym *symbols) {
	off := x.out.section()
	var fences []page
	var p seriesPage
	var names, values []uint32
	first := uint32(0)
	flush := func(next uint32) {
		x.content = p.append(x.content[:0])
		fences = append(fences, x.writePage(first, x.content))
		p.reset()
		first = next
	}
	x.each(func(ord uint32, pairs []uint32) {
		names, values = names[:0], values[:0]
		for _, pair := range pairs {
			name, value := sym.numbers(pair)
			names, values = append(names, name), append(values, value)
		}
		p.add(names, values)
		if ord-first+1 >= seriesPageRows {
			flush(ord + 1)
		}
	})
	if len(p.shape) > 0 {
		flush(0)
	}
	x.endSection(sectionSeries, encodingPages, off)
	x.writeBlob(sectionSeriesFences, appendFences(nil, fences))
}

func (x *indexWriter) writeIdentities() {
	off := x.out.section()
	const pageBytes = identityPageRows * identityBytes // divides slabBytes
	x.identities.each(func(ids []byte) {
		for len(ids) > 0 {
			n := min(len(ids), pageBytes)
			x.content = appendIdentityPage(x.content[:0], ids[:n])
			x.out.write(x.content)
			ids = ids[n:]
		}
	})
	x.endSection(sectionIdentities, encodingFixed, off)
}

// writeNames writes the names, whose places of fences it sets, and the fences.
func (x *indexWriter) writeNames(names []nameEntry, fences []nameFences) {
	off := x.out.section()
	for k := range names {
		x.content = fences[k].append(x.content[:0])
		names[k].fenceLen, names[k].fenceCRC = uint32(len(x.content)), encoding.Checksum(x.content)
		x.out.write(x.content)
	}
	x.endSection(sectionNameFences, encodingPages, off)
	x.writeBlob(sectionNames, appendNames(nil, names))
}
