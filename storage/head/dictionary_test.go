package head

import (
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

// Numbers tell the labels of each series, and stay the same while series come and tables
// are packed anew, which gives terms other numbers.
func TestLabelNumbers(t *testing.T) {
	h := New(Options{})
	var numbered []labels.Label
	n := NewNumbering(func(name, value string) uint32 {
		numbered = append(numbered, labels.Label{Name: string([]byte(name)), Value: string([]byte(value))})
		return uint32(len(numbered) - 1)
	})
	check := func(from, to int) {
		t.Helper()
		var numbers []uint32
		for i := from; i < to; i++ {
			want := labels.FromStrings("__name__", "m", "i", fmt.Sprint(i), "k", fmt.Sprint(i%7))
			ref, _ := h.Resolve(uint32(i%3), want)
			tenant, id, all, ok := h.LabelNumbers(ref, n, numbers[:0])
			_, wantID, _, _ := h.Labels(ref)
			var got []labels.Label
			for _, number := range all {
				got = append(got, numbered[number])
			}
			if numbers = all; !ok || tenant != uint32(i%3) || id != wantID || !labels.Equal(labels.New(got...), want) {
				t.Fatalf("series %d: %d, %v, %v, %v, want %v", i, tenant, id, got, ok, want)
			}
		}
	}
	check(0, 1000)
	once := len(numbered)
	if check(0, 1000); len(numbered) != once {
		t.Errorf("%d labels were numbered again", len(numbered)-once)
	}
	check(0, 2000)
	var gone bool
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		if s.live > 0 && !gone { // so that the terms of a shard get other numbers
			s.condemn(0)
			gone = true
		}
		s.packAnew()
		s.mu.Unlock()
	}
	check(0, 2500)
	ref, _ := h.Resolve(0, labels.FromStrings("a", "1"))
	h.NewBuffer(1)
	h.NewBuffer(3)
	h.Evict(3)
	if _, _, _, ok := h.LabelNumbers(ref, n, nil); ok {
		t.Error("a series that has left has labels")
	}
}
