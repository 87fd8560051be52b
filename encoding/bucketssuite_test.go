package encoding

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"tsdb/internal/model"
)

// Columns of buckets in the suite and in the golden files. Each value of such a column
// is a whole row, of which the column has the times or the values.

// bucketTimeColumn is the column of the times of rows.
func bucketTimeColumn(name string, rows *model.Buckets, resolution int64) column {
	return column{name, rows.Len(),
		func(dst []byte) []byte { return AppendBucketTimes(dst, rows, resolution) },
		func(t *testing.T, src []byte, n int) (bool, error) {
			want := onlyBuckets(rows, 0)
			clear(want.Flags)
			return decodeBucketsAfter(t, want, func(dst *model.Buckets) error { return DecodeBucketTimes(dst, src, n, resolution) })
		}}
}

// bucketValueColumn is the column of the flags and values of rows.
func bucketValueColumn(name string, rows *model.Buckets) column {
	return column{name, rows.Len(),
		func(dst []byte) []byte { return AppendBucketValues(dst, rows) },
		func(t *testing.T, src []byte, n int) (bool, error) {
			return decodeBucketsAfter(t, rows, func(dst *model.Buckets) error {
				if n < 0 || n > MaxValues+1 {
					return corruptf("no rows for %d values", n)
				}
				from := dst.Grow(n)
				copy(dst.End[from:], rows.End)
				copy(dst.Count[from:], rows.Count)
				for k, ts := range [][]int64{dst.First, dst.T1, dst.T2, dst.T3} {
					copy(ts[from:], [][]int64{rows.First, rows.T1, rows.T2, rows.T3}[k])
				}
				err := DecodeBucketValues(dst, from, src, model.AllBucketColumns)
				if err != nil {
					for k, vs := range rowsOfBuckets(dst, from).floats {
						if vs != nil && !equalBits(vs, make([]float64, n)) {
							t.Fatalf("column %d has values in spite of an error", k)
						}
					}
					dst.Truncate(from)
				}
				return err
			})
		}}
}

// decodeBucketsAfter is decodeAfter for rows.
func decodeBucketsAfter(t *testing.T, want *model.Buckets, decode func(dst *model.Buckets) error) (bool, error) {
	t.Helper()
	var before, got model.Buckets
	for i := range int64(3) {
		before.AppendSample(i, 7.5)
	}
	got.AppendRange(&before, 0, 3)
	err := decode(&got)
	if head := got.Slice(0, 3); !equalBuckets(&head, &before) {
		t.Fatal("rows before the column changed")
	}
	if err != nil {
		if got.Len() != 3 {
			t.Fatal("rows added in spite of an error")
		}
		return false, err
	}
	rows := got.Slice(3, got.Len())
	return equalBuckets(&rows, want), nil
}

// parseBuckets returns the rows of a golden column: the resolution is in its name, and
// the words are
//
//	end,flags,count,first,t3,t2,t1,changes,resets,first value,v2,v1,min,max,sum,lost
//
// times and numbers in decimal, values as floats are.
func parseBuckets(name string, words []string) (rows *model.Buckets, resolution int64, err error) {
	part := strings.Split(name, "/")
	if resolution, err = strconv.ParseInt(part[1], 10, 64); err != nil {
		return nil, 0, err
	}
	rows = &model.Buckets{}
	for i, word := range words {
		fields := strings.Split(word, ",")
		if len(fields) != 16 {
			return nil, 0, fmt.Errorf("row %d has %d fields", i, len(fields))
		}
		ints, err := parseAll(fields[:9], parseInt)
		if err != nil {
			return nil, 0, err
		}
		floats, err := parseAll(fields[9:], parseFloat)
		if err != nil {
			return nil, 0, err
		}
		rows.Grow(1)
		rows.End[i], rows.Flags[i], rows.Count[i] = ints[0], model.BucketFlags(ints[1]), uint32(ints[2])
		rows.First[i], rows.T3[i], rows.T2[i], rows.T1[i] = ints[3], ints[4], ints[5], ints[6]
		rows.Changes[i], rows.Resets[i] = uint32(ints[7]), uint32(ints[8])
		rows.FirstV[i], rows.V2[i], rows.V1[i], rows.Min[i] = floats[0], floats[1], floats[2], floats[3]
		rows.Max[i], rows.Sum[i], rows.Lost[i] = floats[4], floats[5], floats[6]
	}
	return rows, resolution, nil
}

// formatBuckets writes rows as parseBuckets reads them.
func formatBuckets(b *model.Buckets) []string {
	return fill(b.Len(), func(i int) string {
		word := fmt.Sprintf("%d,%d,%d,%d,%d,%d,%d,%d,%d", b.End[i], b.Flags[i], b.Count[i], b.First[i], b.T3[i], b.T2[i], b.T1[i], b.Changes[i], b.Resets[i])
		for _, v := range words([]float64{b.FirstV[i], b.V2[i], b.V1[i], b.Min[i], b.Max[i], b.Sum[i], b.Lost[i]}) {
			word += fmt.Sprintf(",%016x", v)
		}
		return word
	})
}

// Rows for a golden file are written by formatBuckets.
func TestGoldenRowsAreReadAsWritten(t *testing.T) {
	for _, p := range bucketPatterns {
		rows := p.buckets(rand.New(rand.NewPCG(1, 2)), 7)
		got, resolution, err := parseBuckets(fmt.Sprintf("bucketvalues/%d/%s", p.resolution, p.name), formatBuckets(rows))
		if err != nil || resolution != p.resolution || !equalBuckets(got, rows) {
			t.Errorf("%s: resolution %d, other rows or error: %v", p.name, resolution, err)
		}
	}
}
