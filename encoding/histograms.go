package encoding

import (
	"encoding/binary"
	"slices"

	"tsdb/internal/model"
)

// A column of histograms has one of two forms, compressed as a whole where that
// pays:
//
//	┌──────────┬──────────┬──────────────────────────────────────────────┐
//	│ mode (1) │ form (1) │ content                                      │
//	└──────────┴──────────┴──────────────────────────────────────────────┘
//	list:     the histograms, each by itself
//	columns:  number of layouts (u), layouts
//	          number of runs (u), runs × (layout (u), histograms - 1 (u))
//	          scale groups, until all runs are used:
//	            number of runs (u)
//	            zero counts, counts, sums, then each bucket: columns, each with
//	            its length (u) before it
//
// A scale group is a series of runs with the same kind of counts, schema and
// bounds, so that a bucket index means the same bucket in all of them. Its
// buckets are those that any of its layouts has, positive side first, rising.
// Where a histogram lacks a bucket, the bucket's column repeats the previous
// value (0 at the start): a bucket that appears later, or a stale marker in
// between, does not disturb the differences. Scale groups of few histograms join
// the columns of their buckets: see scalegroupints.go and scalegroupfloats.go.
//
// Integer counts are columns of integers: buckets as absolute counts, count
// minus zero count and buckets, which is 0 unless NaNs were observed. Float
// counts are float columns. A bucket is stored as its difference from the same
// bucket earlier in time, not from its neighbours in the histogram: on counters
// these differences are small, and most of them are 0.
const (
	histogramList    = 0
	histogramColumns = 1
)

const (
	// maxColumnBuckets bounds the buckets of all histograms of a column in
	// columns; above it the column is a list, whose memory is bounded by its length.
	maxColumnBuckets = 1 << 22
	// minHistogramColumns is the minimum number of histograms for columns to be
	// tried: for fewer, the headers of columns cost more than the list.
	minHistogramColumns = 3
	// histogramRunsPart is the fraction of a column in columns that layouts and runs
	// must make up for zstd to be tried.
	histogramRunsPart = 8
)

// AppendHistograms appends the column of hs, at most MaxValues histograms; the
// column of no histograms is empty. Integer and float counts, stale markers and any
// layouts may be mixed. Of the counter-reset hints only gauge is kept.
func AppendHistograms(dst []byte, hs []model.Histogram, tier Tier) []byte {
	checkAppend("histogram", len(hs))
	if len(hs) == 0 {
		return dst
	}
	c, ok := newHistogramColumns(hs)
	if !ok || len(hs) < minHistogramColumns {
		body := []byte{histogramList}
		for _, h := range hs {
			body = AppendHistogram(body, h)
		}
		return appendPacked(dst, body)
	}
	body := c.appendRuns([]byte{histogramColumns})
	runs := len(body)
	body = c.appendSegments(body, hs, tier)
	if runs < len(body)/histogramRunsPart {
		// Nearly all bytes are packed columns, which zstd does not shorten.
		return append(append(dst, packedPlain), body...)
	}
	return appendPacked(dst, body)
}

// DecodeHistograms appends the n histograms of src, exactly one column. They share
// memory with each other but not with src. On an error dst is returned unchanged.
func DecodeHistograms(dst []model.Histogram, src []byte, n int) ([]model.Histogram, error) {
	if err := checkDecode("histogram", n); err != nil {
		return dst, err
	}
	if n == 0 {
		if len(src) > 0 {
			return dst, corruptf("histograms: %d bytes for no value", len(src))
		}
		return dst, nil
	}
	body, err := decodePacked(src)
	if err != nil {
		return dst, err
	}
	if len(body) == 0 {
		return dst, corruptf("histograms: no form")
	}
	switch body[0] {
	case histogramList:
		return decodeHistogramList(dst, body[1:], n)
	case histogramColumns:
		return decodeHistogramColumns(dst, body[1:], n)
	}
	return dst, corruptf("histograms: unknown form %d", body[0])
}

func decodeHistogramList(dst []model.Histogram, src []byte, n int) ([]model.Histogram, error) {
	if n > len(src) {
		return dst, corruptf("histograms: %d in %d bytes", n, len(src))
	}
	out := slices.Grow(dst, n)
	for range n {
		h, rest, err := DecodeHistogram(src)
		if err != nil {
			return dst, err
		}
		out, src = append(out, h), rest
	}
	if len(src) > 0 {
		return dst, corruptf("histograms: %d bytes left over", len(src))
	}
	return out, nil
}

// histogramRuns is a column's layouts and the runs of histograms that have them.
type histogramRuns struct {
	layouts []layout
	sizes   [][2]int // buckets of each side of a layout
	runs    []layoutRun
}

type layoutRun struct{ layout, n int }

