package encoding

import (
	"encoding/binary"
	"math"
	"sync"

	"tsdb/internal/model"
)

// Buckets of a rollup (model.Buckets, not the buckets of histograms) are stored as two
// columns: their times, which series scraped together share, and their values. Each
// is a list of inner columns:
//
//	┌──────────┬─────────────────┬───────────────────────────┬───────────────┐
//	│ head     │ forms (u)       │ lengths (u) but the last  │ inner columns │
//	└──────────┴─────────────────┴───────────────────────────┴───────────────┘
//	times      interval (u)
//	values     mask (1): inner columns that are left out
//
// forms has three bits for each inner column, the first one lowest: how its values
// follow from those of others. An inner column of form 0 has no length and no bytes,
// because all its values are as predicted. See bucketstimes.go and bucketsvalues.go
// for the predictions.

// bucketForm says how an inner column is stored.
type bucketForm uint8

const (
	formPredicted bucketForm = 0 // not at all: all values are as the first predictor has them
	formOwn       bucketForm = 1 // the values
	formFirst     bucketForm = 2 // their distances from the first predictor
	formSecond    bucketForm = 3 // their distances from the second predictor

	formBits = 3
)

// bucketParts are the inner columns of a column of buckets.
type bucketParts struct {
	forms  [maxBucketParts]bucketForm
	bodies [maxBucketParts][]byte
}

const maxBucketParts = 10

// append appends forms, lengths and bytes of the first n inner columns.
func (p *bucketParts) append(dst []byte, n int) []byte {
	forms, last := uint64(0), -1
	for k, f := range p.forms[:n] {
		forms |= uint64(f) << (formBits * k)
		if f != formPredicted {
			last = k
		}
	}
	dst = binary.AppendUvarint(dst, forms)
	for k := 0; k < last; k++ {
		if p.forms[k] != formPredicted {
			dst = binary.AppendUvarint(dst, uint64(len(p.bodies[k])))
		}
	}
	for k := 0; k <= last; k++ {
		if p.forms[k] != formPredicted {
			dst = append(dst, p.bodies[k]...)
		}
	}
	return dst
}

// parse reads the inner columns of names from src, which ends with them. allowed has
// a set of forms for each, bit f for form f.
func (p *bucketParts) parse(src []byte, parts []bucketPart) error {
	forms, src, err := Uvarint(src)
	if err != nil {
		return err
	}
	last := -1
	for k, part := range parts {
		f := bucketForm(forms >> (formBits * k) & (1<<formBits - 1))
		if part.forms>>f&1 == 0 {
			return corruptf("buckets: unknown form %d of %s", f, part.name)
		}
		if p.forms[k] = f; f != formPredicted {
			last = k
		}
	}
	if forms>>(formBits*len(parts)) != 0 {
		return corruptf("buckets: unknown forms %#x", forms)
	}
	var sizes [maxBucketParts]uint64
	for k := 0; k < last; k++ {
		if p.forms[k] == formPredicted {
			continue
		}
		if sizes[k], src, err = Uvarint(src); err != nil {
			return err
		}
	}
	for k := 0; k <= last; k++ {
		if p.forms[k] == formPredicted {
			continue
		}
		if k == last {
			sizes[k] = uint64(len(src))
		}
		if sizes[k] == 0 || sizes[k] > uint64(len(src)) {
			return corruptf("buckets: %s of %d bytes, %d left", parts[k].name, sizes[k], len(src))
		}
		p.bodies[k], src = src[:sizes[k]:sizes[k]], src[sizes[k]:]
	}
	if len(src) > 0 {
		return corruptf("buckets: %d bytes left over", len(src))
	}
	return nil
}

// bucketPart describes an inner column.
type bucketPart struct {
	name  string
	forms uint8 // bit f: form f is known
}

const (
	formsOwn = 1<<formPredicted | 1<<formOwn
	formsOne = formsOwn | 1<<formFirst
	formsTwo = formsOne | 1<<formSecond
)

// bucketScratch is the memory of one call for a column of buckets.
type bucketScratch struct {
	parts  bucketParts
	ints   []int64
	others []int64
	floats [bucketValues][]float64 // the columns of floats, with a value in every row
	preds  []float64
	bytes  [maxBucketParts][]byte
	column []byte

	// Of decoding, rows [i, j) of a column of n:
	n, i, j    int
	part       []float64 // a column that is not predicted
	words      []uint64  // the integers of one that is
	lastBefore float64   // the last value of row i-1
}

// bucketScratches is a pool because the functions are plain functions that any
// goroutine may call, and a call needs a slice for every column.
var bucketScratches = sync.Pool{New: func() any { return new(bucketScratch) }}

func takeBucketScratch() *bucketScratch {
	s := bucketScratches.Get().(*bucketScratch)
	s.parts = bucketParts{}
	return s
}

// put returns s to the pool. It holds no memory of the caller afterwards.
func (s *bucketScratch) put() {
	s.parts = bucketParts{}
	bucketScratches.Put(s)
}

// appendNumberColumn appends a column of integers of buckets.
func appendNumberColumn(dst []byte, ks []int64, try orders) []byte {
	s := takeScratch(Full)
	dst, _ = appendInts(dst, ks, try, s)
	scratches.Put(s)
	return dst
}

// checkBuckets returns an error unless the times and counts of the rows from on are
// those of buckets of the resolution.
func checkBuckets(b *model.Buckets, from int, resolution int64) error {
	limit := math.MaxInt64/resolution - 1
	n := len(b.End) - from
	if n <= 0 {
		return nil
	}
	ends, counts, firsts := b.End[from:][:n], b.Count[from:][:n], b.First[from:][:n]
	t1s, t2s, t3s := b.T1[from:][:n], b.T2[from:][:n], b.T3[from:][:n]
	before := int64(math.MinInt64)
	for i, end := range ends {
		if end <= before || end < -limit*resolution || end > limit*resolution || end%resolution != 0 {
			return corruptf("buckets: row %d ends at %d, after one that ends at %d (resolution %d)", i, end, before, resolution)
		}
		before = end
		count, first, t1, t2, t3 := int64(counts[i]), firsts[i], t1s[i], t2s[i], t3s[i]
		ok := false
		switch {
		case count > 3:
			ok = first > end-resolution && first < t3 && t3 < t2 && t2 < t1 && t1 <= end && count-3 <= t3-first
		case count == 3:
			ok = first > end-resolution && first == t3 && t3 < t2 && t2 < t1 && t1 <= end
		case count == 2:
			ok = first > end-resolution && first == t2 && t2 < t1 && t1 <= end && t3 == 0
		case count == 1:
			ok = first > end-resolution && first == t1 && t1 <= end && t2 == 0 && t3 == 0
		default:
			ok = first == 0 && t1 == 0 && t2 == 0 && t3 == 0
		}
		if !ok {
			return corruptf("buckets: row %d that ends at %d: times %d … %d %d %d of %d samples (resolution %d)",
				i, end, first, t3, t2, t1, count, resolution)
		}
	}
	return nil
}
