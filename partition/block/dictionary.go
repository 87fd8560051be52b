package block

import (
	"encoding/binary"
	"sort"

	"tsdb/partition/format"
)

// A dictionary is the sorted list of the values of one label name, in pages.
// In a page the values are front-coded in blocks of dictionaryBlock: the first of
// a block is stored in full, each other as the length of the prefix it shares with
// the previous one and the rest.
const (
	dictionaryBlock  = 16
	dictionaryValues = 1024     // values in a page
	dictionaryBytes  = 16 << 10 // bytes of values after which a page is closed
)

// appendDictionaryPage appends the first values, as many as fit one page, and
// returns their number, at least one.
func appendDictionaryPage(dst []byte, values []string) ([]byte, int) {
	n, bytes := 0, 0
	for n < len(values) && n < dictionaryValues && bytes < dictionaryBytes {
		bytes += len(values[n])
		n++
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	for i, v := range values[:n] {
		shared := 0
		if i%dictionaryBlock != 0 {
			shared = sharedPrefix(values[i-1], v)
			dst = binary.AppendUvarint(dst, uint64(shared))
		}
		dst = format.AppendString(dst, v[shared:])
	}
	return dst, n
}

// decodeDictionaryPage returns the values of a page, in strictly ascending order.
// They share one allocation.
func decodeDictionaryPage(b []byte) ([]string, error) {
	r := format.Reader{B: b}
	n := r.Count()
	ends := make([]int, 0, n)
	arena := make([]byte, 0, 2*len(b))
	from := 0 // of the previous value
	for i := range n {
		shared := 0
		if i%dictionaryBlock != 0 {
			shared = int(r.Uvarint(uint64(len(arena) - from)))
		}
		suffix := r.Bytes(r.Uvarint(maxLabelBytes))
		if r.Err == nil && (len(arena)+shared+len(suffix) > maxPageBytes || shared+len(suffix) == 0 || shared+len(suffix) > maxLabelBytes) {
			r.Fail("value out of range")
		}
		if r.Err != nil {
			break
		}
		start := len(arena)
		arena = append(arena, arena[from:from+shared]...)
		arena = append(arena, suffix...)
		from = start
		ends = append(ends, len(arena))
	}
	if err := r.End("dictionary page"); err != nil {
		return nil, err
	}
	all := string(arena)
	values := make([]string, n)
	from = 0
	for i, end := range ends {
		values[i] = all[from:end]
		from = end
		if i > 0 && values[i] <= values[i-1] {
			return nil, format.Corrupt("dictionary page: values not sorted")
		}
	}
	return values, nil
}

func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// nameEntry is one label name of a block: its dictionary and its postings.
type nameEntry struct {
	name     string
	values   uint32 // number of values
	fenceOff int64  // of its fences, in the section of name fences
	fenceLen uint32
	fenceCRC uint32
}

// appendNames appends the list of names. They are sorted, and their fences are
// stored in the same order without gaps.
func appendNames(dst []byte, names []nameEntry) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, n := range names {
		dst = format.AppendString(dst, n.name)
		dst = binary.AppendUvarint(dst, uint64(n.values))
		dst = binary.AppendUvarint(dst, uint64(n.fenceLen))
		dst = binary.LittleEndian.AppendUint32(dst, n.fenceCRC)
	}
	return dst
}

func decodeNames(b []byte, fenceBytes int64) ([]nameEntry, error) {
	r := format.Reader{B: b}
	n := r.Count()
	names := make([]nameEntry, 0, min(n, 1<<10))
	var off int64
	for range n {
		e := nameEntry{name: r.Text(maxLabelBytes), fenceOff: off}
		e.values = uint32(r.Uvarint(maxSeriesInBlock))
		e.fenceLen = uint32(r.Uvarint(maxSectionBytes))
		e.fenceCRC = r.Uint32()
		off += int64(e.fenceLen)
		if r.Err == nil && (off > fenceBytes || e.name == "" || e.values == 0) {
			r.Fail("name out of range")
		}
		if r.Err == nil && len(names) > 0 && e.name <= names[len(names)-1].name {
			r.Fail("names not sorted")
		}
		if r.Err != nil {
			break
		}
		names = append(names, e)
	}
	return names, r.End("names")
}

// nameFences holds the fences of the values and the postings of one name. Keys of
// both lists are numbers of values; number values stands for "any value".
type nameFences struct {
	dictionary []page
	// firsts has, for every dictionary page, the shortest prefix of its first
	// value that is greater than all values of the previous page.
	firsts   []string
	postings []page
	values   uint32 // number of values
}

func (f *nameFences) append(dst []byte) []byte {
	dst = appendFences(dst, f.dictionary)
	for _, v := range f.firsts {
		dst = format.AppendString(dst, v)
	}
	return appendFences(dst, f.postings)
}

func decodeNameFences(b []byte, values uint32, size int64) (*nameFences, error) {
	r := format.Reader{B: b}
	f := &nameFences{dictionary: readFences(&r, size), values: values}
	f.firsts = make([]string, len(f.dictionary))
	for i := range f.firsts {
		f.firsts[i] = r.Text(maxLabelBytes)
	}
	f.postings = readFences(&r, size)
	if err := r.End("name fences"); err != nil {
		return nil, err
	}
	for _, ps := range [][]page{f.dictionary, f.postings} {
		if len(ps) == 0 || ps[0].first != 0 || ps[len(ps)-1].first > values {
			return nil, format.Corrupt("name fences: pages of no value")
		}
	}
	return f, nil
}

// keys returns the number of keys in page i of a list with all keys in total.
func keys(ps []page, i int, all uint32) int {
	if i+1 < len(ps) {
		all = ps[i+1].first
	}
	return int(all - ps[i].first)
}

// separator returns the shortest prefix of first that is greater than last, the
// greatest value before it. It keeps fences short.
func separator(last, first string) string {
	n := 0
	for n < len(last) && n < len(first) && last[n] == first[n] {
		n++
	}
	return first[:min(n+1, len(first))]
}

// pageOfValue returns the number of the page that holds v if any does.
func (f *nameFences) pageOfValue(v string) int {
	return max(0, sort.Search(len(f.firsts), func(i int) bool { return f.firsts[i] > v })-1)
}
