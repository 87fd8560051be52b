package storage

import (
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// RawLimit is the oldest time of samples that are taken of the series of a retention rule.
type RawLimit struct {
	// Selectors are sets of matchers: a series matches if it satisfies all of one. None
	// match every series.
	Selectors [][]*labels.Matcher
	Oldest    int64  // Unix milliseconds
	Rule      string // "" = that of all other series
}

// RawLimits returns lists of limits, each of which ends with one for every series. In a list
// the first limit that matches a series counts, and of the lists the highest: one is of the
// retention in force, the others are floors that earlier ones have left. Without rules
// there is one list with one limit.
func (db *DB) RawLimits() [][]RawLimit { return db.rawLimits(db.policy.Load()) }

func (db *DB) rawLimits(p *policy) [][]RawLimit {
	_, floor := db.views.recordedRules()
	all := [][]RawLimit{p.rawLimits(db.now(), floor)}
	for _, recorded := range db.manifest.State().RuleLists {
		var list []RawLimit
		for j := range recorded.Rules {
			r := &recorded.Rules[j]
			l := RawLimit{Selectors: r.Selectors, Oldest: max(r.Floor(block.Raw), model.MinTime)}
			if len(r.Selectors) > 0 {
				l.Rule = r.String()
			}
			list = append(list, l)
		}
		all = append(all, list)
	}
	return all
}

// rawLimits returns the limits at a time, above the floor of all series.
func (p *policy) rawLimits(now, floor int64) []RawLimit {
	if len(p.rules) == 0 {
		return []RawLimit{{Oldest: oldest(now, p.RawMs, floor)}}
	}
	var list []RawLimit
	for i := range p.rules {
		r := &p.rules[i]
		list = append(list, RawLimit{r.selectors, oldest(now, r.keep[block.Raw], floor), r.name})
	}
	return list
}

// LimitsOf returns the limits of a database that is new at a time, in Unix milliseconds, and
// the oldest time of samples that are taken of every series.
func LimitsOf(r Retention, now int64) (_ [][]RawLimit, lo int64, _ error) {
	p, err := newPolicy(r)
	if err != nil {
		return nil, 0, err
	}
	return [][]RawLimit{p.rawLimits(now, manifest.NoFloor)}, oldest(now, p.shortestRaw(), manifest.NoFloor), nil
}

// RawLimits returns the limits of the import: see DB.RawLimits.
func (im *Import) RawLimits() [][]RawLimit { return im.db.rawLimits(im.limits.policy) }

// importLimits reports how old samples of a series may be. It is asked only about samples
// older than every rule allows.
type importLimits struct {
	policy   *policy
	recorded *ruleFloors
	floor    int64 // of all series
	now      int64
}

func (l *importLimits) begin(db *DB) {
	l.recorded, l.floor = db.views.recordedRules()
	l.now = db.now()
}

// bounds returns the times that are taken of every series, both inclusive.
func (l *importLimits) bounds(maxFutureMs int64) (lo, hi int64) {
	floor := l.floor
	if l.recorded != nil {
		floor = max(floor, l.recorded.highest)
	}
	return oldest(l.now, l.policy.shortestRaw(), floor), newest(l.now, maxFutureMs)
}

// differ reports whether series may have other limits than bounds returns.
func (l *importLimits) differ() bool { return len(l.policy.rules) > 0 || l.recorded != nil }

// of returns the limit of a series.
func (l *importLimits) of(ls labels.Labels) lateLimit {
	keep, floor := l.policy.RawMs, manifest.NoFloor
	var rule *policyRule
	if len(l.policy.rules) > 0 {
		rule = l.policy.of(ls)
		keep = rule.keep[block.Raw]
	}
	if l.recorded != nil {
		floor = l.recorded.floor(block.Raw, ls)
	}
	return lateLimit{oldest(l.now, keep, max(l.floor, floor)), rule}
}
