package storage

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// RuleStatus describes a retention rule in force. Series, samples and bytes are
// estimates from the newest L2s of each day, by the share of its samples.
type RuleStatus struct {
	Match string `json:"match"` // "" = all series that no other rule matches
	// Keep is the retention by tier in milliseconds: 0 = for ever, -1 = nothing is kept.
	Keep map[string]int64 `json:"keepMs"`
	// Floors are the times before which rows have expired, by tier, RFC 3339.
	Floors map[string]string `json:"floors"`
	Series uint64            `json:"series"` // of the day with most
	Bytes  int64             `json:"bytes"`  // of samples
	// HiddenBytes are those of samples in blocks that wait to be rewritten, and
	// NextRewrite the time by which the first of them is.
	HiddenBytes int64  `json:"hiddenBytes"`
	NextRewrite string `json:"nextRewrite,omitempty"`
}

// ruleStatus returns the status of the rules in force, none if there are none.
func (db *DB) ruleStatus(v *View) []RuleStatus {
	p := db.policy.Load()
	list := []RuleStatus{}
	st := v.st.blocks.State()
	var l *manifest.RuleList
	if len(p.rules) > 0 {
		l = &manifest.RuleList{}
		for i := range p.rules {
			l.Rules = append(l.Rules, manifest.Rule{Selectors: p.rules[i].selectors})
		}
		for i := range st.RuleLists { // with the floors that were reached
			if st.RuleLists[i].Key() == l.Key() {
				l = &st.RuleLists[i]
			}
		}
	}
	for i := range p.rules {
		r := RuleStatus{Match: p.rules[i].name, Keep: map[string]int64{}, Floors: map[string]string{}}
		for tier, ms := range p.rules[i].keep {
			r.Keep[tier.String()] = ms
			if floor := max(l.Rules[i].Floor(tier), st.TierFloor(tier)); floor != manifest.NoFloor {
				r.Floors[tier.String()] = rfc3339(floor)
			}
		}
		db.countRule(v, l, i, &r)
		list = append(list, r)
	}
	return list
}

// countRule adds up what the blocks of samples have of a rule.
func (db *DB) countRule(v *View, l *manifest.RuleList, rule int, r *RuleStatus) {
	ctx := context.Background()
	days := map[int64]uint64{}
	for _, e := range v.st.blocks.Raw() {
		if e.Block() == nil || e.Level == block.L0 || e.Series == 0 {
			continue
		}
		series, err := v.st.blocks.RuleSeries(ctx, e, l, rule)
		if err != nil {
			continue // a damaged index costs the figures of this block
		}
		bytes := int64(float64(e.Size) * float64(series) / float64(e.Series))
		days[e.Partition] += series
		if floor := max(l.Rules[rule].Floor(block.Raw), v.st.floor); e.Partition < floor && series > 0 {
			r.HiddenBytes += bytes
			if next := rfc3339(max(db.now(), e.Span().Max+2*model.DayMs)); r.NextRewrite == "" || next < r.NextRewrite {
				r.NextRewrite = next
			}
		}
		r.Bytes += bytes
	}
	for _, n := range days {
		r.Series = max(r.Series, n)
	}
}

// retentionCollector shows the floors of retention as metrics.
type retentionCollector struct {
	db                            *DB
	floor, lists, used, limit, ok *prometheus.Desc
}

func newRetentionCollector(db *DB) *retentionCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &retentionCollector{
		db:    db,
		floor: desc("tsdb_retention_floor_timestamp_seconds", "Time before which samples or buckets have expired, by rule (empty: of all series) and tier.", "rule", "tier"),
		lists: desc("tsdb_retention_rule_lists", "Lists of retention rules that are recorded: the one in force, and earlier ones that are still needed."),
		used:  desc("tsdb_retention_size_used_bytes", "Bytes that count towards the bound of --retention.size; 0 without one."),
		limit: desc("tsdb_retention_size_limit_bytes", "Bound of --retention.size; 0 = none."),
		ok:    desc("tsdb_retention_size_met", "0 if the bound of --retention.size cannot be met, otherwise 1."),
	}
}

// Describe implements prometheus.Collector.
func (c *retentionCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.floor, c.lists, c.used, c.limit, c.ok} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *retentionCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	st := c.db.manifest.State()
	floor := func(rule string, tier block.Tier, ms int64) {
		if ms != manifest.NoFloor {
			gauge(c.floor, float64(ms)/1000, rule, tier.String())
		}
	}
	floor("", block.Raw, st.Floor)
	for tier, ms := range st.TierFloors {
		floor("", tier, ms)
	}
	seen := map[string]bool{}
	for i := len(st.RuleLists) - 1; i >= 0; i-- {
		rules := st.RuleLists[i].Rules
		for j := range rules[:len(rules)-1] {
			name := clip(rules[j].String())
			if seen[name] { // a list of an earlier configuration has the rule too
				continue
			}
			seen[name] = true
			for tier, ms := range rules[j].Floors {
				floor(name, tier, ms)
			}
		}
	}
	gauge(c.lists, float64(len(st.RuleLists)))
	b, met := c.db.bound.plan.Load(), 1.0
	if c.db.bound.unmet.Load() {
		met = 0
	}
	var used, limit int64
	if b != nil {
		used, limit = b.Used, b.Limit
	}
	gauge(c.used, float64(used))
	gauge(c.limit, float64(limit))
	gauge(c.ok, met)
}
