package encoding

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// Every column of the suite can be described, its fields cover its bytes, and no
// change of its bytes causes a panic.
func TestEveryColumnCanBeDescribed(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range suiteColumns(r, 40) {
		k, ok := goldenKinds[strings.Split(c.name, "/")[0]]
		if !ok {
			continue
		}
		b := c.append(nil)
		info, err := ColumnInfo(k, b, c.n)
		if err != nil || info.Kind != k || info.Bytes != len(b) || info.Codec() == "" || !strings.HasPrefix(info.String(), info.Codec()) {
			t.Fatalf("%s: %v, %q: %v", c.name, info, info.Codec(), err)
		}
		fields, err := ColumnFields(k, b, c.n)
		if err != nil || !covers(fields, len(b)) {
			t.Fatalf("%s: fields %v of %d bytes: %v", c.name, fields, len(b), err)
		}
		for i := range b {
			b[i] ^= 1 << r.IntN(8)
			for _, n := range []int{c.n, 0, -1, MaxValues + 1} {
				_, err := ColumnInfo(k, b, n)
				_, err2 := ColumnFields(k, b, n)
				if err != nil && !errors.Is(err, ErrCorrupt) || err2 != nil && !errors.Is(err2, ErrCorrupt) {
					t.Fatalf("%s: %v, %v", c.name, err, err2)
				}
			}
		}
	}
	for k := range Kind(KindBucketValues + 2) {
		if _, err := ColumnInfo(k, []byte{0xff, 1, 2}, 3); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", k, err)
		}
		if info, err := ColumnInfo(k, nil, 0); err != nil || info.Codec() != "empty" {
			t.Errorf("%s: an empty column is %q: %v", k, info, err)
		}
	}
}

func TestInfoNamesTheChoice(t *testing.T) {
	for want, i := range map[string]Info{
		"INT delta PACK gcd patches width=7 gcd=10 patches=3": {Kind: KindFloats, Order: OrderDelta, Coder: CoderPack, GCD: 10, Width: 7, Patches: 3, Bytes: 9},
		"DEC raw CONST exceptions corrections e=2 exceptions=1": {Kind: KindFloats, Transform: TransformDec, Exponent: 2, Exceptions: 1,
			Corrected: true, GCD: 1, Bytes: 9},
		"delta2 PACK width=1":    {Kind: KindTimestamps, Order: OrderDelta2, Coder: CoderPack, GCD: 1, Width: 1, Bytes: 9},
		"time - start raw CONST": {Kind: KindStartTimestamps, Form: "time - start", GCD: 1, Bytes: 9},
		"INT delta TOK-A extra bits streams=4 extra=9B": {Kind: KindFloats, Order: OrderDelta, Coder: CoderTokA, GCD: 1, Streams: 4, ExtraBytes: 9,
			Bytes: 99},
		"grid TOK-B streams=1":                     {Kind: KindTimestamps, Order: OrderGrid, Coder: CoderTokB, GCD: 1, Streams: 1, Bytes: 99},
		"delta SPARSE changes=7":                   {Kind: KindTimestamps, Order: OrderDelta, Coder: CoderSparse, GCD: 1, Changes: 7, Bytes: 99},
		"inner columns: 3 exceptions exceptions=2": {Kind: KindBucketValues, Form: "inner columns: 3", Exceptions: 2, Bytes: 9},
		"columns zstd":                             {Kind: KindHistograms, Form: "columns", Zstd: true, Bytes: 9},
		"CONST":                                    {Kind: KindFloats, Transform: TransformConst, Bytes: 3},
	} {
		if got := i.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestColumnsOfTooManyValuesAreABug(t *testing.T) {
	for name, f := range map[string]func(){
		"floats":     func() { AppendFloats(nil, make([]float64, MaxValues+1), Fast, 0) },
		"timestamps": func() { AppendTimestamps(nil, make([]int64, MaxValues+1), Fast) },
		"starts":     func() { AppendStartTimestamps(nil, []int64{1, 2}, []int64{1}, Fast) },
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.HasPrefix(r.(string), "BUG") {
					t.Errorf("%s: %v", name, r)
				}
			}()
			f()
		}()
	}
	full := make([]float64, MaxValues)
	full[7] = 1
	b, _ := AppendFloats(nil, full, Fast, 0)
	if got, err := DecodeFloats(nil, b, MaxValues); err != nil || got[7] != 1 {
		t.Errorf("a column of MaxValues: %v", err)
	}
}
