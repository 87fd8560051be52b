package block

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/RoaringBitmap/roaring/v2"

	"tsdb/partition/format"
)

// postingsForm is the encoding of the postings of one label pair, the ascending
// ordinals of its series. In memory they are roaring bitmaps; in a file each list
// has the shortest of three forms. The page is then compressed with zstd, which
// finds what the lists of one name have in common: the series of each target are
// at the same distances from one another.
type postingsForm uint8

const (
	postingsGaps      postingsForm = 0 // distance from the ordinal before
	postingsIntervals postingsForm = 1 // (distance from the end before, length - 1) of every run
	postingsBits      postingsForm = 2 // one bit per ordinal
	postingsFormEnd   postingsForm = 3
)

func (f postingsForm) String() string {
	if f >= postingsFormEnd {
		return fmt.Sprintf("form(%d)", uint8(f))
	}
	return [...]string{"gaps", "intervals", "bits"}[f]
}

const (
	postingsBytes  = 32 << 10 // size at which a page is closed
	postingsValues = 1024     // number of lists at which a page is closed
)

// interval is the run of ordinals from ≤ o < to.
type interval struct{ from, to uint32 }

// appendPostings appends one list: uvarint of length<<2|form, then length bytes.
// ords must be strictly ascending and not empty.
func appendPostings(dst []byte, ords []uint32, scratch *[]byte) []byte {
	gapBytes := format.UvarintLen(ords[0])
	runBytes, start, end := 0, uint32(0), uint32(0) // of the runs before the one from start
	for i, o := range ords {
		if i > 0 {
			gapBytes += format.UvarintLen(o - ords[i-1])
		}
		if i == 0 || o != ords[i-1]+1 {
			if i > 0 {
				runBytes += format.UvarintLen(ords[i-1] - start)
				end = ords[i-1] + 1
			}
			runBytes += format.UvarintLen(o - end)
			start = o
		}
	}
	last := ords[len(ords)-1]
	runBytes += format.UvarintLen(last - start)
	bitBytes := int(last)/8 + 1

	form, b := postingsGaps, (*scratch)[:0]
	switch shortest := min(gapBytes, runBytes, bitBytes); shortest {
	case gapBytes:
		at := uint32(0)
		for _, o := range ords {
			b = binary.AppendUvarint(b, uint64(o-at))
			at = o
		}
	case runBytes:
		form, b = postingsIntervals, appendIntervals(b, intervalsOf(ords))
	default:
		form = postingsBits
		b = append(b, make([]byte, bitBytes)...)
		for _, o := range ords {
			b[o/8] |= 1 << (o % 8)
		}
	}
	*scratch = b
	return appendPostingsBody(dst, form, b)
}

// appendPostingsRuns is appendPostings for a list of intervals.
func appendPostingsRuns(dst []byte, runs []interval, scratch *[]byte) []byte {
	*scratch = appendIntervals((*scratch)[:0], runs)
	return appendPostingsBody(dst, postingsIntervals, *scratch)
}

func appendPostingsBody(dst []byte, form postingsForm, body []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(body))<<2|uint64(form))
	return append(dst, body...)
}

func appendIntervals(dst []byte, runs []interval) []byte {
	end := uint32(0)
	for _, r := range runs {
		dst = binary.AppendUvarint(dst, uint64(r.from-end))
		dst = binary.AppendUvarint(dst, uint64(r.to-r.from-1))
		end = r.to
	}
	return dst
}

func intervalsOf(ords []uint32) []interval {
	var runs []interval
	for _, o := range ords {
		if n := len(runs); n > 0 && runs[n-1].to == o {
			runs[n-1].to++
		} else {
			runs = append(runs, interval{o, o + 1})
		}
	}
	return runs
}

// postingsPage is a page of postings: the bodies of the lists of consecutive
// values, not decoded yet.
type postingsPage struct {
	forms  []postingsForm
	bodies [][]byte
}

// decodePostingsPage splits a page into its lists; it keeps b.
func decodePostingsPage(b []byte) (*postingsPage, error) {
	r := format.Reader{B: b}
	p := &postingsPage{}
	for len(r.B) > 0 {
		head := r.Uvarint(maxPageBytes << 2)
		form := postingsForm(head & 3)
		body := r.Bytes(head >> 2)
		if form >= postingsFormEnd {
			r.Fail("unknown form")
		}
		p.forms, p.bodies = append(p.forms, form), append(p.bodies, body)
	}
	return p, r.End("postings page")
}

// addTo adds list i to bm. Ordinals are below series.
func (p *postingsPage) addTo(bm *roaring.Bitmap, i int, series uint64) error {
	r := format.Reader{B: p.bodies[i]}
	batch := ordinalBatch{bm: bm}
	switch p.forms[i] {
	case postingsGaps:
		at := uint64(0)
		for first := true; len(r.B) > 0; first = false {
			gap := r.Uvarint(maxSeriesInBlock)
			if at += gap; at >= series || gap == 0 && !first {
				r.Fail("ordinal out of range")
				break
			}
			batch.add(uint32(at))
		}
	case postingsIntervals:
		end := uint64(0)
		for len(r.B) > 0 {
			from := end + r.Uvarint(maxSeriesInBlock)
			end = from + r.Uvarint(maxSeriesInBlock) + 1
			if r.Err != nil || end > series {
				r.Fail("ordinal out of range")
				break
			}
			if end-from < 16 { // cheaper one by one
				for ; from < end; from++ {
					batch.add(uint32(from))
				}
			} else {
				batch.flush()
				bm.AddRange(from, end)
			}
		}
	case postingsBits:
		for at, b := range r.Bytes(uint64(len(r.B))) {
			for ; b != 0; b &= b - 1 {
				o := uint64(at)*8 + uint64(bits.TrailingZeros8(b))
				if o >= series {
					r.Fail("ordinal out of range")
					break
				}
				batch.add(uint32(o))
			}
			if r.Err != nil {
				break
			}
		}
	}
	batch.flush()
	return r.End("postings")
}

// ordinalBatch adds ordinals to a bitmap many at a time.
type ordinalBatch struct {
	bm  *roaring.Bitmap
	n   int
	buf [512]uint32
}

func (a *ordinalBatch) add(o uint32) {
	if a.n == len(a.buf) {
		a.flush()
	}
	a.buf[a.n] = o
	a.n++
}

func (a *ordinalBatch) flush() {
	a.bm.AddMany(a.buf[:a.n])
	a.n = 0
}
