package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log/logtest"
)

// TestTenantsShareNoSeries writes the same labels for two tenants, with other
// values, and compares what each tenant reads: from the log, the head, blocks
// and after a merge, a deletion and a restart.
func TestTenantsShareNoSeries(t *testing.T) {
	ctx := context.Background()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	opts := Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, Tenants: map[string]uint32{"other": 7}}
	fs := vfs.NewMem()
	open := func() *DB {
		db, err := openChecked(t, ctx, fs, "data", opts)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open()
	other, err := db.Tenant("other")
	if err != nil || other != 7 {
		t.Fatalf("tenant %d, error %v", other, err)
	}
	tenants := []uint32{model.DefaultTenant, other}
	want := map[uint32]map[string][]float64{}
	for _, tenant := range tenants {
		want[tenant] = map[string][]float64{}
	}
	all := labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")
	write := func(tenant uint32, v float64, names ...string) {
		t.Helper()
		b := db.NewBatch("test", tenant)
		for _, name := range names {
			ref, err := b.Resolve(model.Hash{Hi: uint64(tenant), Lo: uint64(name[0])}, labels.FromStrings("__name__", name, "tenant", fmt.Sprint(tenant)[:1], "shared", "x"))
			if err != nil {
				t.Fatal(err)
			}
			b.Float(ref, clock.Now().UnixMilli(), 0, v)
			s := fmt.Sprintf("%s-%d", name, tenant)
			want[tenant][s] = append(want[tenant][s], v)
		}
		b.Metadata("a", model.Metadata{Type: "gauge", Help: fmt.Sprint("of tenant ", tenant)})
		if r, err := b.Commit(ctx); err != nil || r.Floats != len(names) {
			t.Fatal(r, err)
		}
		clock.Advance(time.Second)
	}
	check := func(when string) {
		t.Helper()
		v, err := db.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Release()
		for _, tenant := range tenants {
			set, err := v.Select(ctx, tenant, model.AllTime, all)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string][]float64{}
			for i := range set.Len() {
				s := set.At(i)
				var samples model.Samples
				if err := s.Samples(ctx, model.AllTime, &samples); err != nil {
					t.Fatal(err)
				}
				if samples.Len() > 0 {
					name := s.Labels.Get("__name__") + "-" + s.Labels.Get("tenant")
					got[name] = append(got[name], samples.V...)
				}
			}
			if !maps.EqualFunc(got, want[tenant], slices.Equal) {
				t.Errorf("%s: tenant %d has %v, want %v", when, tenant, got, want[tenant])
			}
			c, _, err := db.Cardinality(ctx, CardinalityRequest{Tenant: tenant, Limit: 10})
			if err != nil || int(c.Series) != len(want[tenant]) || len(c.ByMetric) != len(want[tenant]) {
				t.Errorf("%s: tenant %d has %d series in %v, error %v", when, tenant, c.Series, c.ByMetric, err)
			}
			for _, p := range c.ByLabelPair {
				if p.Name == "shared=x" && int(p.Count) != len(want[tenant]) {
					t.Errorf("%s: tenant %d has %d series with a label that all have", when, tenant, p.Count)
				}
			}
			values, _, err := v.LabelValues(ctx, tenant, "tenant", model.AllTime, 0)
			if err != nil || !slices.Equal(values, []string{fmt.Sprint(tenant)}) {
				t.Errorf("%s: tenant %d has values %v, error %v", when, tenant, values, err)
			}
			ms, _, err := v.Metadata(ctx, tenant, "")
			if help := fmt.Sprint("of tenant ", tenant); err != nil || len(ms) != 1 || ms["a"][0].Help != help {
				t.Errorf("%s: tenant %d has metadata %v, error %v", when, tenant, ms, err)
			}
		}
		n, err := v.countSeries(ctx)
		if err != nil || int(n) != len(want[tenants[0]])+len(want[tenants[1]]) {
			t.Errorf("%s: %d series, error %v", when, n, err)
		}
	}
	reopen := func() {
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		if err := db.Close(stopped); err != nil {
			t.Fatal(err)
		}
		db = open()
	}
	flush := func() {
		if _, err := db.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}

	write(model.DefaultTenant, 1, "a", "b")
	write(other, 2, "a")
	check("head")
	reopen()
	check("log")
	flush()
	check("block")
	write(other, 3, "a", "c")
	write(model.DefaultTenant, 4, "a")
	check("head and block")
	flush()
	if _, err := db.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	check("merged")
	write(model.DefaultTenant, 5, "b")
	if err := db.Delete(ctx, other, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "shared", "x"), labels.MustNewMatcher(labels.MatchEqual, "__name__", "c")); err != nil {
		t.Fatal(err)
	}
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { v.Release() }()
	for tenant, n := range map[uint32]int{model.DefaultTenant: 4, other: 2} {
		if got := samplesOfTenant(t, v, tenant); got != n {
			t.Errorf("after a deletion tenant %d has %d samples, want %d", tenant, got, n)
		}
	}
	v.Release()
	reopen()
	if v, err = db.View(); err != nil {
		t.Fatal(err)
	}
	for tenant, n := range map[uint32]int{model.DefaultTenant: 4, other: 2} {
		if got := samplesOfTenant(t, v, tenant); got != n {
			t.Errorf("after a deletion and a restart tenant %d has %d samples, want %d", tenant, got, n)
		}
	}
}

// samplesOfTenant returns the number of samples of a tenant.
func samplesOfTenant(t *testing.T, v *View, tenant uint32) (n int) {
	t.Helper()
	set, err := v.Select(t.Context(), tenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range set.Len() {
		var s model.Samples
		if err := set.At(i).Samples(t.Context(), model.AllTime, &s); err != nil {
			t.Fatal(err)
		}
		n += s.Len()
	}
	return n
}

func TestTenantNames(t *testing.T) {
	f := func(more map[string]uint32, ok bool) {
		t.Helper()
		if _, err := newTenantTable(more); ok != (err == nil) {
			t.Errorf("%v: %v", more, err)
		}
	}
	f(nil, true)
	f(map[string]uint32{"default": 0, "a": 1, "b": 2}, true)
	f(map[string]uint32{"a": 0}, false)
	f(map[string]uint32{"default": 1}, false)
	f(map[string]uint32{"a": 1, "b": 1}, false)
	table, err := newTenantTable(map[string]uint32{"a": 1})
	if err != nil {
		t.Fatal(err)
	}
	db := &DB{tenants: table}
	if id, err := db.Tenant(DefaultTenantName); err != nil || id != model.DefaultTenant {
		t.Errorf("default tenant is %d, error %v", id, err)
	}
	if id, err := db.Tenant("a"); err != nil || id != 1 {
		t.Errorf("tenant a is %d, error %v", id, err)
	}
	if _, err := db.Tenant("b"); !errors.Is(err, ErrUnknownTenant) {
		t.Errorf("tenant b: %v", err)
	}
}
