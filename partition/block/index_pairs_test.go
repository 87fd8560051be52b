package block

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
)

// writeNumbered writes m with the labels of those series by numbers for which by returns
// true.
func (m *modelBlock) writeNumbered(t *testing.T, by func(i int) bool) ([]byte, Info) {
	t.Helper()
	fs := vfs.NewMem()
	w, err := Create(objstore.NewDir(fs, "data"), m.meta, WriterOptions{})
	must(t, err)
	var numbers []uint32
	for i := range m.series {
		s := &m.series[i]
		if by(i) {
			numbers = append(numbers[:0], w.Label("a name of no samples", fmt.Sprint(i)), w.Label("b", "of no samples"))
			must(t, w.SeriesOfLabels(s.tenant, s.id(), numbers)) // left out, and so are its labels
			numbers = numbers[:0]
			s.labels.Range(func(l labels.Label) { numbers = append(numbers, w.Label(l.Name, l.Value)) })
			must(t, w.SeriesOfLabels(s.tenant, s.id(), numbers))
		} else {
			must(t, w.Series(s.tenant, s.id(), s.labels))
		}
		must(t, w.Samples(&s.samples))
	}
	info, err := w.Finish()
	must(t, err)
	first, last, err := w.Ends()
	must(t, err)
	made := openTest(t, fs, info, nil)
	for ord, got := range map[uint32]SeriesEntry{0: first, uint32(info.Series - 1): last} {
		want, err := made.Series(ord)
		must(t, err)
		if got.Tenant != want.Tenant || got.ID != want.ID || !labels.Equal(got.Labels, want.Labels) {
			t.Errorf("the first and the last series are %v and %v; series %d is %v", first, last, ord, want)
		}
	}
	mustBeClean(t, made)
	return readBlockFile(t, fs, info.Name), info
}

// Series whose labels are told by numbers make the block that the labels make, also in
// turns with series of labels.
func TestSeriesOfNumberedLabels(t *testing.T) {
	rnd := newRand(t)
	for round := range 12 {
		m := randomBlock(rnd, L0, 1+rnd.IntN(300))
		want, _ := m.writeNumbered(t, func(int) bool { return false })
		for name, by := range map[string]func(int) bool{
			"all":         func(int) bool { return true },
			"some":        func(int) bool { return rnd.IntN(2) == 0 },
			"the first":   func(i int) bool { return i == 0 },
			"all but one": func(i int) bool { return i != len(m.series)/2 },
		} {
			if got, _ := m.writeNumbered(t, by); !bytes.Equal(got, want) {
				t.Errorf("round %d: another block with %s of %d series by numbers", round, name, len(m.series))
			}
		}
	}
}

// Numbered labels that are not sorted, and series that are not, are refused.
func TestNumberedLabelsInAnotherOrder(t *testing.T) {
	type series []string // name, value, …
	f := func(name string, ok bool, all ...series) {
		t.Helper()
		fs := vfs.NewMem()
		w, err := Create(objstore.NewDir(fs, "data"), Meta{Key: SpanningKey(L0), MinGen: 1, MaxGen: 1}, WriterOptions{})
		must(t, err)
		for i, s := range all {
			var numbers []uint32
			for k := 0; k < len(s); k += 2 {
				numbers = append(numbers, w.Label(s[k], s[k+1]))
			}
			_ = w.SeriesOfLabels(0, model.Identity{Lo: uint64(i + 1)}, numbers)
			_ = w.Samples(&model.Samples{T: []int64{firstDay}, V: []float64{1}})
		}
		if _, err := w.Finish(); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("sorted", true, series{"a", "1", "b", "1"}, series{"a", "1", "b", "2"}, series{"a", "2"})
	f("a prefix first", true, series{"a", "1"}, series{"a", "1", "b", "1"})
	f("by metric before labels", true, series{"__name__", "m", "a", "9"}, series{"__name__", "n", "a", "1"})
	f("a name before the metric's", true, series{"A", "9", "__name__", "m"}, series{"A", "1", "__name__", "n"})
	f("no metric first", true, series{"a", "9"}, series{"__name__", "m"})
	f("no labels", false, series{})
	f("an empty value", false, series{"a", ""})
	f("an empty name", false, series{"", "1"})
	f("names not sorted", false, series{"b", "1", "a", "1"})
	f("a name twice", false, series{"a", "1", "a", "2"})
	f("names not sorted behind a label of the series before", false, series{"a", "1", "c", "1"}, series{"a", "1", "c", "2", "b", "1"})
	f("the same labels", false, series{"a", "1"}, series{"a", "1"})
	f("a prefix last", false, series{"a", "1", "b", "1"}, series{"a", "1"})
	f("values not sorted", false, series{"a", "2"}, series{"a", "1"})
	f("metrics not sorted", false, series{"__name__", "n", "a", "1"}, series{"__name__", "m", "a", "9"})
	f("a metric before none", false, series{"__name__", "m"}, series{"a", "9"})
}
