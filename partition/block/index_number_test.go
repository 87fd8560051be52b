package block

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// The pairs of a series are those of its labels, whatever it has in common with the
// series before it.
func TestPairsOfSeries(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	names := []string{"a", "aa", "b", "ba", "c", "d"}
	values := []string{"x", "xx", "xxx", "xy", "y", "x\x01c\x01x", "\x01d\x01y", "x\x02ba\x01x", string(make([]byte, 254)), string(make([]byte, 256)) + "x"}
	x := &indexWriter{}
	for i := range 20_000 {
		b := labels.NewScratchBuilder(0)
		for _, name := range names {
			if rnd.IntN(3) > 0 {
				b.Add(name, values[rnd.IntN(len(values))])
			}
		}
		if rnd.IntN(4) == 0 {
			b.Add(MetricName, fmt.Sprint("m", rnd.IntN(3)))
			b.Sort()
		}
		ls := b.Labels()
		err := x.number(ls)
		if empty := ls.Len() == 0; (err != nil) != empty {
			t.Fatalf("series %d %v: %v", i, ls, err)
		} else if empty {
			continue
		}
		if metric, want := x.metricName(x.current, x.metricOf(x.current)), ls.Get(MetricName); metric != want {
			t.Fatalf("series %d %v: metric %q, want %q", i, ls, metric, want)
		}
		var got []labels.Label
		for _, p := range x.current {
			got = append(got, labels.Label{Name: x.nameOf(p), Value: x.table.valueOf(p)})
		}
		if !labels.Equal(labels.New(got...), ls) {
			t.Fatalf("series %d after %q: pairs of %v, want %v", i, x.lastText, got, ls)
		}
		x.last, x.current, x.lastEnds, x.ends, x.lastText = x.current, x.last, x.ends, x.lastEnds, model.LabelString(ls)
	}
}

// Labels that are not sorted, or empty, are refused also behind and before labels that
// the series before has.
func TestBadLabelsBesideGoodOnes(t *testing.T) {
	x := &indexWriter{}
	good := labels.FromStrings("b", "1", "d", "1", "f", "1")
	if err := x.number(good); err != nil {
		t.Fatal(err)
	}
	x.last, x.current, x.lastEnds, x.ends, x.lastText = x.current, x.last, x.ends, x.lastEnds, model.LabelString(good)
	for _, pairs := range [][]string{
		{"b", "1", "a", "1", "f", "1"}, {"b", "1", "g", "1", "f", "1"}, {"b", "1", "d", "1", "d", "1"}, {"b", "1", "b", "1", "d", "1", "f", "1"},
		{"b", "1", "d", "", "f", "1"}, {"", "1", "b", "1", "d", "1", "f", "1"}, {"b", "1", "d", "1", "f", ""}, {"b", "", "d", "1", "f", "1"},
	} {
		var b []byte
		for _, s := range pairs {
			b = model.AppendLabelString(b, s)
		}
		if err := x.number(model.LabelsOf(b)); err == nil {
			t.Errorf("%q are taken", pairs)
		}
	}
}

// The list of all series is written without looking at its ordinals.
func TestListOfAllSeries(t *testing.T) {
	var scratch []byte
	for n := uint32(minOfAll); n < 3000; n++ {
		ords := make([]uint32, n)
		for i := range ords {
			ords[i] = uint32(i)
		}
		want := appendPostings(nil, ords, &scratch)
		if got := appendPostingsRuns(nil, []interval{{0, n}}, &scratch); string(got) != string(want) {
			t.Fatalf("%d series: %x, want %x", n, got, want)
		}
	}
}
