package operators

import (
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/query/admission"
)

// groupBy is the set of labels that define a group.
type groupBy struct {
	without bool
	names   []string // sorted
}

// labels returns the labels of the group of a series.
func (g *groupBy) labels(b *labels.Builder, ls labels.Labels) labels.Labels {
	switch {
	case g.without:
		b.Reset(ls)
		return b.Del(g.names...).Del(nameLabel).Labels()
	case len(g.names) == 0:
		return labels.EmptyLabels()
	}
	b.Reset(ls)
	return b.Keep(g.names...).Labels()
}

// grouping numbers the groups in the order of their first series.
type grouping struct {
	groupBy
	numbers           map[string]int
	buf               []byte
	b                 *labels.Builder
	sorted            []string
	admission.Scratch // for the keys and labels of groups
}

func newGrouping(g groupBy, mem *admission.Tracker) *grouping {
	n := &grouping{groupBy: g, numbers: make(map[string]int), b: labels.NewBuilder(labels.EmptyLabels()), Scratch: admission.NewScratch(mem)}
	if g.without { // the name is never part of the group
		n.sorted = sortedWith(g.names, nameLabel)
	}
	return n
}

func sortedWith(names []string, name string) []string {
	out := make([]string, 0, len(names)+1)
	for _, n := range names {
		if name != "" && name < n {
			out, name = append(out, name), ""
		}
		out = append(out, n)
	}
	if name != "" {
		out = append(out, name)
	}
	return out
}

// number returns the number of the group of a series and whether the group is new.
func (g *grouping) number(ls labels.Labels) (k int, fresh bool, err error) {
	switch {
	case g.without:
		g.buf = ls.BytesWithoutLabels(g.buf, g.sorted...)
	case len(g.names) == 0:
		g.buf = g.buf[:0]
	default:
		g.buf = ls.BytesWithLabels(g.buf, g.names...)
	}
	k, ok := g.numbers[string(g.buf)]
	if !ok {
		if err := g.Reserve(entryBytes + 2*int64(len(g.buf))); err != nil { // the key and about as much for the labels
			return 0, false, err
		}
		k = len(g.numbers)
		g.numbers[string(g.buf)] = k
	}
	return k, !ok, nil
}
