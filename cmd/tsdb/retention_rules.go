package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"tsdb/partition/block"
	"tsdb/storage"
)

// rulesKey is the key of the list of retention rules in the configuration file. It is
// the only one that is no flag.
const rulesKey = "retention"

// retentionRule is a rule of the configuration file.
type retentionRule struct {
	line      int
	selectors []string
	matchers  [][]*labels.Matcher // of selectors
	keep      map[block.Tier]*tierRetention
}

// parseRules returns the rules of the value of rulesKey. Errors name the line; all are
// reported at once.
func (c *config) parseRules(value *yaml.Node) error {
	if value.Kind == yaml.ScalarNode && value.Tag == "!!null" {
		return nil
	}
	if value.Kind != yaml.SequenceNode {
		return c.at(value, "key %q takes a list of rules such as - {match: '{env=\"dev\"}', raw: 3d, 1h: 30d}; the retention of all series is that of retention.raw", rulesKey)
	}
	var errs []error
	for _, n := range value.Content {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		rule, err := c.parseRule(n)
		errs = append(errs, err)
		c.rules = append(c.rules, rule)
	}
	return errors.Join(errs...)
}

func (c *config) parseRule(n *yaml.Node) (retentionRule, error) {
	rule := retentionRule{line: n.Line, keep: map[block.Tier]*tierRetention{}}
	if n.Kind != yaml.MappingNode {
		return rule, c.at(n, "a retention rule has the form {match: '{env=\"dev\"}', raw: 3d, 1h: 30d}")
	}
	var errs []error
	refuse := func(n *yaml.Node, format string, args ...any) { errs = append(errs, c.at(n, format, args...)) }
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if seen[key.Value] {
			refuse(key, "key %q is given twice in a rule", key.Value)
			continue
		}
		seen[key.Value] = true
		tier, isTier := block.ParseTier(key.Value)
		switch {
		case key.Value == "match":
			rule.parseMatch(value, refuse)
		case !isTier:
			refuse(key, "unknown key %q in a retention rule: want match, raw, or some of %s", key.Value, rollupNames())
		case value.Kind != yaml.ScalarNode:
			refuse(value, "key %q takes a single value", key.Value)
		default:
			r := new(tierRetention)
			switch err := r.Set(value.Value); {
			case err != nil:
				refuse(value, "key %q: %v", key.Value, err)
			case tier == block.Raw && r.off:
				refuse(value, "key %q: samples cannot be off: the shortest retention is an hour", key.Value)
			case tier == block.Raw && r.duration != 0 && time.Duration(r.duration) < time.Hour:
				refuse(value, "key %q: %s is shorter than an hour", key.Value, r.String())
			case tier != block.Raw && !r.off && r.duration != 0 && time.Duration(r.duration) < 24*time.Hour:
				refuse(value, "key %q: %s is shorter than a day, the unit in which rollups are made and deleted", key.Value, r.String())
			}
			rule.keep[tier] = r
		}
	}
	switch {
	case !seen["match"]:
		refuse(n, "a retention rule needs the key match, a selector such as '{env=\"dev\"}'")
	case len(rule.keep) == 0 && len(errs) == 0:
		refuse(n, "a retention rule names the retention of raw or of a rollup")
	}
	return rule, errors.Join(errs...)
}

// parseMatch sets the selectors of the rule: one, or a list.
func (r *retentionRule) parseMatch(value *yaml.Node, refuse func(n *yaml.Node, format string, args ...any)) {
	nodes := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		nodes = value.Content
	}
	if len(nodes) == 0 {
		refuse(value, "key %q needs a selector", "match")
	}
	p := parser.NewParser(parser.Options{})
	for _, n := range nodes {
		if n.Kind != yaml.ScalarNode {
			refuse(n, "key %q takes a selector such as '{env=\"dev\"}', in quotes, or a list of them", "match")
			continue
		}
		ms, err := p.ParseMetricSelector(n.Value)
		if err != nil {
			refuse(n, "key %q: %q is not a selector: %v", "match", n.Value, err)
			continue
		}
		if len(ms) == 0 {
			refuse(n, "key %q: %q is not a selector of some series: the retention of all is that of retention.raw", "match", n.Value)
			continue
		}
		slices.SortStableFunc(ms, func(a, b *labels.Matcher) int { return strings.Compare(a.Name, b.Name) })
		r.selectors, r.matchers = append(r.selectors, n.Value), append(r.matchers, ms)
	}
}

// at returns an error about a place in the configuration file.
func (c *config) at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", c.file, n.Line, fmt.Sprintf(format, args...))
}

// storageRules returns the rules for the database.
func (c *config) storageRules() []storage.RetentionRule {
	var all []storage.RetentionRule
	for _, r := range c.rules {
		rule := storage.RetentionRule{Selectors: r.matchers, Keep: map[block.Tier]int64{}}
		for tier, keep := range r.keep {
			if rule.Keep[tier] = keep.ms(); keep.off {
				rule.Keep[tier] = storage.KeepNone
			}
		}
		if hours, ok := rule.Keep[block.Hour]; ok {
			for _, tier := range c.tiers() {
				if r.keep[tier] == nil && tier > block.Hour { // see retentionFor
					rule.Keep[tier] = hours
				}
			}
		}
		all = append(all, rule)
	}
	return all
}

// retentionOf returns the retention for the database.
func (c *config) retentionOf() storage.Retention {
	return storage.Retention{RawMs: c.retention.ms(), TierMs: c.tierRetentionMs(), Rules: c.storageRules(), MaxBytes: int64(c.retentionSize.bytes), MaxPercent: c.retentionSize.percent}
}

// ruleWarnings returns the parts of rules that have no effect.
func (c *config) ruleWarnings() []string {
	var all []string
	for _, r := range c.rules {
		for _, t := range block.Rollups {
			if keep := r.keep[t]; keep != nil && !keep.off && !slices.Contains(c.tiers(), t) {
				all = append(all, fmt.Sprintf("%s:%d: %s: %s has no effect: there is no rollup of %s", c.file, r.line, t, keep.String(), t))
			}
		}
	}
	return all
}

// rulesYAML returns the rules in the form of a configuration file, "" if there are none.
func (c *config) rulesYAML() string {
	if len(c.rules) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(rulesKey + ":\n")
	for _, r := range c.rules {
		var selectors []string
		for _, s := range r.selectors {
			selectors = append(selectors, "'"+strings.ReplaceAll(s, "'", "''")+"'")
		}
		fmt.Fprintf(&b, "  - {match: [%s]", strings.Join(selectors, ", "))
		for _, t := range append([]block.Tier{block.Raw}, block.Rollups...) {
			if keep := r.keep[t]; keep != nil {
				fmt.Fprintf(&b, ", %s: %q", t, keep.String())
			}
		}
		b.WriteString("}\n")
	}
	return b.String()
}
