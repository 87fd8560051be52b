package manifest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// Limits of retention rules. The encoder rejects what exceeds them, the decoder
// reports it as damage.
const (
	MaxRuleLists = 64  // of a state
	MaxRules     = 256 // of a list, without the last
	MaxSelectors = 64  // of a rule
)

// RuleList is a list of retention rules with the floors that they have reached. A
// series is of the first rule that matches it. If the configuration changes, lists of
// earlier ones stay as long as files may hold what they hide: of all lists of a state
// the highest floor counts.
//
// A RuleList is immutable and safe for concurrent use.
type RuleList struct {
	ID    uint64 // unique in the state
	Rules []Rule // the last has no selectors
}

// Rule is one rule of a list.
type Rule struct {
	// Selectors are sets of matchers: the rule matches a series that satisfies all
	// matchers of one of them. Without selectors it matches every series.
	Selectors [][]*labels.Matcher
	// Floors are the starts of the first days that are kept, by tier, Raw included. They
	// never fall. In a tier that is missing nothing is hidden.
	Floors map[block.Tier]int64
}

// Floor returns the floor of a tier, NoFloor if there is none.
func (r *Rule) Floor(tier block.Tier) int64 {
	if floor, ok := r.Floors[tier]; ok {
		return floor
	}
	return NoFloor
}

// Highest returns the highest floor of any tier, NoFloor if there is none.
func (r *Rule) Highest() int64 {
	floor := NoFloor
	for _, at := range r.Floors {
		floor = max(floor, at)
	}
	return floor
}

// Key returns the selectors of all rules as text: lists with equal keys assign every
// series to the same rule.
func (l *RuleList) Key() string {
	var b strings.Builder
	for i := range l.Rules {
		b.WriteString(l.Rules[i].String())
		b.WriteByte('\n')
	}
	return b.String()
}

// String returns the selectors of the rule in PromQL syntax.
func (r *Rule) String() string {
	if len(r.Selectors) == 0 {
		return "{}"
	}
	var all []string
	for _, ms := range r.Selectors {
		var texts []string
		for _, m := range ms {
			texts = append(texts, m.String())
		}
		all = append(all, "{"+strings.Join(texts, ",")+"}")
	}
	return strings.Join(all, " or ")
}

// Highest returns the highest floor of a tier, NoFloor if there is none.
func (l *RuleList) Highest(tier block.Tier) int64 {
	floor := NoFloor
	for i := range l.Rules {
		floor = max(floor, l.Rules[i].Floor(tier))
	}
	return floor
}

// HighestFloor returns the time from which on all series of a tier are kept: the
// highest of TierFloor and the floors of all rules.
func (s *State) HighestFloor(tier block.Tier) int64 {
	floor := s.TierFloor(tier)
	for i := range s.RuleLists {
		floor = max(floor, s.RuleLists[i].Highest(tier))
	}
	return floor
}

// FloorOf returns the floor of a tier that retention rules give a series, NoFloor if they
// give none.
func (s *State) FloorOf(tier block.Tier, ls labels.Labels) int64 {
	floor := NoFloor
	for i := range s.RuleLists {
		rules := s.RuleLists[i].Rules
		j := slices.IndexFunc(rules, func(r Rule) bool { return r.matches(ls) })
		floor = max(floor, rules[j].Floor(tier)) // the last rule matches
	}
	return floor
}

func (r *Rule) matches(ls labels.Labels) bool {
	return len(r.Selectors) == 0 || slices.ContainsFunc(r.Selectors, func(ms []*labels.Matcher) bool {
		return !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) })
	})
}

// applyRules applies the parts of an edit that are about retention rules to n.
func (n *State) applyRules(e *Edit) {
	if len(e.RuleLists)+len(e.DropRules) == 0 {
		return
	}
	n.RuleLists = slices.DeleteFunc(slices.Clone(n.RuleLists), func(l RuleList) bool {
		return slices.Contains(e.DropRules, l.ID) || slices.ContainsFunc(e.RuleLists, func(o RuleList) bool { return o.ID == l.ID })
	})
	n.RuleLists = append(n.RuleLists, e.RuleLists...)
	slices.SortFunc(n.RuleLists, func(a, b RuleList) int { return cmp.Compare(a.ID, b.ID) })
	if len(n.RuleLists) == 0 {
		n.RuleLists = nil
	}
}

// checkRuleLists checks the parts of an edit that are about retention rules: a list
// that is replaced keeps its selectors, and no floor falls.
func checkRuleLists(s, next *State, e *Edit) error {
	if n := len(next.RuleLists); n > MaxRuleLists {
		return badEdit("%d lists of retention rules exceed the limit of %d", n, MaxRuleLists)
	}
	known := map[uint64]*RuleList{}
	for i := range s.RuleLists {
		known[s.RuleLists[i].ID] = &s.RuleLists[i]
	}
	for _, id := range e.DropRules {
		if known[id] == nil {
			return badEdit("drop rules %d, which are not there", id)
		}
		delete(known, id)
	}
	changed := map[uint64]bool{}
	for i := range e.RuleLists {
		l := &e.RuleLists[i]
		if changed[l.ID] || slices.Contains(e.DropRules, l.ID) {
			return badEdit("rules %d are changed twice", l.ID)
		}
		changed[l.ID] = true
		old := known[l.ID]
		if old == nil {
			continue
		}
		if old.Key() != l.Key() {
			return badEdit("rules %d: the selectors change", l.ID)
		}
		for j := range old.Rules {
			for tier, floor := range old.Rules[j].Floors {
				if l.Rules[j].Floor(tier) < floor {
					return badEdit("rules %d: floor %d of %v goes back from %d to %d", l.ID, j, tier, floor, l.Rules[j].Floor(tier))
				}
			}
		}
	}
	return nil
}

