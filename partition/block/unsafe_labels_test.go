package block

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
			labels.FromStrings(MetricName, long),
			labels.FromStrings(MetricName, "up", long, "y"),
			labels.FromStrings("a", "1", MetricName, long, "b", "2", long, long),
		} {
			var b []byte
			want.Range(func(l labels.Label) {
				b = appendLabelString(b, l.Name)
				b = appendLabelString(b, l.Value)
			})
			got := labelsOf(b)
			if !labels.Equal(got, want) || labels.Compare(got, want) != 0 || got.Hash() != want.Hash() || got.String() != want.String() {
				t.Errorf("lengths of %d: %.100s, want %.100s", n, got, want)
			}
		}
	}
}