// newHistogramColumns finds layouts and runs. It returns false if the histograms
// cannot be stored as columns: one is missing, or its buckets do not match its
// spans, or there are too many buckets.
func newHistogramColumns(hs []model.Histogram) (c histogramRuns, ok bool) {
	total := 0
	for _, h := range hs {
		if h.IsZero() {
			return c, false
		}
		l := layoutOf(h)
		at := -1
		if k := len(c.runs) - 1; k >= 0 && c.layouts[c.runs[k].layout].equal(l) {
			at = c.runs[k].layout
			c.runs[k].n++
		} else {
			if at = slices.IndexFunc(c.layouts, l.equal); at < 0 {
				at = len(c.layouts)
				if !c.addLayout(l) || at >= maxColumnLayouts {
					return c, false
				}
			}
			c.runs = append(c.runs, layoutRun{at, 1})
		}
		size := c.sizes[at]
		if h.Int != nil && (len(h.Int.PositiveBuckets) != size[0] || len(h.Int.NegativeBuckets) != size[1]) ||
			h.Float != nil && (len(h.Float.PositiveBuckets) != size[0] || len(h.Float.NegativeBuckets) != size[1]) {
			return c, false
		}
		if total += size[0] + size[1]; total > maxColumnBuckets {
			return c, false
		}
	}
	return c, true
}

// maxColumnLayouts bounds the layouts of a column in columns, and with it the
// search for a known one.
const maxColumnLayouts = 256

func (c *histogramRuns) addLayout(l layout) bool {
	var size [2]int
	for side, spans := range l.spans {
		n, ok := countBuckets(spans)
		if !ok {
			return false
		}
		size[side] = n
	}
	c.layouts = append(c.layouts, l)
	c.sizes = append(c.sizes, size)
	return true
}

// scaleGroupLen returns the number of runs, from the given one on, that form one
// scale group: runs of one kind whose buckets, if they have any, share a scale.
func (c *histogramRuns) scaleGroupLen(from int) int {
	scale := -1
	for k := from; k < len(c.runs); k++ {
		l := c.runs[k].layout
		if c.layouts[l].float != c.layouts[c.runs[from].layout].float {
			return k - from
		}
		if c.sizes[l] == [2]int{} {
			continue
		}
		if scale >= 0 && !c.layouts[l].sameScale(c.layouts[scale]) {
			return k - from
		}
		scale = l
	}
	return len(c.runs) - from
}

func (c *histogramRuns) appendRuns(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(c.layouts)))
	for _, l := range c.layouts {
		dst = appendLayout(dst, l)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.runs)))
	for _, r := range c.runs {
		dst = binary.AppendUvarint(dst, uint64(r.layout))
		dst = binary.AppendUvarint(dst, uint64(r.n-1))
	}
	return dst
}

func (c *histogramRuns) appendSegments(dst []byte, hs []model.Histogram, tier Tier) []byte {
	for from := 0; from < len(c.runs); {
		k := c.scaleGroupLen(from)
		g := newScaleGroup(c, from, k)
		dst = binary.AppendUvarint(dst, uint64(k))
		if hs[0].Float != nil {
			dst = g.appendFloats(dst, hs[:g.n], tier)
		} else {
			dst = g.appendInts(dst, hs[:g.n], tier)
		}
		hs = hs[g.n:]
		from += k
	}
	return dst
}

func decodeHistogramColumns(dst []model.Histogram, src []byte, n int) ([]model.Histogram, error) {
	c, src, err := parseHistogramRuns(src, n)
	if err != nil {
		return dst, err
	}
	out := slices.Grow(dst, n)
	for from := 0; from < len(c.runs); {
		k, rest, err := Uvarint(src)
		if err != nil {
			return dst, err
		}
		if k == 0 || k > uint64(c.scaleGroupLen(from)) {
			return dst, corruptf("histograms: scale group of %d runs", k)
		}
		g := newScaleGroup(c, from, int(k))
		if c.layouts[c.runs[from].layout].float {
			out, src, err = g.decodeFloats(out, rest)
		} else {
			out, src, err = g.decodeInts(out, rest)
		}
		if err != nil {
			return dst, err
		}
		from += int(k)
	}
	if len(src) > 0 {
		return dst, corruptf("histograms: %d bytes left over", len(src))
	}
	return out, nil
}

func parseHistogramRuns(src []byte, n int) (*histogramRuns, []byte, error) {
	c := &histogramRuns{}
	layouts, src, err := Uvarint(src)
	if err != nil {
		return nil, nil, err
	}
	if layouts == 0 || layouts > maxColumnLayouts {
		return nil, nil, corruptf("histograms: %d layouts, at most %d", layouts, maxColumnLayouts)
	}
	for range layouts {
		var l layout
		if l, src, err = parseLayout(src); err != nil {
			return nil, nil, err
		}
		if !c.addLayout(l) {
			return nil, nil, corruptf("histograms: buckets of a layout do not rise or are too many")
		}
	}
	runs, src, err := Uvarint(src)
	if err != nil {
		return nil, nil, err
	}
	if runs == 0 || runs > uint64(n) {
		return nil, nil, corruptf("histograms: %d runs for %d", runs, n)
	}
	left, total := uint64(n), uint64(0)
	for range runs {
		l, rest, err := Uvarint(src)
		if err != nil {
			return nil, nil, err
		}
		more, rest, err := Uvarint(rest)
		if err != nil {
			return nil, nil, err
		}
		if l >= layouts || more >= left {
			return nil, nil, corruptf("histograms: run of layout %d for %d", l, more)
		}
		left -= more + 1
		total += (more + 1) * uint64(c.sizes[l][0]+c.sizes[l][1])
		if total > maxColumnBuckets {
			return nil, nil, corruptf("histograms: more than %d buckets", maxColumnBuckets)
		}
		c.runs = append(c.runs, layoutRun{int(l), int(more) + 1})
		src = rest
	}
	if left != 0 {
		return nil, nil, corruptf("histograms: runs lack %d", left)
	}
	return c, src, nil
}
