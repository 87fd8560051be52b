package encoding

import (
	"fmt"
	"math"

	"tsdb/internal/model"
)

// The values of buckets. The head is a byte for the columns that are left out, 0: none.
// The inner columns, in this order, so that each is predicted from those before it:
//
//	          form 0 equal to, 2 distance from       3 distance from
//	last      form 0: 0                              -                        floats
//	first     last                                   last of the row before
//	last2     last                                   -
//	min       lower of first and last                -
//	max       higher of first and last               -
//	sum       count · (first + last) / 2             count · (min + max) / 2
//	lost      form 0: 0                              -
//	changes   form 0: 0, form 2: count - 1 minus     -                        integers
//	resets    form 0: 0                              -
//	flags     form 0: 0                              -
//
// Floats of form 1 are a column of floats; with forms 2 and 3 they are one of which the
// column of integers holds differences from the integers of the predictions: see
// predicted.go. There is a value for every row; the reader sets those to 0 for which
// the row has too few samples: last2 needs 2, flags none, all others 1.

const (
	bucketLast = iota
	bucketFirst
	bucketLast2
	bucketMin
	bucketMax
	bucketSum
	bucketLost
	bucketChanges
	bucketResets
	bucketFlags
	bucketValues // number of them

	bucketFloats = bucketLost + 1 // number of columns of floats
)

var bucketValuesParts = [bucketValues]bucketPart{
	{"last", formsOwn}, {"first", formsTwo}, {"last but one", formsOne}, {"min", formsOne}, {"max", formsOne},
	{"sum", formsTwo}, {"lost", formsOwn}, {"changes", formsOne}, {"resets", formsOwn}, {"flags", formsOwn},
}

// bucketNeeds are the columns that callers ask for.
var bucketNeeds = [bucketValues]model.BucketColumns{
	bucketLast: model.ColumnLast, bucketFirst: model.ColumnFirst, bucketLast2: model.ColumnLast2,
	bucketMin: model.ColumnMin, bucketMax: model.ColumnMax, bucketSum: model.ColumnSum, bucketLost: model.ColumnLost,
	bucketChanges: model.ColumnChanges, bucketResets: model.ColumnResets,
}

func floatsOfBuckets(b *model.Buckets) [bucketFloats][]float64 {
	return [bucketFloats][]float64{b.V1, b.FirstV, b.V2, b.Min, b.Max, b.Sum, b.Lost}
}

// AppendBucketValues appends the column of the flags and values of b, which has at
// most MaxValues rows. Values of rows with too few samples for them are not stored:
// they read as 0. The column of no rows is empty.
func AppendBucketValues(dst []byte, b *model.Buckets) []byte {
	n := b.Len()
	checkAppend("bucket values", n)
	if n == 0 {
		return dst
	}
	s := takeBucketScratch()
	defer s.put()
	s.fillFloats(b)
	for k := range bucketFloats {
		s.appendFloats(k, b.Count)
	}
	for k := bucketChanges; k < bucketValues; k++ {
		s.appendNumbers(k, b)
	}
	return s.parts.append(append(dst, 0), bucketValues)
}

// fillFloats sets s.floats to the columns of b, with values also in the rows that have
// none: the last value of the row before, and the sum as predicted from it.
func (s *bucketScratch) fillFloats(b *model.Buckets) {
	for k, vs := range floatsOfBuckets(b) {
		s.floats[k] = append(s.floats[k][:0], vs...)
	}
	last := 0.0
	for i, count := range b.Count {
		if count > 1 {
			last = b.V1[i]
			continue
		}
		if count == 1 {
			last = b.V1[i]
		} else {
			for k := range bucketSum {
				s.floats[k][i] = last
			}
			s.floats[bucketSum][i], s.floats[bucketLost][i] = trapezoid(0, last, last), 0
		}
		s.floats[bucketLast2][i] = last
	}
}

