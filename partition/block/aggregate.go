package block

import (
	"encoding/binary"
	"math"
	"slices"

	"tsdb/encoding"
	"tsdb/partition/format"
)

// Aggregate is the count, minimum, maximum and sum of the samples of a chunk of
// floats, none of which is NaN or infinite.
type Aggregate struct {
	Count uint32  // samples, at least 1
	Min   float64 // of equal ones, such as 0 and -0, the first
	Max   float64
	// Sum and Comp are the sum of the values and its compensation for rounding:
	// Neumaier's sum over the samples in order, as in Prometheus.
	// Sum+Comp differs from the exact sum by at most 1e-12 × Σ|v|.
	Sum, Comp float64
}

// addCompensated adds v to a sum, and the rounding error of the addition to its
// compensation.
func addCompensated(sum, comp, v float64) (float64, float64) {
	t := sum + v
	if math.Abs(sum) >= math.Abs(v) {
		return t, comp + ((sum - t) + v)
	}
	return t, comp + ((v - t) + sum)
}

// AggregateOf returns the aggregate of vs, which must not be empty. The second
// result is false if a value or the sum is NaN or infinite.
func AggregateOf(vs []float64) (Aggregate, bool) {
	a := Aggregate{Count: uint32(len(vs)), Min: vs[0], Max: vs[0]}
	for _, v := range vs {
		if v < a.Min {
			a.Min = v
		}
		if v > a.Max {
			a.Max = v
		}
		a.Sum, a.Comp = addCompensated(a.Sum, a.Comp, v)
	}
	return a, a.finite()
}

// aggregateOfConstant returns the aggregate of count values v.
func aggregateOfConstant(v float64, count uint32) (Aggregate, bool) {
	n := float64(count)
	a := Aggregate{Count: count, Min: v, Max: v, Sum: v * n}
	a.Comp = math.FMA(v, n, -a.Sum)
	return a, a.finite()
}

// finite reports whether the sum is finite, which implies that all values are.
func (a Aggregate) finite() bool { return finite(a.Sum) && finite(a.Comp) }

func finite(v float64) bool { return v-v == 0 }

// Aggregate returns the aggregate of the chunk without reading its samples. It
// comes from the directory page, where the Writer stores it for long columns, or
// from a constant column. The second result is false if it is not known.
func (c Chunk) Aggregate() (Aggregate, bool) {
	w := &c.page.rows[c.row]
	switch {
	case w.flags&rowAggregate != 0:
		a, ok := c.page.aggregates.at(w.aggregate)
		a.Count = c.Count
		return a, ok
	case c.Kind != KindFloats || c.Bad || w.value.frame != inlineFrame:
		return Aggregate{}, false // a constant column is short and so inline
	}
	column := c.page.inline[streamValues][w.value.start:][:w.value.length]
	info, err := encoding.ColumnInfo(encoding.KindFloats, column, int(c.Count))
	if err != nil || info.Transform != encoding.TransformConst {
		return Aggregate{}, false
	}
	var buf [1]float64
	v, err := encoding.DecodeFloats(buf[:0], column, 1) // of a constant column any number of values can be read
	if err != nil {
		return Aggregate{}, false
	}
	return aggregateOfConstant(v[0], c.Count)
}

// aggregateBytesMin is the minimum size of a column of values that has an
// aggregate, whose 10 to 30 bytes are then at most about 3% of it. Shorter columns
// are decoded within a few microseconds.
const aggregateBytesMin = 1 << 10

// aggregateList holds the aggregates of a directory page, with Count 0. Those of a
// page that was read are decoded on first use: most queries need samples, and
// decoding the aggregates takes longer than the rest of the page.
type aggregateList struct {
	list    []Aggregate
	n       int  // of a page that was read: number of aggregates
	encoded part // of a page that was read: the aggregates, encoded
	decoded lazy[[]Aggregate]
}

func (l *aggregateList) reset() { l.list = l.list[:0] }

// add appends an aggregate and returns its number.
func (l *aggregateList) add(a Aggregate) uint32 {
	l.list = append(l.list, a)
	return uint32(len(l.list) - 1)
}

// at returns aggregate number i. The second result is false if the list cannot be
// decoded, although the checksum of the page was right.
func (l *aggregateList) at(i uint32) (Aggregate, bool) {
	as, err := l.all()
	if err != nil {
		return Aggregate{}, false
	}
	return as[i], true
}

