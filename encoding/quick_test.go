package encoding

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
)

func TestQuick(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 3, 40, 1000, 5000} {
		ts := make([]int64, n)
		vs := make([]float64, n)
		at := int64(1700000000000)
		for i := range ts {
			at += 15000
			if r.IntN(3) == 0 {
				at += int64(r.IntN(20)) - 10
			}
			ts[i] = at
			vs[i] = patterns[2].make(r, 1)[0]
		}
		b := AppendTimestamps(nil, ts)
		got, err := DecodeTimestamps(nil, b, n)
		if err != nil || !slices.Equal(got, ts) {
			t.Fatal(n, err)
		}
		t.Log(n, len(b))
		var g Gorilla
		var s []byte
		for i := range ts {
			s = g.Append(s, ts[i], vs[i])
		}
		gt, gv, err := DecodeGorilla(nil, nil, s, n)
		if err != nil || !slices.Equal(gt, ts) || !slices.Equal(gv, vs) {
			t.Fatal(n, err)
		}
		sts := make([]int64, n)
		for i := range sts {
			sts[i] = 1600000000000
		}
		b = AppendStartTimestamps(nil, sts, ts)
		if got, err := DecodeStartTimestamps(nil, b, ts); err != nil || !slices.Equal(got, sts) {
			t.Fatal(n, err)
		}
		hs := make([]model.Histogram, n)
		c := uint64(5)
		for i := range hs {
			c += uint64(r.IntN(5))
			h := &histogram.Histogram{Count: 2*c + 3, ZeroCount: 1, Schema: 3, ZeroThreshold: 1e-128, Sum: float64(c) * 1.5,
				PositiveSpans:   []histogram.Span{{Offset: 1, Length: 2}, {Offset: 3, Length: 1}},
				PositiveBuckets: []int64{int64(c), -3, 5}}
			hs[i] = model.Histogram{Int: h}
			if r.IntN(10) == 0 {
				hs[i] = model.Histogram{Int: &histogram.Histogram{Sum: specials[7]}}
			}
		}
		b = AppendHistograms(nil, hs)
		t.Log("hist", n, len(b))
		hg, err := DecodeHistograms(nil, b, n)
		if err != nil || !slices.EqualFunc(hs, hg, model.Histogram.Equal) {
			t.Fatal(n, err)
		}
		bs := make([][]byte, n)
		for i := range bs {
			bs[i] = make([]byte, r.IntN(20))
		}
		b = AppendBytesColumn(nil, bs)
		bg, err := DecodeBytesColumn(nil, b, n)
		if err != nil || !slices.EqualFunc(bs, bg, slices.Equal[[]byte]) {
			t.Fatal(n, err)
		}
	}
}