// predict sets s.preds to what a form predicts of a column of floats, from counts and
// the columns of floats before it.
func (s *bucketScratch) predict(k int, form bucketForm, counts []uint32, floats *[bucketFloats][]float64) []float64 {
	n := len(counts)
	last, first := floats[bucketLast], floats[bucketFirst]
	switch {
	case k == bucketLast || k == bucketLost:
		s.preds = sized(s.preds, n)
		clear(s.preds)
		return s.preds
	case k == bucketFirst && form == formSecond:
		s.preds = sized(s.preds, n)
		copy(s.preds[1:], last)
		s.preds[0] = last[0]
		return s.preds
	case k == bucketFirst || k == bucketLast2:
		return last
	}
	s.preds = sized(s.preds, n)
	preds := s.preds
	last, first = last[:n], first[:n]
	switch k {
	case bucketMin:
		for i, v := range first {
			if w := last[i]; w < v {
				v = w
			}
			preds[i] = v
		}
	case bucketMax:
		for i, v := range first {
			if w := last[i]; w > v {
				v = w
			}
			preds[i] = v
		}
	case bucketSum:
		if form == formSecond {
			first, last = floats[bucketMin][:n], floats[bucketMax][:n]
		}
		for i, count := range counts {
			preds[i] = trapezoid(count, first[i], last[i])
		}
	}
	return preds
}

// trapezoid returns the sum of count values that lie on a line from first to last, 0 if
// it is not finite: the bits of a NaN depend on the machine. No product is added to
// anything, so it is the same on all machines.
func trapezoid(count uint32, first, last float64) float64 {
	v := float64(float64(first+last)*0.5) * float64(count)
	if v-v != 0 {
		return 0
	}
	return v
}

// appendFloats encodes a column of floats in the form that takes the fewest bytes.
func (s *bucketScratch) appendFloats(k int, counts []uint32) {
	vs, p := s.floats[k], &s.parts
	preds := s.predict(k, formFirst, counts, &s.floats)
	if equalBits(vs, preds) {
		return
	}
	s.bytes[k], _ = AppendFloats(s.bytes[k][:0], vs, Full, 0)
	p.forms[k] = formOwn
	for form := formFirst; form <= formSecond; form++ {
		if bucketValuesParts[k].forms>>form&1 == 0 {
			continue
		}
		preds := s.predict(k, form, counts, &s.floats)
		if s.column = appendPredictedFloats(s.column[:0], vs, preds); len(s.column) < len(s.bytes[k]) {
			p.forms[k], s.bytes[k] = form, append(s.bytes[k][:0], s.column...)
		}
	}
	p.bodies[k] = s.bytes[k]
}

func equalBits(vs, ws []float64) bool {
	for i, v := range vs {
		if math.Float64bits(v) != math.Float64bits(ws[i]) {
			return false
		}
	}
	return true
}

// appendNumbers encodes a column of integers.
func (s *bucketScratch) appendNumbers(k int, b *model.Buckets) {
	s.ints = sized(s.ints, b.Len())
	ks := s.ints
	for i, count := range b.Count {
		switch {
		case k == bucketFlags:
			f := b.Flags[i]
			if !f.Valid() {
				panic(fmt.Sprintf("BUG: bucket flags %#x", f))
			}
			ks[i] = int64(f)
		case count == 0:
			ks[i] = 0
		case k == bucketChanges:
			ks[i] = int64(b.Changes[i])
		default:
			ks[i] = int64(b.Resets[i])
		}
	}
	p := &s.parts
	if allZero(ks) {
		return
	}
	p.forms[k] = formOwn
	s.bytes[k] = AppendTimestamps(s.bytes[k][:0], ks, Full)
	if k == bucketChanges {
		for i, c := range b.Count {
			if c > 0 {
				ks[i] = int64(c) - 1 - ks[i]
			}
		}
		if s.column = AppendTimestamps(s.column[:0], ks, Full); len(s.column) < len(s.bytes[k]) {
			p.forms[k], s.bytes[k] = formFirst, append(s.bytes[k][:0], s.column...)
		}
	}
	p.bodies[k] = s.bytes[k]
}

// DecodeBucketValues fills the flags and the needed values of the rows of dst from
// from on, whose times DecodeBucketTimes has appended. src is exactly one column.
// Columns of values that are not needed are 0 in these rows, all of them after an
// error.
func DecodeBucketValues(dst *model.Buckets, from int, src []byte, need model.BucketColumns) error {
	n := dst.Len() - from
	if err := checkDecode("bucket values", n); err != nil {
		return err
	}
	if n == 0 {
		if len(src) > 0 {
			return corruptf("bucket values: %d bytes for no row", len(src))
		}
		return nil
	}
	s := takeBucketScratch()
	defer s.put()
	err := s.decodeValues(dst, from, src, need)
	if err != nil {
		need = 0
		clear(dst.Flags[from:])
	}
	for k, vs := range floatsOfBuckets(dst) {
		if need&bucketNeeds[k] == 0 {
			clear(vs[from:])
		}
	}
	if need&model.ColumnChanges == 0 {
		clear(dst.Changes[from:])
	}
	if need&model.ColumnResets == 0 {
		clear(dst.Resets[from:])
	}
	return err
}

