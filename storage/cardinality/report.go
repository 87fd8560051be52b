package cardinality

import (
	"cmp"
	"fmt"
	"slices"
)

// Order says which rows of a report come first.
type Order string

// Orders of rows. Tables of what is new have sums of all days in place of sizes and of
// growth.
const (
	BySize   Order = "size"   // the highest counts on the last day
	ByGrowth Order = "growth" // the highest growth from the first to the last day
)

// ParseOrder parses an Order; "" is BySize.
func ParseOrder(s string) (Order, error) {
	switch o := Order(s); o {
	case "":
		return BySize, nil
	case BySize, ByGrowth:
		return o, nil
	}
	return "", fmt.Errorf("must be %s or %s, not %q", BySize, ByGrowth, s)
}

// Unknown stands for a count that its day's table has left out: it is at most that of the
// table's last row.
const Unknown = -1

// Line has the counts of a name, one for each day of its report.
type Line struct {
	Name   string
	Counts []int64 // the newest day first; Unknown = left out
}

// Report compares days.
type Report struct {
	Days  []Day            // the newest first
	Lines [numKinds][]Line // of each kind
}

// reportBytes are those of a count in a report.
const reportBytes = 8

// NewReport returns a report of the days from first to last, both inclusive, that are kept,
// with at most rows lines of each kind. It takes the days over. reserve, if not nil, is
// called before memory is taken.
func NewReport(days []Day, first, last int64, order Order, rows int, reserve func(bytes int64) error) (Report, error) {
	days = slices.DeleteFunc(days, func(d Day) bool { return d.Day < first || d.Day > last })
	slices.Reverse(days)
	r := Report{Days: days}
	if len(days) == 0 {
		return r, nil
	}
	if reserve != nil {
		if err := reserve(int64(numKinds*min(rows, MaxRows)*len(days)) * reportBytes); err != nil {
			return Report{}, err
		}
	}
	for _, k := range Kinds {
		r.Lines[k] = lines(days, k, order, rows)
	}
	return r, nil
}

// lines returns the first lines of a kind; days are the newest first.
func lines(days []Day, k Kind, order Order, rows int) []Line {
	var ranked []rank
	if k == NewByMetric || k == NewByLabel {
		ranked = sums(days, k)
	} else {
		ranked = sizes(&days[0].Tables[k], &days[len(days)-1].Tables[k], order)
	}
	slices.SortFunc(ranked, func(a, b rank) int {
		return cmp.Or(cmp.Compare(b.by, a.by), cmp.Compare(b.then, a.then), cmp.Compare(a.name, b.name))
	})
	ranked = ranked[:min(rows, len(ranked))]
	out := make([]Line, len(ranked))
	index := make(map[string]int, len(ranked))
	for i, r := range ranked {
		out[i] = Line{Name: r.name, Counts: make([]int64, len(days))}
		index[r.name] = i
	}
	for at := range days {
		t := &days[at].Tables[k]
		for i := range out {
			out[i].Counts[at] = t.absent()
		}
		for _, r := range t.Rows {
			if i, shown := index[r.Name]; shown {
				out[i].Counts[at] = int64(min(r.Count, 1<<62))
			}
		}
	}
	return out
}

// rank is a name with what it is sorted by.
type rank struct {
	name     string
	by, then int64
}

// sums adds the counts of all days up.
func sums(days []Day, k Kind) []rank {
	all := map[string]int64{}
	for i := range days {
		for _, r := range days[i].Tables[k].Rows {
			all[r.Name] += int64(min(r.Count, 1<<48))
		}
	}
	ranked := make([]rank, 0, len(all))
	for name, n := range all {
		ranked = append(ranked, rank{name: name, by: n})
	}
	return ranked
}

// sizes ranks the rows of a day by their size, or by what they have grown since another. A
// row that the other table has left out had at most as much as its last one.
func sizes(now, before *Table, order Order) []rank {
	had := make(map[string]uint64, len(before.Rows))
	for _, r := range before.Rows {
		had[r.Name] = r.Count
	}
	least := uint64(0)
	if before.Cut && len(before.Rows) > 0 {
		least = before.Rows[len(before.Rows)-1].Count
	}
	ranked := make([]rank, len(now.Rows))
	for i, r := range now.Rows {
		ranked[i] = rank{name: r.Name, by: int64(min(r.Count, 1<<62))}
		if order == ByGrowth {
			was, known := had[r.Name]
			if !known {
				was = least
			}
			ranked[i].by, ranked[i].then = ranked[i].by-int64(min(was, 1<<62)), ranked[i].by
		}
	}
	return ranked
}

// absent returns the count of a name that is not in the table.
func (t *Table) absent() int64 {
	if t.Cut {
		return Unknown
	}
	return 0
}