// all returns the aggregates, which are shared and must not be changed.
func (l *aggregateList) all() ([]Aggregate, error) {
	if l.n == 0 {
		return l.list, nil
	}
	return l.decoded.get(func() ([]Aggregate, error) {
		content, err := l.encoded.content()
		if err != nil {
			return nil, err
		}
		return decodeAggregates(content, l.n)
	})
}

// append appends a list that was not read: four lists of short floats,
//
//	uv zigzag(i) << 3 | e         i / 10^e, e ≤ 6, |i| < 2^53
//	uv n << 3 | 7, n × 1          the 64 bits, high bytes first, up to the last that is not 0
//
// whichever is shorter, because most samples are integers or short decimals.
func (l *aggregateList) append(dst []byte) []byte {
	for _, field := range aggregateFields {
		for i := range l.list {
			dst = appendShortFloat(dst, *field(&l.list[i]))
		}
	}
	return dst
}

// take makes l the list of n aggregates in p.
func (l *aggregateList) take(n int, p part) error {
	const bytesMin = 4 // of an aggregate
	if n > p.size()/bytesMin || n == 0 && p.size() > 0 {
		return format.Corrupt("%d aggregates in %d bytes", n, p.size())
	}
	l.n, l.encoded = n, p
	return nil
}

// decodeAggregates reads n aggregates.
func decodeAggregates(b []byte, n int) ([]Aggregate, error) {
	as := make([]Aggregate, n)
	r := format.Reader{B: b}
	var buf [format.NumberBatch]float64
	for _, field := range aggregateFields {
		for part := range slices.Chunk(as, format.NumberBatch) {
			for i, v := range readShortFloats(&r, buf[:len(part)]) {
				*field(&part[i]) = v
			}
		}
	}
	for _, a := range as {
		if !(a.Min <= a.Max) || !finite(a.Min) || !finite(a.Max) || !a.finite() {
			r.Fail("aggregate of no numbers")
			break
		}
	}
	return as, r.End("aggregates")
}

var aggregateFields = [...]func(*Aggregate) *float64{
	func(a *Aggregate) *float64 { return &a.Min },
	func(a *Aggregate) *float64 { return &a.Max },
	func(a *Aggregate) *float64 { return &a.Sum },
	func(a *Aggregate) *float64 { return &a.Comp },
}

const (
	shortFloatDecimals = 6 // maximum number of digits after the point
	shortFloatRaw      = 7 // marks a value stored as its bits
	shortFloatShift    = 3
)

var powersOfTen = [shortFloatDecimals + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}

func appendShortFloat(dst []byte, v float64) []byte {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], math.Float64bits(v))
	n := len(raw)
	for n > 0 && raw[n-1] == 0 {
		n--
	}
	for e, power := range powersOfTen {
		i := math.Round(v * power)
		if !(math.Abs(i) < 1<<53) {
			break
		}
		if math.Float64bits(float64(int64(i))/power) == math.Float64bits(v) {
			at := len(dst)
			dst = binary.AppendUvarint(dst, format.Zigzag(int64(i))<<shortFloatShift|uint64(e))
			if len(dst)-at <= 1+n {
				return dst
			}
			dst = dst[:at]
			break
		}
	}
	dst = append(dst, byte(n<<shortFloatShift|shortFloatRaw))
	return append(dst, raw[:n]...)
}

// readShortFloats fills dst and returns it.
func readShortFloats(r *format.Reader, dst []float64) []float64 {
	b := r.B
	for i := range dst {
		// Half of them are short.
		if len(b) >= 2 && b[0]&shortFloatRaw != shortFloatRaw && b[0]&b[1]&0x80 == 0 {
			u := uint64(b[0])
			if b = b[1:]; u >= 0x80 {
				u, b = u&0x7f|uint64(b[0])<<7, b[1:]
			}
			dst[i] = float64(format.Unzigzag(u>>shortFloatShift)) / powersOfTen[u&shortFloatRaw]
			continue
		}
		r.B = b
		dst[i] = readShortFloat(r)
		b = r.B
	}
	r.B = b
	return dst
}

func readShortFloat(r *format.Reader) float64 {
	u := r.Uvarint(math.MaxUint64)
	e := u & (1<<shortFloatShift - 1)
	u >>= shortFloatShift
	if e != shortFloatRaw {
		if i := format.Unzigzag(u); i > -(1<<53) && i < 1<<53 {
			return float64(i) / powersOfTen[e]
		}
		r.Fail("short float out of range")
		return 0
	}
	var raw [8]byte
	if u > uint64(len(raw)) {
		r.Fail("float of too many bytes")
		return 0
	}
	copy(raw[:], r.Bytes(u))
	return math.Float64frombits(binary.BigEndian.Uint64(raw[:]))
}