// parseValues reads the head and the inner columns of values.
func (p *bucketParts) parseValues(src []byte) error {
	if len(src) == 0 {
		return corruptf("bucket values: no mask")
	}
	if src[0] != 0 {
		return corruptf("bucket values: unknown mask %#02x", src[0])
	}
	return p.parse(src[1:], bucketValuesParts[:])
}

// decodeValues decodes the columns that are needed, and those from which they are
// predicted.
func (s *bucketScratch) decodeValues(dst *model.Buckets, from int, src []byte, need model.BucketColumns) error {
	if err := s.parts.parseValues(src); err != nil {
		return err
	}
	for k := bucketSum; k > bucketLast; k-- {
		if need&bucketNeeds[k] != 0 {
			need |= s.parts.predictors(k)
		}
	}
	counts := dst.Count[from:]
	floats := floatsOfBuckets(dst)
	for k := range floats {
		floats[k] = floats[k][from:]
	}
	for k, vs := range floats {
		if need&bucketNeeds[k] == 0 {
			continue
		}
		if err := s.decodeFloats(vs, k, counts, &floats); err != nil {
			return err
		}
	}
	for k := bucketChanges; k < bucketValues; k++ {
		if k != bucketFlags && need&bucketNeeds[k] == 0 {
			continue
		}
		if err := s.decodeNumbers(dst, from, k); err != nil {
			return err
		}
	}
	for i, count := range counts {
		if count > 1 {
			continue
		}
		floats[bucketLast2][i] = 0
		if count == 0 {
			for k := range floats {
				floats[k][i] = 0
			}
		}
	}
	return nil
}

// predictors returns the columns from which the form of column k is predicted.
func (p *bucketParts) predictors(k int) model.BucketColumns {
	switch {
	case p.forms[k] == formOwn:
		return 0
	case k == bucketFirst || k == bucketLast2:
		return model.ColumnLast
	case k == bucketSum && p.forms[k] == formSecond:
		return model.ColumnMin | model.ColumnMax
	}
	return model.ColumnFirst | model.ColumnLast
}

func (s *bucketScratch) decodeFloats(vs []float64, k int, counts []uint32, floats *[bucketFloats][]float64) error {
	switch form := s.parts.forms[k]; form {
	case formOwn:
		_, err := DecodeFloats(vs[:0], s.parts.bodies[k], len(vs))
		return err
	case formPredicted:
		copy(vs, s.predict(k, formFirst, counts, floats))
		return nil
	default:
		return decodePredictedFloats(vs, s.predict(k, form, counts, floats), s.parts.bodies[k])
	}
}

func (s *bucketScratch) decodeNumbers(b *model.Buckets, from, k int) error {
	n := b.Len() - from
	counts := b.Count[from:][:n]
	s.ints = sized(s.ints, n)
	ks := s.ints
	form := s.parts.forms[k]
	if form == formPredicted {
		clear(ks)
	} else if err := decodeInts(wordsOfInts(ks), s.parts.bodies[k]); err != nil {
		return err
	}
	if k == bucketFlags {
		flags := b.Flags[from:][:n]
		for i, v := range ks {
			if flags[i] = model.BucketFlags(v); int64(flags[i]) != v || !flags[i].Valid() {
				return corruptf("bucket values: flags %#x", v)
			}
		}
		return nil
	}
	numbers := b.Resets[from:][:n]
	if k == bucketChanges {
		numbers = b.Changes[from:][:n]
	}
	for i, v := range ks {
		if counts[i] == 0 {
			numbers[i] = 0
			continue
		}
		if form == formFirst {
			v = int64(counts[i]) - 1 - v
		}
		if numbers[i] = uint32(v); int64(numbers[i]) != v {
			return corruptf("bucket values: %d %s", v, bucketValuesParts[k].name)
		}
	}
	return nil
}
