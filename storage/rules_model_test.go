package storage

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
	"tsdb/rollup/bucket"
	"tsdb/storage/doctor"
)

var rulesSeeds = flag.Int("rules.seeds", 12, "number of random runs of the model of retention rules")

// ruleSelectors are the selectors of random rules over the series of a rulesModel.
var ruleSelectors = []*labels.Matcher{
	labels.MustNewMatcher(labels.MatchEqual, "i", "0"),
	labels.MustNewMatcher(labels.MatchRegexp, "i", "0|1"),
	labels.MustNewMatcher(labels.MatchNotEqual, "i", "2"),
	labels.MustNewMatcher(labels.MatchEqual, "i", "3"),
	labels.MustNewMatcher(labels.MatchEqual, "other", ""),
}

// rulesModel is a tieredWorld beside a plain map of what was written and not deleted.
type rulesModel struct {
	*tieredWorld
	r       *rand.Rand
	policy  Retention
	samples [4]map[int64]float64 // that are kept
	rolled  [4]map[int64]float64 // whose hours are kept
	steps   []string
	refused int
}

// Strategy: four series are written, late ones too, overwritten and deleted by whole
// hours, while rules with all kinds of selectors come and go, and cuts, merges, rollups,
// retention and restarts happen in any order. Invariants, checked against the map after
// every few steps:
//
//   - a write is refused exactly if it is older than the series' own rule allows;
//   - the floor of a series in a tier never falls;
//   - samples at or above the floor of their series are all there, of others none but
//     those that stand in for buckets;
//   - buckets of hours at or above the floor of their series are those of all samples
//     that were ever written, though these may have expired;
//   - labels and series are listed while samples or buckets of them are left;
//   - the directory passes the check.
func TestRetentionRulesAgainstAMap(t *testing.T) {
	for seed := range int64(unlessShort(*rulesSeeds, 3)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &rulesModel{tieredWorld: newTieredWorld(t), r: rand.New(rand.NewSource(seed))}
			for i := range m.samples {
				m.samples[i], m.rolled[i] = map[int64]float64{}, map[int64]float64{}
			}
			m.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0}
			switch seed % 4 {
			case 1, 3:
				m.opts.TierRetentionMs[block.Minute] = 20 * model.DayMs
			case 2:
				m.opts.TierRetentionMs = nil
			}
			m.opts.RetentionMs = 15 * model.DayMs
			m.policy = Retention{RawMs: m.opts.RetentionMs, TierMs: m.opts.TierRetentionMs}
			m.restart()
			for step := range 120 {
				m.step()
				m.forget()
				if step%5 == 4 {
					m.check()
				}
				if t.Failed() {
					t.Fatalf("seed %d after\n%v", seed, m.steps)
				}
			}
			m.clock.Advance(24 * time.Hour)
			m.compact()
			m.forget()
			m.check()
			if t.Failed() {
				t.Fatalf("seed %d after\n%v", seed, m.steps)
			}
			closeUncut(m.db)
			rep, err := doctor.Check(m.ctx, m.mem, "data")
			must(t, err)
			for _, d := range rep.Damage {
				t.Error(d)
			}
			if m.refused == 0 {
				t.Error("no sample was refused")
			}
		})
	}
}

func (m *rulesModel) step() {
	m.t.Helper()
	note := func(format string, args ...any) { m.steps = append(m.steps, fmt.Sprintf(format, args...)) }
	switch n := m.r.Intn(20); {
	case n < 6:
		m.writeSome()
		note("write")
	case n < 7:
		i := m.r.Intn(4)
		at := m.clock.Now().UnixMilli()/model.HourMs*model.HourMs + 1 - int64(m.r.Intn(20*24))*model.HourMs
		tr := model.TimeRange{Min: at, Max: at + int64(1+m.r.Intn(30))*model.HourMs}
		m.remove(i, tr)
		for _, of := range []map[int64]float64{m.samples[i], m.rolled[i]} {
			maps.DeleteFunc(of, func(at int64, _ float64) bool { return tr.Contains(at) })
		}
		note("delete %d from %s to %s", i, model.FormatTime(tr.Min), model.FormatTime(tr.Max))
	case n < 9:
		m.flush()
		note("flush")
	case n < 11:
		for range 1 + m.r.Intn(3) {
			_, err := m.db.compactor.mergeNext(m.ctx, []planner{compaction.PlanMerge, compaction.PlanFinal}[m.r.Intn(2)])
			must(m.t, err)
		}
		m.db.catalog.sweep(m.ctx)
		note("merge")
	case n < 13:
		for range 1 + m.r.Intn(3) {
			if len(m.opts.TierRetentionMs) == 0 {
				break
			}
			_, err := m.db.roller.rollNext(m.ctx, m.r.Intn(2) == 0)
			must(m.t, err)
		}
		m.db.catalog.sweep(m.ctx)
		note("roll")
	case n < 15:
		must(m.t, m.db.Retain(m.ctx))
		note("retain")
	case n < 16:
		m.reload()
		note("reload %v", m.policy.Rules)
	case n < 17:
		m.opts.RetentionRules = m.policy.Rules
		m.restart()
		note("restart")
	case n < 18:
		m.compact()
		note("compact")
	default:
		d := time.Duration(m.r.Intn(40)) * time.Hour
		m.clock.Advance(d)
		note("advance %v", d)
	}
}

