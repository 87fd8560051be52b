package encoding

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"tsdb/internal/model"
)

// The times of buckets. The head is the interval between samples (u), 0 if nothing is
// predicted from it. The inner columns are columns of integers:
//
//	         form 1                       form 2, form 0: distance from, or equal to
//	steps    end / resolution             -
//	count    count                        number of due times in the bucket
//	first    first - start                the first due time
//	last     end - t1                     first + (count - 1) · interval
//	last2    end - t2                     t1 - interval
//	last3    end - t3                     t2 - interval
//
// start is end - resolution. Times are due at k · interval, k ≥ 1, after t1 of the
// last row before that has one, at first after start. With form 1 the jitter of a
// scrape is in one number and a regular scrape is a constant; form 2 is for intervals
// of which the resolution is no multiple. Columns have a number for every row; it is
// not used in rows with too few samples for it: last needs 2, last2 3, last3 4,
// because t1, t2 or t3 is the first time otherwise.

const (
	bucketSteps = iota
	bucketCount
	bucketFirstTime
	bucketLastTime
	bucketLast2Time
	bucketLast3Time
	bucketTimes // number of them
)

const formsTime = 1<<formPredicted | 1<<formOwn | 1<<formFirst

var bucketTimesParts = [bucketTimes]bucketPart{
	{"steps", 1 << formOwn}, {"count", formsTime}, {"first time", formsTime},
	{"last time", formsTime}, {"last but one time", formsTime}, {"last but two time", formsTime},
}

// AppendBucketTimes appends the column of the times of b: End, Count, First, T1, T2
// and T3. There are at most MaxValues rows, of buckets of the resolution, in
// milliseconds; it panics if their times contradict each other. The column of no rows
// is empty. The bytes are a function of the arguments, so equal times can be stored
// once.
func AppendBucketTimes(dst []byte, b *model.Buckets, resolution int64) []byte {
	checkResolution(resolution)
	n := b.Len()
	checkAppend("bucket times", n)
	if n == 0 {
		return dst
	}
	if err := checkBuckets(b, 0, resolution); err != nil {
		panic(fmt.Sprintf("BUG: %v", err))
	}
	s := takeBucketScratch()
	defer s.put()
	s.ints, s.others = sized(s.ints, n), sized(s.others, n)
	for i, end := range b.End {
		s.ints[i] = end / resolution
	}
	p := &s.parts
	p.forms[bucketSteps] = formOwn
	s.bytes[bucketSteps] = appendNumberColumn(s.bytes[bucketSteps][:0], s.ints, tryAll)
	p.bodies[bucketSteps] = s.bytes[bucketSteps]
	interval, used := bucketInterval(b), int64(0)
	for k := bucketCount; k < bucketTimes; k++ {
		fromEdges(s.ints, b, k, resolution)
		s.bytes[k] = appendNumberColumn(s.bytes[k][:0], s.ints, tryAll)
		p.forms[k], p.bodies[k] = formOwn, s.bytes[k]
		if interval == 0 || len(s.bytes[k]) < bucketTimesShort {
			continue
		}
		fromInterval(s.others, b, k, resolution, interval)
		if allZero(s.others) {
			p.forms[k], used = formPredicted, interval
			continue
		}
		s.column = appendNumberColumn(s.column[:0], s.others, tryAll)
		if len(s.column) < len(s.bytes[k]) {
			s.bytes[k] = append(s.bytes[k][:0], s.column...)
			p.forms[k], p.bodies[k], used = formFirst, s.bytes[k], interval
		}
	}
	return p.append(binary.AppendUvarint(dst, uint64(used)), bucketTimes)
}

// bucketTimesShort is the length from which on a column is compared with the
// distances from the interval: a regular one takes four bytes.
const bucketTimesShort = 8

func checkResolution(resolution int64) {
	if resolution < 1 {
		panic(fmt.Sprintf("BUG: buckets of %d ms", resolution))
	}
}

// bucketInterval returns the median of the last intervals of some buckets, 0 if none
// has two samples.
func bucketInterval(b *model.Buckets) int64 {
	const most = 31
	var buf [most]int64
	intervals := buf[:0]
	indexes := sampleIndexesOf(most, b.Len())
	for k := range most {
		if i := indexes.at(k); b.Count[i] > 1 {
			intervals = append(intervals, b.T1[i]-b.T2[i])
		}
	}
	if len(intervals) == 0 {
		return 0
	}
	slices.Sort(intervals)
	return intervals[len(intervals)/2]
}

