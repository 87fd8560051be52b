package storage

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// ruleFloors are the recorded floors of retention rules, ready to be asked for the labels
// of a series. nil has none. It is immutable.
type ruleFloors struct {
	lists   []compiledRules
	highest int64 // of samples
}

// compiledRules is one list of rules.
type compiledRules struct {
	rules []compiledRule
}

// compiledRule is a rule with compiled matchers.
type compiledRule struct {
	selectors [][]*match.Matcher // none = it matches every series
	floors    map[block.Tier]int64
}

// newRuleFloors returns those of a state. Its matchers were compiled before they were
// recorded; one that does not compile is an error.
func newRuleFloors(st *manifest.State) (*ruleFloors, error) {
	if len(st.RuleLists) == 0 {
		return nil, nil
	}
	f := &ruleFloors{highest: manifest.NoFloor}
	for i := range st.RuleLists {
		l := &st.RuleLists[i]
		f.highest = max(f.highest, l.Highest(block.Raw))
		c, err := compileList(l)
		if err != nil {
			return nil, err
		}
		f.lists = append(f.lists, c)
	}
	return f, nil
}

func compileList(l *manifest.RuleList) (c compiledRules, err error) {
	for i := range l.Rules {
		r, err := compileRule(&l.Rules[i])
		if err != nil {
			return compiledRules{}, fmt.Errorf("retention rule %s: %w", &l.Rules[i], err)
		}
		c.rules = append(c.rules, r)
	}
	return c, nil
}

func compileRule(r *manifest.Rule) (compiledRule, error) {
	c := compiledRule{floors: r.Floors}
	for _, ms := range r.Selectors {
		compiled, err := match.Compiled(ms)
		if err != nil {
			return compiledRule{}, err
		}
		c.selectors = append(c.selectors, compiled)
	}
	return c, nil
}

// matches reports whether the rule matches a series.
func (r *compiledRule) matches(ls labels.Labels) bool {
	for _, ms := range r.selectors {
		if match.All(ms, ls) {
			return true
		}
	}
	return len(r.selectors) == 0
}

// of returns the index of the first rule that matches a series.
func (c *compiledRules) of(ls labels.Labels) int {
	for i := range c.rules {
		if c.rules[i].matches(ls) {
			return i
		}
	}
	panic("BUG: a list of retention rules does not end with one for all series")
}

// floor returns the floor of a series in a tier, NoFloor if its rules have none.
func (f *ruleFloors) floor(tier block.Tier, ls labels.Labels) int64 {
	floor := manifest.NoFloor
	if f == nil {
		return floor
	}
	for i := range f.lists {
		c := &f.lists[i]
		if at, ok := c.rules[c.of(ls)].floors[tier]; ok {
			floor = max(floor, at)
		}
	}
	return floor
}

// possible returns the highest floor of a tier that a series may have which satisfies
// all matchers, NoFloor if there is none.
func (f *ruleFloors) possible(tier block.Tier, ms []*match.Matcher) int64 {
	floor := manifest.NoFloor
	if f == nil {
		return floor
	}
	f.each(ms, func(r *compiledRule) {
		if at, ok := r.floors[tier]; ok {
			floor = max(floor, at)
		}
	})
	return floor
}

// each calls do with the rules that a series may be of which satisfies all matchers.
func (f *ruleFloors) each(ms []*match.Matcher, do func(r *compiledRule)) {
	for i := range f.lists {
		for j := range f.lists[i].rules {
			r := &f.lists[i].rules[j]
			if r.mayMatch(ms) {
				do(r)
			}
			if r.implied(ms) {
				break // all series are of this rule or one before it
			}
		}
	}
}

// least returns the lowest floor of a tier that a series may have which satisfies all
// matchers.
func (c *compiledRules) least(tier block.Tier, ms []*match.Matcher) int64 {
	least := int64(math.MaxInt64)
	for i := range c.rules {
		r := &c.rules[i]
		if r.mayMatch(ms) {
			at, ok := r.floors[tier]
			if !ok {
				return manifest.NoFloor
			}
			least = min(least, at)
		}
		if r.implied(ms) {
			break // all series are of this rule or one before it
		}
	}
	return least
}

