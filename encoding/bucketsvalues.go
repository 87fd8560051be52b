package encoding

import (
	"fmt"
	"math"

	"tsdb/internal/model"
)

// The values of buckets. The head is a byte for the columns that are left out: 0, or
// maskResets if the rows have no changes, resets and lost (model.BucketNoResets). Those
// columns have form 0 then and no values. The inner columns, in this order, so that each is predicted from those before it:
//
//	          form 0 equal to, 2 distance from       3 distance from
//	last      form 0: 0                              -                           floats
//	first     last                                   last of the row before      floats
//	last2     last                                   -                           floats
//	min       lower of first and last                -                           floats
//	max       higher of first and last               -                           floats
//	sum       count · (first + last) / 2             count · (min + max) / 2     floats
//	changes   form 0: 0, form 2: count - 1 minus     -                           integers
//	resets    form 0: 0, form 2: changes / 2         -                           integers
//	lost      resets · max                           resets · (sum / count)      floats
//	flags     form 0: 0                              -                           integers
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
	bucketChanges
	bucketResets
	bucketLost
	bucketFlags
	bucketValues // number of them
)

// maskResets is the bit of the mask for changes, resets and lost.
const maskResets = 1

// isLeftOut reports whether column k is one of those that maskResets leaves out.
func isLeftOut(k int) bool { return bucketNeeds[k]&model.ResetColumns != 0 }

var bucketValuesParts = [bucketValues]bucketPart{
	{"last", formsOwn}, {"first", formsTwo}, {"last but one", formsOne}, {"min", formsOne}, {"max", formsOne},
	{"sum", formsTwo}, {"changes", formsOne}, {"resets", formsOne}, {"lost", formsTwo}, {"flags", formsOwn},
}

// bucketNeeds are the columns that callers ask for.
var bucketNeeds = [bucketValues]model.BucketColumns{
	bucketLast: model.ColumnLast, bucketFirst: model.ColumnFirst, bucketLast2: model.ColumnLast2,
	bucketMin: model.ColumnMin, bucketMax: model.ColumnMax, bucketSum: model.ColumnSum,
	bucketChanges: model.ColumnChanges, bucketResets: model.ColumnResets, bucketLost: model.ColumnLost,
}

// bucketRows are the columns of values of some rows, and what they are predicted from.
type bucketRows struct {
	counts  []uint32
	floats  [bucketValues][]float64 // nil for columns of integers
	numbers [bucketValues][]uint32  // of changes and resets
}

func rowsOfBuckets(b *model.Buckets, from int) bucketRows {
	r := bucketRows{counts: b.Count[from:]}
	for k, vs := range [bucketValues][]float64{bucketLast: b.V1, bucketFirst: b.FirstV, bucketLast2: b.V2,
		bucketMin: b.Min, bucketMax: b.Max, bucketSum: b.Sum, bucketLost: b.Lost} {
		if vs != nil {
			r.floats[k] = vs[from:]
		}
	}
	r.numbers[bucketChanges], r.numbers[bucketResets] = b.Changes[from:], b.Resets[from:]
	return r
}

// AppendBucketValues appends the column of the flags and values of b, which has at
// most MaxValues rows. Values of rows with too few samples for them are not stored:
// they read as 0. All rows have BucketNoResets or none has; with it, changes, resets
// and lost are not stored either. The column of no rows is empty.
func AppendBucketValues(dst []byte, b *model.Buckets) []byte {
	n := b.Len()
	checkAppend("bucket values", n)
	if n == 0 {
		return dst
	}
	if n == 1 && isSingleSample(b) {
		return appendSingleSample(dst, b)
	}
	return appendBucketValues(dst, b)
}

// isSingleSample reports whether the only row of b is as one ordinary sample makes it:
// then all its values follow from the last one.
func isSingleSample(b *model.Buckets) bool {
	v := math.Float64bits(b.V1[0])
	ok := b.Count[0] == 1 && b.Flags[0]&^model.BucketNoResets == 0 && math.Float64bits(trapezoid(1, b.V1[0], b.V1[0])) == v
	for _, w := range [...]float64{b.FirstV[0], b.Min[0], b.Max[0], b.Sum[0]} {
		ok = ok && math.Float64bits(w) == v
	}
	noResets := b.Flags[0]&model.BucketNoResets != 0
	return ok && (noResets || b.Changes[0]|b.Resets[0] == 0 && math.Float64bits(b.Lost[0]) == 0)
}