// timeMinCount is the number of samples from which on a row has a time of its own in
// the column: with fewer it is the first one, or there is none.
var timeMinCount = [bucketTimes]uint32{bucketFirstTime: 1, bucketLastTime: 2, bucketLast2Time: 3, bucketLast3Time: 4}

// fromEdges sets ks to the integers of form 1 of column k. Rows without a time repeat
// the row before.
func fromEdges(ks []int64, b *model.Buckets, k int, resolution int64) {
	if k == bucketCount {
		for i, c := range b.Count {
			ks[i] = int64(c)
		}
		return
	}
	ts := bucketTimesOf(b, k)
	min, before, filled := timeMinCount[k], int64(0), false
	for i, end := range b.End {
		if b.Count[i] >= min {
			if before = end - ts[i]; k == bucketFirstTime {
				before = resolution - before
			}
			if !filled {
				filled = true
				for j := range i {
					ks[j] = before
				}
			}
		}
		ks[i] = before
	}
}

// fromInterval sets ks to the integers of form 2 of column k.
func fromInterval(ks []int64, b *model.Buckets, k int, resolution, interval int64) {
	min, before := timeMinCount[k], b.End[0]-resolution
	for i, end := range b.End {
		count := int64(b.Count[i])
		ks[i] = 0
		if b.Count[i] >= min {
			switch k {
			case bucketCount:
				ks[i] = count - dueCount(firstDue(before, end-resolution, interval), end, interval)
			case bucketFirstTime:
				ks[i] = b.First[i] - firstDue(before, end-resolution, interval)
			case bucketLastTime:
				ks[i] = b.T1[i] - b.First[i] - (count-1)*interval
			case bucketLast2Time:
				ks[i] = b.T2[i] - b.T1[i] + interval
			case bucketLast3Time:
				ks[i] = b.T3[i] - b.T2[i] + interval
			}
		}
		if count > 0 {
			before = b.T1[i]
		}
	}
}

// firstDue returns the first time after start that is a multiple of interval after
// the time before, which is not after start.
func firstDue(before, start, interval int64) int64 {
	due := before + interval
	if due <= start {
		due += (start - due + interval) / interval * interval
	}
	return due
}

// dueCount returns the number of times up to end that are due every interval, the
// first of them given.
func dueCount(first, end, interval int64) int64 {
	if first > end {
		return 0
	}
	return (end-first)/interval + 1
}

func bucketTimesOf(b *model.Buckets, k int) []int64 {
	switch k {
	case bucketFirstTime:
		return b.First
	case bucketLastTime:
		return b.T1
	case bucketLast2Time:
		return b.T2
	}
	return b.T3
}

// DecodeBucketTimes appends n rows with the times of src, exactly one column, and
// without values. On an error dst is left as it was.
func DecodeBucketTimes(dst *model.Buckets, src []byte, n int, resolution int64) error {
	checkResolution(resolution)
	if err := checkDecode("bucket times", n); err != nil {
		return err
	}
	if n == 0 {
		if len(src) > 0 {
			return corruptf("bucket times: %d bytes for no row", len(src))
		}
		return nil
	}
	s := takeBucketScratch()
	defer s.put()
	interval, err := s.parts.parseTimes(src)
	if err != nil {
		return err
	}
	if interval >= uint64(resolution) {
		return corruptf("bucket times: interval %d in buckets of %d ms", interval, resolution)
	}
	from := dst.Grow(n)
	checked, err := s.decodeTimes(dst, from, resolution, int64(interval))
	if err == nil {
		err = checkBuckets(dst, from+max(checked-1, 0), resolution)
	}
	if err != nil {
		dst.Truncate(from)
	}
	return err
}

// parseTimes reads the head and the inner columns of times.
func (p *bucketParts) parseTimes(src []byte) (interval uint64, err error) {
	interval, src, err = Uvarint(src)
	if err != nil {
		return 0, err
	}
	if err := p.parse(src, bucketTimesParts[:]); err != nil {
		return 0, err
	}
	for k := bucketCount; k < bucketTimes; k++ {
		if p.forms[k] != formOwn && interval == 0 {
			return 0, corruptf("bucket times: %s without an interval", bucketTimesParts[k].name)
		}
	}
	return interval, nil
}

