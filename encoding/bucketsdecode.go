package encoding

import "tsdb/internal/model"

// DecodeBucketValues fills the flags and the needed values of the rows of dst from
// from on, which have their times and counts. src is exactly one column. In these rows
// columns of values that are not needed stay as they are or become 0, all of them if
// there is an error. All rows get BucketNoResets, whatever is needed, if the column has
// no changes, resets and lost.
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
		_, err := DecodeFloats(vs[:0], s.parts.bodies[k], len(vs))
		return err
	case formPredicted:
		copy(vs, predictFloats(vs, k, form, rows))
		return nil
	}
	s.preds = sized(s.preds, len(vs))
	return decodePredictedFloats(vs, predictFloats(s.preds, k, form, rows), s.parts.bodies[k])
}

func (s *bucketScratch) decodeNumbers(k int, rows *bucketRows) error {
	ks, err := s.decodePart(k, len(rows.counts))
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
	ks, err := s.decodePart(bucketFlags, len(flags))
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

// decodePart returns the n numbers of a column of integers, valid until the next call.
func (s *bucketScratch) decodePart(k, n int) ([]int64, error) {
	s.ints = sized(s.ints, n)
	return s.ints, decodeInts(wordsOfInts(s.ints), s.parts.bodies[k])
}