// reload sets random rules.
func (m *rulesModel) reload() {
	m.t.Helper()
	m.policy.Rules = nil
	for range m.r.Intn(3) {
		rule := RetentionRule{Keep: map[block.Tier]int64{}}
		for range 1 + m.r.Intn(2) {
			rule.Selectors = append(rule.Selectors, []*labels.Matcher{ruleSelectors[m.r.Intn(len(ruleSelectors))]})
		}
		for tier := range m.opts.TierRetentionMs {
			if m.r.Intn(2) == 0 {
				rule.Keep[tier] = []int64{0, KeepNone, 4 * model.DayMs, 12 * model.DayMs, 25 * model.DayMs}[m.r.Intn(5)]
			}
		}
		if m.r.Intn(3) > 0 {
			rule.Keep[block.Raw] = []int64{0, model.DayMs, 3 * model.DayMs, 8 * model.DayMs, 30 * model.DayMs}[m.r.Intn(5)]
		}
		m.policy.Rules = append(m.policy.Rules, rule)
	}
	must(m.t, m.db.SetRetention(m.ctx, m.policy))
}

// keep returns the retention of the samples of series i.
func (m *rulesModel) keep(i int) int64 {
	for _, rule := range m.policy.Rules {
		for _, ms := range rule.Selectors {
			if !ms[0].Matches(tieredLabels(i).Get(ms[0].Name)) {
				continue
			}
			if ms, ok := rule.Keep[block.Raw]; ok {
				return ms
			}
			return m.policy.RawMs
		}
	}
	return m.policy.RawMs
}

// writeSome writes samples of random age, most of them to a few days.
func (m *rulesModel) writeSome() {
	m.t.Helper()
	b := m.db.NewBatch("test", model.DefaultTenant)
	now, want := m.clock.Now().UnixMilli(), 0
	st := m.db.manifest.State()
	for range 1 + m.r.Intn(3) {
		i := m.r.Intn(4)
		ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, tieredLabels(i))
		must(m.t, err)
		from, step := now-int64(m.r.Intn(20*24))*model.HourMs, []int64{1000, 20_000, 600_000}[m.r.Intn(3)]
		if m.r.Intn(2) == 0 {
			from = now - int64(m.r.Intn(48))*model.HourMs
		}
		limit := max(m.floor(st, block.Raw, i), model.MinTime)
		if keep := m.keep(i); keep > 0 {
			limit = max(limit, now-keep)
		}
		for k := range int64(20 + m.r.Intn(200)) {
			at, v := from+k*step, float64(m.r.Intn(50))
			if at > now {
				break
			}
			b.Float(ref, at, 0, v)
			if at < limit {
				want++
				continue
			}
			m.samples[i][at], m.rolled[i][at] = v, v
		}
	}
	receipt, err := b.Commit(m.ctx)
	must(m.t, err)
	if got := receipt.RejectedCount(); got != want {
		m.t.Errorf("%d samples refused, want %d: %+v", got, want, receipt.Rejected)
	}
	m.refused += want
}

// floor returns the recorded floor of series i in a tier.
func (m *rulesModel) floor(st *manifest.State, tier block.Tier, i int) int64 {
	return max(st.TierFloor(tier), st.FloorOf(tier, tieredLabels(i)))
}

// forget forgets what lies below a floor: it never comes back.
func (m *rulesModel) forget() {
	st := m.db.manifest.State()
	for i := range m.samples {
		raw, hours := m.floor(st, block.Raw, i), m.floor(st, block.Hour, i)
		if len(m.opts.TierRetentionMs) == 0 {
			hours = raw
		}
		maps.DeleteFunc(m.samples[i], func(at int64, _ float64) bool { return at < raw })
		maps.DeleteFunc(m.rolled[i], func(at int64, _ float64) bool { return at < hours })
	}
}

func sortedSamples(of map[int64]float64) (s model.Samples) {
	for _, at := range slices.Sorted(maps.Keys(of)) {
		s.Append(at, 0, of[at], model.Histogram{})
	}
	return s
}