// decodeTimes fills the times and counts of the rows from from on. It returns how many
// of them have been checked.
func (s *bucketScratch) decodeTimes(b *model.Buckets, from int, resolution, interval int64) (checked int, err error) {
	n := len(b.End) - from
	s.ints = sized(s.ints, n)
	forms := &s.parts.forms
	for k, ks := range [bucketTimes][]int64{b.End[from:], s.ints, b.First[from:], b.T1[from:], b.T2[from:], b.T3[from:]} {
		switch {
		case forms[k] != formPredicted:
			if err := decodeInts(wordsOfInts(ks), s.parts.bodies[k]); err != nil {
				return 0, err
			}
		case k == bucketCount: // the other columns are zero already
			clear(ks)
		}
	}
	before := b.End[from]*resolution - resolution
	if *forms == formsRegular {
		if checked = s.fromEdgesOnly(b, from, resolution); checked > 0 {
			before = b.T1[from+checked-1]
		}
	}
	return checked, s.fromForms(b, from, checked, before, resolution, interval)
}

// formsRegular are the forms of times without predictions.
var formsRegular = [maxBucketParts]bucketForm{formOwn, formOwn, formOwn, formOwn, formOwn, formOwn}

// fromEdgesOnly turns the numbers of the rows from from on into times, all of form 1, up
// to the first row that is wrong or has fewer than 4 samples. It returns the number of
// rows before it.
func (s *bucketScratch) fromEdgesOnly(b *model.Buckets, from int, resolution int64) int {
	n := len(b.End) - from
	ends, firsts, t1s, t2s, t3s := b.End[from:][:n], b.First[from:][:n], b.T1[from:][:n], b.T2[from:][:n], b.T3[from:][:n]
	counts, limit := b.Count[from:][:n], math.MaxInt64/resolution-1
	before := -limit - 1
	for i, count := range s.ints[:n] {
		k := ends[i]
		end := k * resolution
		start := end - resolution
		first, t1, t2, t3 := start+firsts[i], end-t1s[i], end-t2s[i], end-t3s[i]
		if k <= before || k > limit || uint64(count) > math.MaxUint32 || count < 4 ||
			first <= start || first >= t3 || t3 >= t2 || t2 >= t1 || t1 > end || count-3 > t3-first {
			return i
		}
		before = k
		ends[i], counts[i], firsts[i], t1s[i], t2s[i], t3s[i] = end, uint32(count), first, t1, t2, t3
	}
	return n
}

// fromForms turns the numbers of the rows from from+i on into times. before is the last
// time before them.
func (s *bucketScratch) fromForms(b *model.Buckets, from, i int, before, resolution, interval int64) error {
	n := len(b.End) - from
	ends, firsts, t1s, t2s, t3s := b.End[from:][:n], b.First[from:][:n], b.T1[from:][:n], b.T2[from:][:n], b.T3[from:][:n]
	forms, counts := &s.parts.forms, b.Count[from:][:n]
	due := forms[bucketCount] != formOwn || forms[bucketFirstTime] != formOwn
	for ; i < n; i++ {
		count, end := s.ints[i], ends[i]*resolution
		start := end - resolution
		if end/resolution != ends[i] {
			return corruptf("bucket times: bucket %d of %d ms", ends[i], resolution)
		}
		ends[i] = end
		first, t1, t2, t3 := firsts[i], t1s[i], t2s[i], t3s[i]
		firstBy := start
		if due {
			next := firstDue(before, start, interval)
			if forms[bucketCount] != formOwn {
				count += dueCount(next, end, interval)
			}
			if forms[bucketFirstTime] != formOwn {
				firstBy = next
			}
		}
		if uint64(count) > math.MaxUint32 {
			return corruptf("bucket times: %d samples", count)
		}
		if counts[i] = uint32(count); count == 0 {
			firsts[i], t1s[i], t2s[i], t3s[i] = 0, 0, 0, 0
			continue
		}
		first += firstBy
		if t1 = end - t1; forms[bucketLastTime] != formOwn {
			t1 = first + (count-1)*interval + t1s[i]
		}
		if t2 = end - t2; forms[bucketLast2Time] != formOwn {
			t2 = t1 - interval + t2s[i]
		}
		if t3 = end - t3; forms[bucketLast3Time] != formOwn {
			t3 = t2 - interval + t3s[i]
		}
		switch count {
		case 1:
			t1, t2, t3 = first, 0, 0
		case 2:
			t2, t3 = first, 0
		case 3:
			t3 = first
		}
		firsts[i], t1s[i], t2s[i], t3s[i], before = first, t1, t2, t3, t1
	}
	return nil
}
