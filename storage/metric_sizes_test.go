package storage

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// Each metric has its series, samples and bytes; columns that metrics share are divided
// fairly, and together they are the columns of the files.
func TestMetricSizes(t *testing.T) {
	w := newChurnWorld(t)
	b := w.db.NewBatch("test", model.DefaultTenant)
	put := func(name string, series int, from, step int64, n int) {
		t.Helper()
		for i := range series {
			ls := labels.FromStrings("__name__", name, "i", string(rune('a'+i)))
			if name == "" {
				ls = labels.FromStrings("i", string(rune('a'+i)))
			}
			ref, err := b.Resolve(model.Hash{Hi: ls.Hash()}, ls)
			must(t, err)
			for k := range int64(n) {
				b.Float(ref, from+k*step, 0, float64((k*k+int64(i))%97))
			}
		}
	}
	for day := range 2 {
		put("big", 4, dayAt(day+1), 10_000, 2000)
		put("twin", 4, dayAt(day+1), 10_000, 2000) // shares times and values with big
		put("small", 1, dayAt(day+1)+7, 60_000, 30)
	}
	put("", 2, dayAt(1), 1000, 5)
	b.Metadata("big", model.Metadata{Type: "counter", Unit: "bytes", Help: "Large."})
	_, err := b.Commit(w.ctx)
	must(t, err)
	w.flush()
	sizes := func(r MetricSizesRequest) MetricSizes {
		t.Helper()
		if r.Limit == 0 {
			r.Limit = 10
		}
		s, warnings, err := w.db.MetricSizes(w.ctx, r)
		if err != nil || len(warnings) > 0 {
			t.Fatal(err, warnings)
		}
		return s
	}
	check := func(when string) {
		t.Helper()
		all := sizes(MetricSizesRequest{})
		columns, inline := int64(0), int64(0)
		v := w.view()
		defer v.Release()
		for _, e := range v.st.blocks.Entries() {
			st, err := e.Block().Stats(w.ctx)
			must(t, err)
			for _, c := range st.Columns {
				if columns += c.Bytes; c.Place == "inline" { // at most 20 bytes each, which Stats counts for the directory
					inline += c.Columns
				}
			}
		}
		if all.Bytes < columns-4 || all.Bytes > columns+4+20*inline || all.Total != 4 || all.Samples != 2*(8*2000+30)+10 {
			t.Errorf("%s: %d metrics, %d samples, %d bytes; columns have %d bytes", when, all.Total, all.Samples, all.Bytes, columns)
		}
		by := map[string]MetricSize{}
		for i, m := range all.Metrics {
			by[m.Name] = m
			if i > 0 && m.Bytes > all.Metrics[i-1].Bytes {
				t.Errorf("%s: %s has more bytes than the one before", when, m.Name)
			}
		}
		if big := by["big"]; big.Series != 4 || big.Samples != 16000 || big.Type != "counter" || big.Unit != "bytes" || big.Help != "Large." || big.NewestMs != dayAt(1)+1999*10_000 {
			t.Errorf("%s: %+v", when, big)
		}
		if a, b := by["big"].Bytes, by["twin"].Bytes; math.Abs(float64(a-b)) > 4 {
			t.Errorf("%s: of columns that they share, big has %d bytes and twin %d", when, a, b)
		}
		if small := by["small"]; small.Series != 1 || small.Samples != 60 || small.Type != "" {
			t.Errorf("%s: %+v", when, small)
		}
		if none := by[""]; none.Series != 2 || none.Samples != 10 {
			t.Errorf("%s: without a name: %+v", when, none)
		}
	}
	check("cut")
	w.compact()
	check("merged and rolled up")
	m := sizes(MetricSizesRequest{Order: MetricsByName}).Metrics
	if names := []string{m[0].Name, m[1].Name, m[2].Name, m[3].Name}; names[0] != "" || names[1] != "big" || names[3] != "twin" {
		t.Errorf("by name: %q", names)
	}
	if tiers := m[1].ByTier; len(tiers) != 2 || tiers[0].Tier != "raw" || tiers[0].Rows != 16000 || tiers[1].Tier != "1h" || tiers[1].Rows != 2*4*6 ||
		tiers[0].Bytes+tiers[1].Bytes != m[1].Bytes {
		t.Errorf("tiers: %+v", tiers)
	}
	w.put(labels.FromStrings("__name__", "big", "i", "new"), dayAt(0))
	w.put(labels.FromStrings("__name__", "big", "i", "a"), dayAt(0))
	one := sizes(MetricSizesRequest{Order: MetricsBySeries, Limit: 1, Sets: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchRegexp, "i", "a|new")}}})
	if m := one.Metrics; len(m) != 1 || m[0].Name != "big" || m[0].Series != 2 || m[0].Head != 2 || m[0].Samples != 4000 || one.Total != 4 {
		t.Errorf("of some series: %+v", one)
	}
	if _, err := ParseMetricOrder("size"); err == nil {
		t.Error("an unknown order is taken")
	}
}