// validate returns an error if decodeRuleList would reject l.
func (l *RuleList) validate() error {
	n := len(l.Rules)
	if n == 0 || n > MaxRules+1 {
		return fmt.Errorf("rules %d: %d rules, from 1 to %d are possible", l.ID, n, MaxRules+1)
	}
	for i := range l.Rules {
		r := &l.Rules[i]
		switch m := len(r.Selectors); {
		case m > MaxSelectors:
			return fmt.Errorf("rules %d: %d selectors exceed the limit of %d", l.ID, m, MaxSelectors)
		case (m == 0) != (i == n-1):
			return fmt.Errorf("rules %d: rule %d of %d has %d selectors", l.ID, i, n, m)
		}
		for _, ms := range r.Selectors {
			if err := checkMatchers(ms); err != nil {
				return fmt.Errorf("rules %d: %w", l.ID, err)
			}
		}
		for tier, floor := range r.Floors {
			if !tier.Valid() || tier.PartitionStart(floor) != floor {
				return fmt.Errorf("rules %d: floor %d of tier %d is not the start of a partition", l.ID, floor, uint32(tier))
			}
		}
	}
	return nil
}

// appendRuleList appends the body of a list.
func appendRuleList(dst []byte, l *RuleList) []byte {
	dst = binary.AppendUvarint(dst, l.ID)
	dst = binary.AppendUvarint(dst, uint64(len(l.Rules)))
	for i := range l.Rules {
		r := &l.Rules[i]
		dst = binary.AppendUvarint(dst, uint64(len(r.Selectors)))
		for _, ms := range r.Selectors {
			dst = appendMatchers(dst, ms)
		}
		dst = binary.AppendUvarint(dst, uint64(len(r.Floors)))
		for _, tier := range slices.Sorted(maps.Keys(r.Floors)) {
			dst = appendCoverKey(dst, CoverKey{tier, r.Floors[tier]})
		}
	}
	return dst
}

// decodeRuleList decodes the body that appendRuleList writes and validates it.
func decodeRuleList(body []byte) (RuleList, error) {
	in := format.Reader{B: body}
	l := RuleList{ID: in.Uvarint(math.MaxUint64)}
	for range in.Uvarint(MaxRules + 1) {
		var r Rule
		for range in.Uvarint(MaxSelectors) {
			ms, err := readMatchers(&in)
			if err != nil {
				return RuleList{}, err
			}
			r.Selectors = append(r.Selectors, ms)
		}
		for range in.Uvarint(uint64(len(block.Rollups) + 1)) {
			k := readCoverKey(&in)
			if r.Floors == nil {
				r.Floors = map[block.Tier]int64{}
			}
			if _, twice := r.Floors[k.Tier]; twice {
				in.Fail("tier of a floor")
			}
			r.Floors[k.Tier] = k.Day
		}
		if in.Err != nil {
			break
		}
		l.Rules = append(l.Rules, r)
	}
	if err := in.End("body"); err != nil {
		return RuleList{}, err
	}
	if err := l.validate(); err != nil {
		return RuleList{}, format.Corrupt("%v", err)
	}
	return l, nil
}

// describe returns the list as text.
func (l *RuleList) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", l.ID)
	for i := range l.Rules {
		r := &l.Rules[i]
		fmt.Fprintf(&b, " %s", r)
		for _, tier := range slices.Sorted(maps.Keys(r.Floors)) {
			fmt.Fprintf(&b, " %v from %s", tier, FormatMs(r.Floors[tier]))
		}
		if i < len(l.Rules)-1 {
			b.WriteByte(';')
		}
	}
	return b.String()
}

// checkMatchers returns an error if readMatchers would reject ms.
func checkMatchers(ms []*labels.Matcher) error {
	if n := len(ms); n > model.MaxMatchers {
		return fmt.Errorf("%d matchers exceed the limit of %d", n, model.MaxMatchers)
	}
	for i, m := range ms {
		if m.Type > labels.MatchNotRegexp {
			return fmt.Errorf("matcher %d is of unknown type %d", i, m.Type)
		}
		if n := max(len(m.Name), len(m.Value)); n > model.MaxMatcherBytes {
			return fmt.Errorf("matcher %d has a name or value of %d bytes, the limit is %d", i, n, model.MaxMatcherBytes)
		}
	}
	return nil
}

func appendMatchers(dst []byte, ms []*labels.Matcher) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ms)))
	for _, m := range ms {
		dst = append(dst, byte(m.Type))
		dst = format.AppendString(dst, m.Name)
		dst = format.AppendString(dst, m.Value)
	}
	return dst
}

// readMatchers reads what appendMatchers writes. Errors of in itself are left there.
func readMatchers(in *format.Reader) (ms []*labels.Matcher, err error) {
	for range in.Uvarint(model.MaxMatchers) {
		typ := labels.MatchType(in.Byte())
		name, value := in.Text(model.MaxMatcherBytes), in.Text(model.MaxMatcherBytes)
		if in.Err != nil {
			break
		}
		if typ > labels.MatchNotRegexp {
			return nil, format.Corrupt("matcher of type %d", typ)
		}
		m, err := labels.NewMatcher(typ, name, value)
		if err != nil {
			return nil, format.Corrupt("matcher: %v", err)
		}
		ms = append(ms, m)
	}
	return ms, nil
}
