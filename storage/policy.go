package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
)

// Retention says how long samples and rollups are kept. It can be replaced while the
// database runs: see DB.SetRetention.
type Retention struct {
	RawMs int64 // samples older than this are refused and leave; 0 = for ever
	// TierMs are the rollups that are made, and how long each is kept; 0 = for ever.
	TierMs map[block.Tier]int64
	// Rules give series other retentions. A series is of the first one that matches it,
	// and without one has those above.
	Rules []RetentionRule
	// MaxBytes bounds the bytes of the data directory, MaxPercent as a share of the file
	// system: what is oldest leaves earlier then. 0 = no bound; at most one is set.
	MaxBytes   int64
	MaxPercent int
}

// RetentionRule is the retention of the series that it matches.
type RetentionRule struct {
	// Selectors are sets of matchers: a series matches if it satisfies all of one.
	Selectors [][]*labels.Matcher
	// Keep has the retention by tier, block.Raw included, in milliseconds: 0 = for ever,
	// KeepNone = the tier has nothing of the series. A tier that is missing has that of
	// all series.
	Keep map[block.Tier]int64
}

// KeepNone is the retention of a rollup of which a rule keeps nothing.
const KeepNone = -1

// ErrTooManyRules is returned by SetRetention while files may hold what the rules of too
// many earlier configurations hide.
var ErrTooManyRules = errors.New("too many lists of retention rules")

// policy is a Retention in force. It is immutable.
type policy struct {
	Retention
	rules []policyRule // the last is that of all other series; nil = there are no rules
}

// policyRule is a rule whose retentions are all known.
type policyRule struct {
	compiledRule
	selectors [][]*labels.Matcher
	name      string // for messages; "" = of all other series
	keep      map[block.Tier]int64
}

// newPolicy returns the policy of a Retention. It fails for rules that no MANIFEST could
// hold, and for matchers that cannot be evaluated.
func newPolicy(r Retention) (*policy, error) {
	p := &policy{Retention: r}
	if len(r.Rules) == 0 {
		return p, nil
	}
	if len(r.Rules) > manifest.MaxRules {
		return nil, fmt.Errorf("%d retention rules exceed the limit of %d", len(r.Rules), manifest.MaxRules)
	}
	all := maps.Clone(r.TierMs)
	if all == nil {
		all = map[block.Tier]int64{}
	}
	all[block.Raw] = r.RawMs
	for i, rule := range r.Rules {
		if n := len(rule.Selectors); n == 0 || n > manifest.MaxSelectors {
			return nil, fmt.Errorf("retention rule %d has %d selectors, from 1 to %d are possible", i+1, n, manifest.MaxSelectors)
		}
		recorded := manifest.Rule{Selectors: rule.Selectors}
		compiled, err := compileRule(&recorded)
		if err != nil {
			return nil, fmt.Errorf("retention rule %s: %w", &recorded, err)
		}
		keep := maps.Clone(all)
		for tier, ms := range rule.Keep {
			if _, made := all[tier]; made {
				keep[tier] = ms
			}
		}
		p.rules = append(p.rules, policyRule{compiledRule: compiled, selectors: rule.Selectors, name: recorded.String(), keep: keep})
	}
	p.rules = append(p.rules, policyRule{keep: all})
	return p, nil
}

// of returns the rule of a series. The policy must have rules.
func (p *policy) of(ls labels.Labels) *policyRule {
	for i := range p.rules {
		if p.rules[i].matches(ls) {
			return &p.rules[i]
		}
	}
	panic("BUG: no retention rule for a series")
}

// shortestRaw and longestRaw return the bounds of the retentions of samples; 0 = for
// ever.
func (p *policy) shortestRaw() int64 {
	shortest := p.RawMs
	for i := range p.rules {
		if ms := p.rules[i].keep[block.Raw]; ms > 0 && (shortest == 0 || ms < shortest) {
			shortest = ms
		}
	}
	return shortest
}

func (p *policy) longestRaw() int64 { return p.longest(block.Raw, p.RawMs) }

// longest returns the longest retention of a tier; all is that of all series.
func (p *policy) longest(tier block.Tier, all int64) int64 {
	longest := all
	for i := range p.rules {
		switch ms := p.rules[i].keep[tier]; {
		case ms == 0 || longest == 0:
			longest = 0
		default:
			longest = max(longest, ms)
		}
	}
	return longest
}

