package model

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

// The string that is taken for a label set is the one that the package of label
// sets makes, whatever the lengths of names and values are.
func TestLabelsAreTheStringsWeMake(t *testing.T) {
	for _, n := range []int{1, 2, 127, 128, 253, 254, 255, 256, 257, 1 << 16, 1<<16 + 1, 1 << 20} {
		long := strings.Repeat("x", n)
		for _, want := range []labels.Labels{
			labels.EmptyLabels(),
			labels.FromStrings("__name__", long),
			labels.FromStrings("__name__", "up", long, "y"),
			labels.FromStrings("a", "1", "__name__", long, "b", "2", long, long),
		} {
			var b []byte
			want.Range(func(l labels.Label) {
				b = AppendLabelString(b, l.Name)
				b = AppendLabelString(b, l.Value)
			})
			if LabelString(want) != string(b) {
				t.Errorf("lengths of %d: another string", n)
			}
			got := LabelsOf(b)
			if !labels.Equal(got, want) || labels.Compare(got, want) != 0 || got.Hash() != want.Hash() || got.String() != want.String() {
				t.Errorf("lengths of %d: %.100s, want %.100s", n, got, want)
			}
		}
	}
}

// After Rewind the sets are built in the memory of those before, up to a bound.
func TestLabelBuilderUsesMemoryAgain(t *testing.T) {
	var b LabelBuilder
	values := make([]string, 500)
	for i := range values {
		values[i] = strings.Repeat("v", 100+i)
	}
	round := func(sets int) {
		b.Rewind()
		for i := range sets {
			b.Reset()
			b.Add("__name__", "up")
			b.Add("i", values[i%500])
			if got := b.Labels(); got.Get("__name__") != "up" || got.Get("i") != values[i%500] {
				t.Fatalf("set %d: %.100s", i, got)
			}
		}
	}
	round(2000) // 700 KB
	if !testing.Short() {
		if got := testing.AllocsPerRun(10, func() { round(2000) }); got > 0 {
			t.Errorf("%v allocations", got)
		}
	}
	round(20_000)
	if len(b.kept) != keptChunksMax {
		t.Errorf("%d chunks are kept", len(b.kept))
	}
}

// Sets of one builder stay what they are while others are built, whatever their size.
func TestLabelBuilder(t *testing.T) {
	var b LabelBuilder
	var got, want []labels.Labels
	for i := range 2000 {
		value := strings.Repeat("v", i*i%7919)
		b.Reset()
		if i%2 == 0 {
			b.Add("__name__", "up")
			b.Add("i", value)
		} else {
			b.AddBytes([]byte("__name__"), []byte("up"))
			b.AddBytes([]byte("i"), []byte(value))
		}
		got, want = append(got, b.Labels()), append(want, labels.FromStrings("__name__", "up", "i", value))
		if i%300 == 0 {
			b.Release()
		}
	}
	b.Reset()
	got, want = append(got, b.Labels()), append(want, labels.EmptyLabels())
	for i := range got {
		if !labels.Equal(got[i], want[i]) {
			t.Fatalf("set %d: %.100s, want %.100s", i, got[i], want[i])
		}
	}
}