// appendSingleSample is AppendBucketValues of such a row. Series that come and go have
// chunks of nothing else.
func appendSingleSample(dst []byte, b *model.Buckets) []byte {
	mask := byte(0)
	if b.Flags[0]&model.BucketNoResets != 0 {
		mask = maskResets
	}
	if math.Float64bits(b.V1[0]) == 0 {
		return append(dst, mask, byte(formPredicted))
	}
	return appendConst(append(dst, mask, byte(formOwn)<<(formBits*bucketLast)), b.V1[0])
}

// appendBucketValues is AppendBucketValues of any rows.
func appendBucketValues(dst []byte, b *model.Buckets) []byte {
	s := takeBucketScratch()
	defer s.put()
	rows := rowsOfBuckets(b, 0)
	s.fillFloats(&rows)
	mask := byte(0)
	if b.Flags[0]&model.BucketNoResets != 0 {
		mask = maskResets
	}
	for k := range bucketValues {
		switch {
		case mask&maskResets != 0 && isLeftOut(k):
		case k == bucketFlags:
			s.appendFlags(b.Flags)
		case rows.floats[k] != nil:
			s.appendFloats(k, &rows)
		default:
			s.appendNumbers(k, &rows)
		}
	}
	return s.parts.append(append(dst, mask), bucketValues)
}

// fillFloats replaces the columns of floats by copies with values also in the rows
// that have none: the last value of the row before, and sum and lost as predicted.
func (s *bucketScratch) fillFloats(rows *bucketRows) {
	v1s := rows.floats[bucketLast]
	for k, vs := range rows.floats {
		if vs != nil {
			s.floats[k] = append(s.floats[k][:0], vs...)
			rows.floats[k] = s.floats[k]
		}
	}
	last := 0.0
	for i, count := range rows.counts {
		if count > 1 {
			last = v1s[i]
			continue
		}
		if count == 1 {
			last = v1s[i]
		} else {
			for k := range bucketSum {
				s.floats[k][i] = last
			}
			s.floats[bucketSum][i], s.floats[bucketLost][i] = trapezoid(0, last, last), 0
		}
		s.floats[bucketLast2][i] = last
	}
}

// appendFloats encodes a column of floats in the form that takes the fewest bytes, of
// those that a sample of the values leaves.
func (s *bucketScratch) appendFloats(k int, rows *bucketRows) {
	vs, p := rows.floats[k], &s.parts
	s.preds = sized(s.preds, len(vs))
	if equalBits(vs, predictFloats(s.preds, k, formFirst, rows)) {
		return
	}
	var sumsOf formula
	var try formScores
	if k == bucketLost {
		// Distances say little: in one form only they may have a divisor.
		try.all = true
		if p.forms[bucketLast] == formOwn {
			h, _, _ := parseFloatHeader(p.bodies[bucketLast], len(vs))
			sumsOf = h.formula
		}
	}
	try.add(formOwn, vs, nil)
	for form := formFirst; form <= formSecond; form++ {
		if bucketValuesParts[k].forms>>form&1 != 0 {
			try.add(form, vs, predictFloats(s.preds, k, form, rows))
			if k == bucketSum && form == formSecond {
				try.sums[form] += try.n // a bit a value: see sizeToCompare
			}
		}
	}
	var worth [formSecond + 1]bool
	for form := formOwn; form <= formSecond; form++ {
		worth[form] = try.worth(form)
	}
	if len(vs) >= trialFrom {
		s.dropLonger(&worth, k, rows, sumsOf)
	}
	p.forms[k], s.bytes[k] = formPredicted, s.bytes[k][:0]
	for form := formOwn; form <= formSecond; form++ {
		if !worth[form] {
			continue
		}
		s.encodeForm(form, k, rows, 0, len(vs), sumsOf)
		if p.forms[k] == formPredicted || sizeToCompare(k, form, len(s.column)) < len(s.bytes[k]) {
			p.forms[k], s.bytes[k] = form, append(s.bytes[k][:0], s.column...)
		}
	}
	p.bodies[k] = s.bytes[k]
}

