package cardinality

import (
	"reflect"
	"testing"
)

func TestReportComparesDays(t *testing.T) {
	// On day 2 there were more than three metrics: of c it is known that it had at most 5.
	days := func() []Day {
		days := []Day{dayWith(1, Row{"a", 9}), dayWith(2, Row{"a", 10}, Row{"b", 6}, Row{"z", 5}), dayWith(4, Row{"a", 11}, Row{"c", 8}, Row{"b", 7})}
		days[0].Tables[NewByLabel] = NewTable([]Row{{"pod", 5}, {"id", 1}}, false)
		days[2].Tables[NewByLabel] = NewTable([]Row{{"id", 9}}, false)
		return days
	}
	for _, c := range []struct {
		what        string
		kind        Kind
		first, last int64
		order       Order
		rows        int
		want        []Line
	}{
		{"by size", ByMetric, 2, 4, BySize, 9, []Line{{"a", []int64{11, 10}}, {"c", []int64{8, Unknown}}, {"b", []int64{7, 6}}}},
		{"by growth", ByMetric, 2, 4, ByGrowth, 9, []Line{{"c", []int64{8, Unknown}}, {"a", []int64{11, 10}}, {"b", []int64{7, 6}}}},
		{"from a whole table", ByMetric, 1, 4, ByGrowth, 2, []Line{{"c", []int64{8, Unknown, 0}}, {"b", []int64{7, 6, 0}}}},
		{"a day", ByMetric, 1, 1, BySize, 9, []Line{{"a", []int64{9}}}},
		{"what is new, by its sum", NewByLabel, 1, 4, BySize, 9, []Line{{"id", []int64{9, 0, 1}}, {"pod", []int64{0, 0, 5}}}},
		{"an empty table", ByPair, 1, 4, BySize, 9, []Line{}},
	} {
		r, err := NewReport(days(), c.first, c.last, c.order, c.rows, nil)
		if err != nil || !reflect.DeepEqual(r.Lines[c.kind], c.want) {
			t.Errorf("%s: %v, %v, want %v", c.what, r.Lines[c.kind], err, c.want)
		}
	}
	r, err := NewReport(days(), 2, 4, BySize, 1, nil)
	if err != nil || len(r.Days) != 2 || r.Days[0].Day != 4 || r.Days[1].Day != 2 {
		t.Errorf("%+v, %v", r.Days, err)
	}
	if r, err := NewReport(days(), 5, 9, BySize, 1, nil); err != nil || len(r.Days) != 0 || r.Lines[ByMetric] != nil {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"name", "Size"} {
		if _, err := ParseOrder(bad); err == nil {
			t.Errorf("%q is an order", bad)
		}
	}
}
