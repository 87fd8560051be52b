package objstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestRangesAreReadTogetherWhereThatPays(t *testing.T) {
	c := Costs{Gap: 10, MaxSpan: 100, Parallel: 1}
	for _, test := range []struct{ name, ranges, reads string }{
		{"none", "", ""},
		{"one", "5+10", "5+10"},
		{"adjacent", "0+10 10+10", "0+20"},
		{"a gap that is read", "0+10 20+10", "0+30"},
		{"a gap that is skipped", "0+10 21+10", "0+10 21+10"},
		{"in any order", "40+5 0+10 15+10 30+5", "0+45"},
		{"overlapping", "0+20 5+5 10+30", "0+40"},
		{"as long as a span may be", "0+50 50+50", "0+100"},
		{"longer than a span may be", "0+50 50+51", "0+50 50+51"},
		{"longer on its own", "0+300 300+10", "0+300 300+10"},
		{"inside a long one", "0+300 100+10", "0+300 100+10"},
	} {
		var ranges []Range
		for f := range strings.FieldsSeq(test.ranges) {
			var off int64
			var n int
			if _, err := fmt.Sscanf(f, "%d+%d", &off, &n); err != nil {
				t.Fatal(err)
			}
			ranges = append(ranges, Range{Offset: off, Data: make([]byte, n)})
		}
		var reads []string
		err := c.ReadRanges(t.Context(), func(_ context.Context, p []byte, off int64) error {
			reads = append(reads, fmt.Sprintf("%d+%d", off, len(p)))
			for i := range p {
				p[i] = byte(off) + byte(i)
			}
			return nil
		}, ranges)
		if err != nil || strings.Join(reads, " ") != test.reads {
			t.Errorf("%s: read %q, want %q, error %v", test.name, reads, test.reads, err)
		}
		for _, r := range ranges {
			for i, b := range r.Data {
				if b != byte(r.Offset)+byte(i) {
					t.Errorf("%s: byte %d of %d+%d is wrong", test.name, i, r.Offset, len(r.Data))
					break
				}
			}
		}
	}
}

func TestAFailedSpanIsReadRangeByRange(t *testing.T) {
	c := Costs{Gap: 100, MaxSpan: 1000, Parallel: 2}
	bad := errors.New("bad sector")
	read := func(_ context.Context, p []byte, off int64) error {
		if off <= 20 && off+int64(len(p)) > 20 {
			return bad
		}
		return nil
	}
	ranges := []Range{{Offset: 30, Data: make([]byte, 5)}, {Offset: 15, Data: make([]byte, 10)}, {Offset: 0, Data: make([]byte, 10)}}
	if err := c.ReadRanges(t.Context(), read, ranges); err != bad {
		t.Fatal(err)
	}
	if ranges[0].Err != nil || ranges[1].Err != bad || ranges[2].Err != nil {
		t.Errorf("errors: %v, %v, %v", ranges[0].Err, ranges[1].Err, ranges[2].Err)
	}
}

// Reads of one call run beside each other, but no more than Parallel.
func TestSpansAreReadInParallelUpToTheBound(t *testing.T) {
	const parallel = 3
	c := Costs{Parallel: parallel, MaxSpan: 1}
	var mu sync.Mutex
	running, most := 0, 0
	full := make(chan struct{})
	read := func(context.Context, []byte, int64) error {
		mu.Lock()
		running++
		if most = max(most, running); running == parallel && most == parallel {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		<-full // until the bound is reached once
		mu.Lock()
		running--
		mu.Unlock()
		return nil
	}
	ranges := make([]Range, 20)
	for i := range ranges {
		ranges[i] = Range{Offset: int64(i) * 100, Data: make([]byte, 1)}
	}
	if err := c.ReadRanges(t.Context(), read, ranges); err != nil || most != parallel {
		t.Errorf("%d reads at a time, error %v", most, err)
	}
}

func TestTailBufferKeepsTheLastBytes(t *testing.T) {
	var all []byte
	var tail Tail
	for i, n := range []int{1, 4000, 95, 1, 4096, 5000, 10, 4090, 0, 3} {
		p := slices.Repeat([]byte{byte(i + 1)}, n)
		all = append(all, p...)
		tail.Write(p)
		if want := all[max(0, len(all)-TailBytes):]; !slices.Equal(tail.b, want) {
			t.Fatalf("after %d bytes: kept %d bytes, or other ones", len(all), len(tail.b))
		}
	}
}
