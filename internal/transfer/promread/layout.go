package promread

import (
	"errors"
	"fmt"
)

// The header of Prometheus' chunks of native histograms: number of samples, flags, then as a
// stream of bits the threshold of the zero bucket, the schema and the spans of both sides.
const layoutAt = 3

// maxBuckets bounds the buckets of one side. The whole range of float64 at the finest schema
// takes 538,624.
const maxBuckets = 1 << 20

var errLayout = errors.New("the layout of native histograms is cut off")

// checkLayout returns an error if the histograms of a chunk would have more buckets than
// maxBuckets: the library allocates what the spans name, which may be any number.
func checkLayout(chunk []byte) error {
	if len(chunk) <= layoutAt {
		return errLayout
	}
	in := bitReader{b: chunk[layoutAt:]}
	if threshold, ok := in.read(8); !ok {
		return errLayout
	} else if threshold == 255 {
		in.read(64)
	}
	if _, ok := in.varbit(); !ok { // schema
		return errLayout
	}
	for range 2 {
		spans, ok := in.varbit()
		buckets := uint64(0)
		for ; ok && spans > 0; spans-- {
			var length uint64
			length, ok = in.varbit()
			if buckets += uint64(uint32(length)); ok && buckets > maxBuckets {
				return fmt.Errorf("native histograms of more than %d buckets", maxBuckets)
			}
			if ok {
				_, ok = in.varbit() // offset
			}
		}
		if !ok {
			return errLayout
		}
	}
	return nil
}

// bitReader reads bits, the highest of a byte first.
type bitReader struct {
	b  []byte
	at int // bit
}

// read returns the next n ≤ 64 bits.
func (r *bitReader) read(n int) (v uint64, ok bool) {
	if r.at+n > 8*len(r.b) {
		return 0, false
	}
	for range n {
		v = v<<1 | uint64(r.b[r.at/8]>>(7-r.at%8)&1)
		r.at++
	}
	return v, true
}

// varbit returns the next number of variable length: up to eight ones, ended by a zero, tell
// the number of bits that follow. Of a signed number these are returned as they are.
func (r *bitReader) varbit() (uint64, bool) {
	ones := 0
	for ones < 8 {
		bit, ok := r.read(1)
		if !ok {
			return 0, false
		}
		if bit == 0 {
			break
		}
		ones++
	}
	return r.read([...]int{0, 3, 6, 9, 12, 18, 25, 56, 64}[ones])
}