// sizeToCompare returns the bytes of a column in a form, to be compared with those of
// other forms: more if a reader of the column pays for the form. Sums by the second form
// need min and max, which averages do not read otherwise, and save a few percent of
// the column at best where the first form is possible at all.
func sizeToCompare(k int, form bucketForm, size int) int {
	if k == bucketSum && form == formSecond {
		return size + size/secondSumBias
	}
	return size
}

// secondSumBias is the fraction, 1/secondSumBias, by which sums must be shorter by the
// second form.
const secondSumBias = 8

// encodeForm sets s.column to the rows i ≤ row < j of a column of floats in a form.
func (s *bucketScratch) encodeForm(form bucketForm, k int, rows *bucketRows, i, j int, sumsOf formula) {
	vs := rows.floats[k]
	if form == formOwn {
		s.column, _ = AppendFloats(s.column[:0], vs[i:j], Full, 0)
		return
	}
	preds := predictFloats(s.preds, k, form, rows)
	s.column = appendPredictedFloats(s.column[:0], vs[i:j], preds[i:j], sumsOf)
}

// dropLonger removes the forms that take more bytes than another on the middle of the
// column.
func (s *bucketScratch) dropLonger(worth *[formSecond + 1]bool, k int, rows *bucketRows, sumsOf formula) {
	forms := 0
	for _, w := range worth {
		if w {
			forms++
		}
	}
	if forms < 2 {
		return
	}
	n := len(rows.floats[k])
	var sizes [formSecond + 1]int
	shortest := math.MaxInt
	for form := formOwn; form <= formSecond; form++ {
		if worth[form] {
			s.encodeForm(form, k, rows, n*3/8, n*5/8, sumsOf)
			sizes[form] = sizeToCompare(k, form, len(s.column))
			shortest = min(shortest, sizes[form])
		}
	}
	for form, size := range sizes {
		worth[form] = worth[form] && size <= shortest+shortest/trialBias
	}
}

// appendNumbers encodes changes or resets.
func (s *bucketScratch) appendNumbers(k int, rows *bucketRows) {
	s.ints = sized(s.ints, len(rows.counts))
	ks, numbers := s.ints, rows.numbers[k]
	for i, count := range rows.counts {
		ks[i] = 0
		if count > 0 {
			ks[i] = int64(numbers[i])
		}
	}
	if allZero(ks) {
		return
	}
	p := &s.parts
	p.forms[k] = formOwn
	s.bytes[k] = appendNumberColumn(s.bytes[k][:0], ks, tryRaw|tryDelta)
	for i, count := range rows.counts {
		if count > 0 {
			ks[i] = predictNumber(k, count, rows.numbers[bucketChanges][i]) - ks[i]
		}
	}
	if s.column = appendNumberColumn(s.column[:0], ks, tryRaw|tryDelta); len(s.column) < len(s.bytes[k]) {
		p.forms[k], s.bytes[k] = formFirst, append(s.bytes[k][:0], s.column...)
	}
	p.bodies[k] = s.bytes[k]
}

func (s *bucketScratch) appendFlags(flags []model.BucketFlags) {
	s.ints = sized(s.ints, len(flags))
	common := flags[0] & model.BucketNoResets // in the mask
	for i, f := range flags {
		if f ^= common; !f.Valid() {
			panic(fmt.Sprintf("BUG: bucket flags %#x", f))
		}
		s.ints[i] = int64(f)
	}
	if !allZero(s.ints) {
		s.bytes[bucketFlags] = appendNumberColumn(s.bytes[bucketFlags][:0], s.ints, tryRaw|tryDelta)
		s.parts.forms[bucketFlags], s.parts.bodies[bucketFlags] = formOwn, s.bytes[bucketFlags]
	}
}

func equalBits(vs, ws []float64) bool {
	for i, v := range vs {
		if math.Float64bits(v) != math.Float64bits(ws[i]) {
			return false
		}
	}
	return true
}