// subsumed reports whether every series has in by at least the floors that l gives it, as
// far as matchers that name one value of a label tell.
func subsumed(l, by *manifest.RuleList) bool {
	old, err1 := compileList(l)
	now, err2 := compileList(by)
	if err1 != nil || err2 != nil {
		return false
	}
	for i := range old.rules {
		r := &old.rules[i]
		selectors := r.selectors
		if len(selectors) == 0 {
			selectors = [][]*match.Matcher{nil} // all series
		}
		for tier, at := range r.floors {
			for _, ms := range selectors {
				if now.least(tier, ms) < at {
					return false
				}
			}
		}
	}
	return true
}

// mayMatch reports whether a series that satisfies ms may match the rule. It looks for
// labels with one value only.
func (r *compiledRule) mayMatch(ms []*match.Matcher) bool {
	for _, selector := range r.selectors {
		if !contradict(selector, ms) && !contradict(ms, selector) {
			return true
		}
	}
	return len(r.selectors) == 0
}

// implied reports whether every series that satisfies ms is known to match the rule.
func (r *compiledRule) implied(ms []*match.Matcher) bool {
	for _, selector := range r.selectors {
		all := true
		for _, s := range selector {
			all = all && impliedBy(s, ms)
		}
		if all {
			return true
		}
	}
	return len(r.selectors) == 0
}

// contradict reports whether a matcher of as gives a label a value that one of bs does
// not match.
func contradict(as, bs []*match.Matcher) bool {
	for _, a := range as {
		if a.Type != labels.MatchEqual {
			continue
		}
		for _, b := range bs {
			if a.Name == b.Name && !b.Matches(a.Value) {
				return true
			}
		}
	}
	return false
}

// impliedBy reports whether a matcher of ms says what s does.
func impliedBy(s *match.Matcher, ms []*match.Matcher) bool {
	for _, m := range ms {
		if m.Name == s.Name && (m.Type == labels.MatchEqual && s.Matches(m.Value) || m.String() == s.String()) {
			return true
		}
	}
	return false
}

// rulesInHead returns the floors of rules if they may hide samples in the head, and nil
// otherwise.
func (s *state) rulesInHead() *ruleFloors {
	if s.rules == nil {
		return nil
	}
	for _, b := range s.buffers() {
		if st := b.Stats(); st.Samples > 0 && st.MinTime < s.rules.highest {
			return s.rules
		}
	}
	return nil
}

// kept returns the part of tr in which the samples in the head of a series are kept.
func (s *SeriesSet) kept(ls labels.Labels, tr model.TimeRange) model.TimeRange {
	if s.rules != nil {
		tr.Min = max(tr.Min, s.rules.floor(block.Raw, ls))
	}
	return tr
}

// HasRules reports whether samples of some series may have expired before those of
// others, so that FloorFor depends on the matchers.
func (v *View) HasRules() bool { return v.st.rules != nil }

// FloorFor returns the time before which rows of a tier, block.Raw included, of some
// series that satisfy all matchers may have expired, by retention rules or as all do.
func (v *View) FloorFor(ms []*labels.Matcher, tier block.Tier) int64 {
	floor := v.st.blocks.State().TierFloor(tier)
	if v.st.rules == nil {
		return floor
	}
	compiled, err := match.Compiled(ms)
	if err != nil { // the query fails anyway
		return floor
	}
	return max(floor, v.st.rules.possible(tier, compiled))
}

// RuleFloors returns the floors of tiers, in the order of tiers, of each retention rule
// that series may be of which satisfy all matchers. A list of rules has one for each
// series, of which these floors are at least those of all.
func (v *View) RuleFloors(ms []*labels.Matcher, tiers []block.Tier) (floors [][]int64) {
	compiled, err := match.Compiled(ms)
	if err != nil || v.st.rules == nil { // the query fails anyway
		return nil
	}
	v.st.rules.each(compiled, func(r *compiledRule) {
		of := make([]int64, len(tiers))
		for i, tier := range tiers {
			of[i] = max(v.st.blocks.State().TierFloor(tier), manifest.NoFloor)
			if at, ok := r.floors[tier]; ok {
				of[i] = max(of[i], at)
			}
		}
		floors = append(floors, of)
	})
	return floors
}
