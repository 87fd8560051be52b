package encoding

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

func TestGorillaRoundTrips(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range floatPatterns {
		for _, n := range []int{0, 1, 2, 3, 40, 1000} {
			ts, vs := scrapeTimes(r, n), p.make(r, n)
			var g Gorilla
			one := []byte("prefix")[:0]
			for i := range ts {
				before := len(one)
				one = g.Append(one, ts[i], vs[i])
				if len(one)-before > GorillaMaxSample {
					t.Fatalf("%s: one sample took %d bytes", p.name, len(one)-before)
				}
			}
			var h Gorilla
			all := h.AppendAll(nil, ts[:n/3], vs[:n/3])
			all = h.AppendAll(all, ts[n/3:], vs[n/3:])
			if !bytes.Equal(one, all) || g != h || g.Len() != n {
				t.Fatalf("%s: one by one and all at once differ", p.name)
			}
			gotT, gotV, err := DecodeGorilla([]int64{7}, []float64{7}, one, n)
			if err != nil {
				t.Fatalf("%s: %v", p.name, err)
			}
			if !slices.Equal(gotT[1:], ts) || !slices.EqualFunc(gotV[1:], vs, sameBits) {
				t.Fatalf("%s: samples differ", p.name)
			}
		}
	}
}

func TestGorillaTakesAnyTimes(t *testing.T) {
	ts := []int64{0, math.MaxInt64, math.MinInt64, -1, 1, 1, 1, 5, 1 << 40, 1<<40 + 31, 1<<40 + 4095, 1<<40 + 1<<19, math.MinInt64}
	for d := range int64(64) {
		ts = append(ts, ts[len(ts)-1]+1<<d, ts[len(ts)-1]-1<<d)
	}
	var g Gorilla
	b := g.AppendAll(nil, ts, make([]float64, len(ts)))
	got, _, err := DecodeGorilla(nil, nil, b, len(ts))
	if err != nil || !slices.Equal(got, ts) {
		t.Fatalf("%v, %v", err, got)
	}
}

func TestGorillaStateIsSmallAndCanGoBack(t *testing.T) {
	if size := unsafe.Sizeof(Gorilla{}); size > 40 {
		t.Fatalf("state of %d bytes", size)
	}
	var g Gorilla
	b := g.AppendAll(nil, []int64{1, 2, 3}, []float64{1, 2, 3})
	saved, at := g, len(b)
	b = g.Append(b, 4, -4)
	b = b[:at]
	g = saved
	if g.LastTime() != 3 || g.Len() != 3 {
		t.Fatalf("%d samples up to %d", g.Len(), g.LastTime())
	}
	b = g.Append(b, 5, 5)
	ts, vs, err := DecodeGorilla(nil, nil, b, 4)
	if err != nil || !slices.Equal(ts, []int64{1, 2, 3, 5}) || !slices.Equal(vs, []float64{1, 2, 3, 5}) {
		t.Fatal(ts, vs, err)
	}
}
