package encoding

import (
	"fmt"

	"tsdb/internal/model"
)

// DecodeBucketValues fills the flags and the needed values of the rows of dst from
// from on, which have their times and counts. src is exactly one column. In these rows
// columns of values that are not needed stay as they are or become 0, all of them if
// there is an error. All rows get BucketNoResets, whatever is needed, if the column has
// no changes, resets and lost.
func DecodeBucketValues(dst *model.Buckets, from int, src []byte, need model.BucketColumns) error {
	return DecodeBucketValuesRange(dst, from, src, dst.Len()-from, 0, need)
}

// DecodeBucketValuesRange is DecodeBucketValues for a column of n rows of which dst has
// a part, from row i of the column on; it panics if the part exceeds the column. Rows
// after it cost little, those before it less than the part. Corruption elsewhere in the
// column may go unnoticed.
func DecodeBucketValuesRange(dst *model.Buckets, from int, src []byte, n, i int, need model.BucketColumns) error {
	if err := checkDecode("bucket values", n); err != nil {
		return err
	}
	j := i + dst.Len() - from
	if i < 0 || i > j || j > n {
		panic(fmt.Sprintf("BUG: rows %d to %d of a column of %d", i, j, n))
	}
	if n == 0 && len(src) > 0 {
		return corruptf("bucket values: %d bytes for no row", len(src))
	}
	if i == j {
		return nil
	}
	s := takeBucketScratch()
	defer s.put()
	s.n, s.i, s.j = n, i, j
	rows := rowsOfBuckets(dst, from)
	decoded, err := s.decodeValues(&rows, dst.Flags[from:], src, need)
	if err != nil {
		need = 0
		clear(dst.Flags[from:])
	}
	for k, c := range bucketNeeds {
		if decoded&^need&c != 0 {
			clear(rows.floats[k])
			clear(rows.numbers[k])
		}
	}
	return err
}

// parseValues reads the head and the inner columns of values.
func (p *bucketParts) parseValues(src []byte) (mask byte, err error) {
	if len(src) == 0 {
		return 0, corruptf("bucket values: no mask")
	}
	if mask = src[0]; mask&^maskResets != 0 {
		return 0, corruptf("bucket values: unknown mask %#02x", mask)
	}
	if err := p.parse(src[1:], bucketValuesParts[:]); err != nil || mask == 0 {
		return mask, err
	}
	for k, part := range bucketValuesParts {
		if isLeftOut(k) && p.forms[k] != formPredicted {
			return 0, corruptf("bucket values: %s, which is left out", part.name)
		}
	}
	return mask, nil
}

// decodeValues decodes the columns that are needed and those from which they are
// predicted, and returns the set of all of them.
func (s *bucketScratch) decodeValues(rows *bucketRows, flags []model.BucketFlags, src []byte, need model.BucketColumns) (model.BucketColumns, error) {
	mask, err := s.parts.parseValues(src)
	if err != nil {
		return 0, err
	}
	for k := bucketLost; k > bucketLast; k-- {
		if need&bucketNeeds[k] != 0 {
			need |= s.parts.predictors(k)
		}
	}
	for k, c := range bucketNeeds {
		var err error
		switch {
		case k == bucketFlags:
			err = s.decodeFlags(flags)
		case need&c == 0:
		case s.parts.isZero(k):
			clear(rows.floats[k])
			clear(rows.numbers[k])
		case rows.floats[k] != nil:
			err = s.decodeFloats(k, rows)
		default:
			err = s.decodeNumbers(k, rows)
		}
		if err != nil {
			return need, err
		}
	}
	if mask&maskResets != 0 {
		for i := range flags {
			flags[i] |= model.BucketNoResets
		}
	}
	for i, count := range rows.counts {
		if count > 1 {
			continue
		}
		rows.floats[bucketLast2][i] = 0
		if count == 0 {
			for _, vs := range rows.floats {
				if vs != nil {
					vs[i] = 0
				}
			}
		}
	}
	return need, nil
}

func (s *bucketScratch) decodeFloats(k int, rows *bucketRows) error {
	vs, form := rows.floats[k], s.parts.forms[k]
	switch form {
	case formOwn:
		return s.decodeOwnFloats(k, vs)
	case formPredicted:
		copy(vs, predictFloats(vs, k, form, rows))
		return nil
	}
	s.preds = sized(s.preds, len(vs))
	preds := predictFloats(s.preds, k, form, rows)
	if k == bucketFirst && form == formSecond && s.i > 0 {
		preds[0] = s.lastBefore
	}
	var err error
	s.words, err = decodePredictedFloats(vs, preds, s.parts.bodies[k], s.n, s.i, s.words)
	return err
}

// decodeOwnFloats decodes the rows of a column that is not predicted, and of the last
// values also the one before, from which a first value may be predicted.
func (s *bucketScratch) decodeOwnFloats(k int, vs []float64) error {
	if len(vs) == s.n {
		_, err := DecodeFloats(vs[:0], s.parts.bodies[k], s.n)
		return err
	}
	i := s.i
	if k == bucketLast && i > 0 {
		i--
	}
	var err error
	if s.part, err = DecodeFloatsRange(s.part[:0], s.parts.bodies[k], s.n, i, s.j); err != nil {
		return err
	}
	if i < s.i {
		s.lastBefore = s.part[0]
	}
	copy(vs, s.part[s.i-i:])
	return nil
}

func (s *bucketScratch) decodeNumbers(k int, rows *bucketRows) error {
	ks, err := s.decodePart(k)
	if err != nil {
		return err
	}
	numbers, changes := rows.numbers[k][:len(ks)], rows.numbers[bucketChanges]
	predicted := s.parts.forms[k] == formFirst
	for i, v := range ks {
		count := rows.counts[i]
		if count == 0 {
			numbers[i] = 0
			continue
		}
		if predicted {
			v = predictNumber(k, count, changes[i]) - v
		}
		if numbers[i] = uint32(v); int64(numbers[i]) != v {
			return corruptf("bucket values: %d %s", v, bucketValuesParts[k].name)
		}
	}
	return nil
}

func (s *bucketScratch) decodeFlags(flags []model.BucketFlags) error {
	if s.parts.isZero(bucketFlags) {
		clear(flags)
		return nil
	}
	ks, err := s.decodePart(bucketFlags)
	if err != nil {
		return err
	}
	for i, v := range ks {
		if flags[i] = model.BucketFlags(v); int64(flags[i]) != v || !flags[i].Valid() {
			return corruptf("bucket values: flags %#x", v)
		}
	}
	return nil
}

// decodePart returns the numbers of the rows in a column of integers, valid until the
// next call.
func (s *bucketScratch) decodePart(k int) ([]int64, error) {
	s.ints = sized(s.ints, s.j)
	from, err := decodeIntsRange(wordsOfInts(s.ints), s.parts.bodies[k], s.n, s.i)
	if err != nil {
		return nil, err
	}
	return s.ints[s.i-from : s.j-from], nil
}