func (m *rulesModel) check() {
	m.t.Helper()
	v := m.view()
	defer v.Release()
	st := v.st.blocks.State()
	all := model.TimeRange{Min: dayAt(60), Max: m.clock.Now().UnixMilli() + model.DayMs}
	set, err := v.Select(m.ctx, model.DefaultTenant, all, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(m.t, err)
	if w := set.Warnings(); len(w) > 0 {
		m.t.Error(w)
	}
	found := map[string]*Series{}
	for k := range set.Len() {
		found[set.At(k).Labels.Get("i")] = set.At(k)
	}
	rows := m.readRows(v, block.Hour, all)
	listed, _, err := v.LabelValues(m.ctx, model.DefaultTenant, "i", all, 0)
	must(m.t, err)
	for i := range m.samples {
		name := fmt.Sprint(i)
		floor := m.floor(st, block.Raw, i)
		var got model.Samples
		if s := found[name]; s != nil {
			must(m.t, s.Samples(m.ctx, all, &got))
		}
		m.sameSamples(i, floor, &got)
		if len(m.samples[i]) > 0 && !slices.Contains(listed, name) {
			m.t.Errorf("series %d is not listed", i)
		}
		if got.Len() == 0 && found[name] != nil {
			m.t.Errorf("series %d is selected and has no samples", i)
		}
		m.sameRows(st, i, rows[name])
	}
}

// sameSamples compares the samples of series i with the map.
func (m *rulesModel) sameSamples(i int, floor int64, got *model.Samples) {
	m.t.Helper()
	want := sortedSamples(m.samples[i])
	k := 0
	for k < got.Len() && got.T[k] < floor {
		if m.opts.TierRetentionMs[block.Minute] == 0 {
			m.t.Errorf("series %d has a sample at %s below its floor %s", i, model.FormatTime(got.T[k]), model.FormatTime(floor))
			return
		}
		k++
	}
	if n := got.Len() - k; n != want.Len() {
		m.t.Errorf("series %d has %d samples from %s, want %d", i, n, model.FormatTime(floor), want.Len())
		return
	}
	for j := range want.T {
		if got.T[k+j] != want.T[j] || got.V[k+j] != want.V[j] {
			m.t.Errorf("series %d has %v at %s, want %v at %s", i, got.V[k+j], model.FormatTime(got.T[k+j]), want.V[j], model.FormatTime(want.T[j]))
			return
		}
	}
}

// readRows returns the buckets of a tier by series, those of samples where it has none.
func (m *rulesModel) readRows(v *View, tier block.Tier, tr model.TimeRange) map[string]*model.Buckets {
	m.t.Helper()
	set, err := v.SelectTiered(m.ctx, model.DefaultTenant, tr, OneTier(tier), labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(m.t, err)
	var r TieredReader
	defer r.Release()
	all := map[string]*model.Buckets{}
	for k := range set.Len() {
		s := set.At(k)
		rows, out := new(model.Buckets), new(model.Buckets)
		gaps, err := r.Buckets(m.ctx, s, tr, model.AllBucketColumns, rows, nil)
		must(m.t, err)
		next := 0
		for _, gap := range gaps {
			j := rows.Search(gap.Min)
			out.AppendRange(rows, next, j)
			next = j
			var samples model.ColumnSet
			must(m.t, r.Samples(m.ctx, s, gap, &samples))
			b := bucket.NewBuilder(tier.Ms())
			b.Add(&samples, out)
			b.Flush(out)
		}
		out.AppendRange(rows, next, rows.Len())
		all[s.Labels.Get("i")] = out
	}
	if w := set.Warnings(); len(w) > 0 {
		m.t.Error(w)
	}
	return all
}

// sameRows compares the buckets of hours of series i with those of the map.
func (m *rulesModel) sameRows(st *manifest.State, i int, got *model.Buckets) {
	m.t.Helper()
	if got == nil {
		got = new(model.Buckets)
	}
	raw, hour := m.floor(st, block.Raw, i), m.floor(st, block.Hour, i)
	count := func(b *model.Buckets, from, to int64, all map[int64]uint32) map[int64]uint32 {
		for k, end := range b.End {
			if end >= from && end < to {
				all[end] = b.Count[k]
			}
		}
		return all
	}
	want := map[int64]uint32{}
	for _, part := range []struct {
		of       map[int64]float64
		from, to int64
	}{{m.rolled[i], hour, math.MaxInt64}, {m.samples[i], raw, hour}} {
		samples := sortedSamples(part.of)
		count(bucket.FromSamples(block.Hour.Ms(), &samples), part.from, part.to, want)
	}
	if g, w := count(got, min(raw, hour), math.MaxInt64, map[int64]uint32{}), want; !maps.Equal(g, w) {
		for _, end := range slices.Sorted(maps.Keys(w)) {
			if g[end] != w[end] {
				m.t.Errorf("series %d, floors raw %s, hours %s: bucket that ends at %s has %d samples, want %d", i,
					model.FormatTime(raw), model.FormatTime(hour), model.FormatTime(end), g[end], w[end])
				return
			}
		}
		m.t.Errorf("series %d, floors raw %s, hours %s: %d buckets, want %d", i, model.FormatTime(raw), model.FormatTime(hour), len(g), len(w))
	}
}
