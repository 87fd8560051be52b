package encoding

import (
	"math"
	"math/rand/v2"
	"testing"

	"tsdb/internal/model"
)

// FuzzDecodeBuckets passes arbitrary bytes to the decoders of buckets: there is no
// panic, and rows that are accepted can be encoded and decoded again.
func FuzzDecodeBuckets(f *testing.F) {
	r := rand.New(rand.NewPCG(21, 22))
	for _, p := range bucketPatterns {
		for _, n := range []int{1, 24, 300} {
			b := p.buckets(r, n)
			f.Add(AppendBucketTimes(nil, b, p.resolution), AppendBucketValues(nil, b), uint16(b.Len()), uint32(p.resolution))
			f.Add(AppendBucketTimes(nil, b, p.resolution), AppendBucketValues(nil, noResets(b)), uint16(b.Len()), uint32(p.resolution))
		}
	}
	f.Add([]byte{0xff}, []byte{0}, uint16(1), uint32(1))
	f.Fuzz(func(t *testing.T, times, values []byte, n uint16, millis uint32) {
		resolution := max(int64(millis), 1)
		BucketFields(KindBucketTimes, times, int(n))
		BucketFields(KindBucketValues, values, int(n))
		b, err := decodeBuckets(times, values, int(n), resolution, model.AllBucketColumns)
		if b == nil {
			return
		}
		if _, err := ColumnInfo(KindBucketTimes, times, int(n)); err != nil {
			t.Fatalf("times decode, but cannot be described: %v", err)
		}
		if err == nil {
			if _, err := ColumnInfo(KindBucketValues, values, int(n)); err != nil {
				t.Fatalf("values decode, but cannot be described: %v", err)
			}
		}
		again, err := decodeBuckets(AppendBucketTimes(nil, b, resolution), AppendBucketValues(nil, b), b.Len(), resolution, model.AllBucketColumns)
		if err != nil || !equalBuckets(again, b) {
			t.Fatalf("decoded, encoded, not decoded: %v", err)
		}
	})
}

// FuzzBucketsRoundTrip makes rows from arbitrary bytes: times that agree with each
// other and any values. All bits come back, also when a part of the columns is
// decoded.
func FuzzBucketsRoundTrip(f *testing.F) {
	f.Add([]byte("a row takes up to some thirty bytes, so this is a few of them"), uint8(0), uint16(0))
	f.Add(make([]byte, 400), uint8(1), uint16(3))
	f.Add([]byte("rows of a series that falls often, without their resets"), uint8(6), uint16(0xffff))
	f.Fuzz(func(t *testing.T, raw []byte, unit uint8, need uint16) {
		resolution := []int64{1, 1000, 60_000, 3_600_000}[unit%4]
		b := bucketsOfBytes(raw, resolution)
		if unit>>2&1 != 0 {
			b = noResets(b)
		}
		columns := model.BucketColumns(need) & model.AllBucketColumns
		got, err := decodeBuckets(AppendBucketTimes(nil, b, resolution), AppendBucketValues(nil, b), b.Len(), resolution, columns)
		if err != nil || !equalBuckets(got, onlyBuckets(b, columns)) {
			t.Fatalf("%d rows, columns %#x: other rows or error: %v", b.Len(), columns, err)
		}
	})
}

// bucketsOfBytes returns rows whose times, counts and values are taken from raw.
func bucketsOfBytes(raw []byte, resolution int64) *model.Buckets {
	next := func(n int) (u uint64) {
		for range n {
			if len(raw) > 0 {
				u, raw = u<<8|uint64(raw[0]), raw[1:]
			}
		}
		return u
	}
	b := &model.Buckets{}
	end := int64(int8(next(1))) * resolution
	values := []float64{0, 1, math.NaN(), math.Inf(1), math.Copysign(0, -1), 0.1, 1e308}
	for len(raw) > 0 && b.Len() < 2000 {
		shape := next(1)
		end += resolution * (1 + int64(shape&7)%3*int64(shape&3))
		i := b.Grow(1)
		b.End[i], b.Flags[i] = end, model.BucketFlags(shape>>4)
		// The samples: up to seven times, of which the first and the last three are kept.
		ts := []int64{}
		at := end - resolution
		for range next(1) % 8 {
			if at += 1 + int64(next(1))%max(resolution/4, 1); at > end {
				break
			}
			ts = append(ts, at)
		}
		n := len(ts)
		if b.Count[i] = uint32(n); n == 0 {
			continue
		}
		b.First[i], b.T1[i] = ts[0], ts[n-1]
		if n > 1 {
			b.T2[i] = ts[n-2]
		}
		if n > 2 {
			b.T3[i] = ts[n-3]
		}
		for k, vs := range rowsOfBuckets(b, 0).floats {
			if vs == nil || k == bucketLast2 && n < 2 {
				continue
			}
			switch c := next(1); {
			case c < 64: // a few values, which are often equal in several columns
				vs[i] = values[c%uint64(len(values))]
			case c < 96:
				vs[i] = math.Float64frombits(next(8))
				values[c%uint64(len(values))] = vs[i]
			default:
				vs[i] = float64(c)
			}
		}
		b.Changes[i], b.Resets[i] = uint32(next(1)), uint32(next(int(shape>>3&1)*4))
	}
	return b
}