// target returns the floor for a retention; of KeepNone it is the start of today.
func target(nowMs, keepMs int64) int64 {
	if keepMs == KeepNone {
		return block.Raw.PartitionStart(nowMs)
	}
	return compaction.RetentionTarget(nowMs, keepMs)
}

// targets sets the targets of a plan: those of all series, and those of rules.
func (p *policy) targets(nowMs int64, o *compaction.RetentionOptions) {
	o.Raw, o.Tiers = target(nowMs, p.longestRaw()), map[block.Tier]int64{}
	for tier, ms := range p.TierMs {
		o.Tiers[tier] = target(nowMs, p.longest(tier, ms))
	}
	for i := range p.rules {
		r := manifest.Rule{Selectors: p.rules[i].selectors, Floors: map[block.Tier]int64{}}
		for tier, ms := range p.rules[i].keep {
			if floor := target(nowMs, ms); floor > manifest.NoFloor {
				r.Floors[tier] = floor
			}
		}
		o.Rules = append(o.Rules, r)
	}
}

// SetRetention replaces the retention, and hides what the new one no longer keeps. What
// was hidden stays hidden. The rollups that are made must be the same as before. After an
// error the retention is as it was.
func (db *DB) SetRetention(ctx context.Context, r Retention) error {
	old := db.policy.Load()
	if !slices.Equal(slices.Sorted(maps.Keys(r.TierMs)), slices.Sorted(maps.Keys(old.TierMs))) {
		return errors.New("the rollups that are made cannot change while the database is open")
	}
	p, err := newPolicy(r)
	if err != nil {
		return err
	}
	if err := db.checkRoomForRules(p); err != nil {
		return err
	}
	db.policy.Store(p)
	if err := db.compactor.retain(ctx); err != nil { // nothing is hidden yet
		db.policy.CompareAndSwap(p, old)
		return err
	}
	return nil
}

// checkRoomForRules returns ErrTooManyRules if the MANIFEST could not hold the rules of p.
func (db *DB) checkRoomForRules(p *policy) error {
	lists := db.manifest.State().RuleLists
	var o compaction.RetentionOptions
	p.targets(db.now(), &o)
	l := manifest.RuleList{Rules: o.Rules}
	if len(o.Rules) == 0 || len(lists) < manifest.MaxRuleLists || slices.ContainsFunc(lists, func(old manifest.RuleList) bool { return old.Key() == l.Key() }) {
		return nil
	}
	text := fmt.Sprintf("the selectors of %d earlier configurations are still needed, to hide what they hid", len(lists))
	var forEver []string
	for _, tier := range slices.Sorted(maps.Keys(p.TierMs)) {
		if p.longest(tier, p.TierMs[tier]) == 0 {
			forEver = append(forEver, "--retention."+tier.Dir())
		}
	}
	if len(forEver) == 0 {
		return fmt.Errorf("%w: %s; merges remove it within a day, admin/compact at once", ErrTooManyRules, text)
	}
	return fmt.Errorf("%w: %s, and what rollups that are kept for ever hold of samples that have left needs them as long. Return to selectors that were used before, with retentions as you like, or bound %s",
		ErrTooManyRules, text, strings.Join(forEver, " and "))
}

// oldestInHead returns the time of the oldest sample in tr of the series of a rule in the
// head, math.MaxInt64 if there is none.
func (db *compactor) oldestInHead(ctx context.Context, l *manifest.RuleList, rule int, tr model.TimeRange) int64 {
	st := db.catalog.views.pin()
	if st == nil {
		return math.MinInt64
	}
	defer db.catalog.views.release(st)
	c, err := compileList(l)
	if err != nil {
		return math.MinInt64
	}
	h, oldest := db.catalog.views.head, int64(math.MaxInt64)
	var (
		builder model.LabelBuilder
		rows    model.ColumnSet
	)
	for _, tenant := range h.Tenants() {
		refs, err := h.Select(ctx, tenant, []*match.Matcher{}, tr, st.buffers()...)
		if err != nil {
			return math.MinInt64
		}
		for _, ref := range refs {
			_, _, ls, ok := h.LabelsTo(ref, &builder)
			if !ok || c.of(ls) != rule {
				continue
			}
			for _, b := range st.buffers() {
				rows.Reset()
				b.Samples(ref, tr, &rows)
				if len(rows.T) > 0 {
					oldest = min(oldest, rows.T[0])
				}
			}
		}
	}
	return oldest
}
