package storage_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/storage"
)

// lifeOptions are the options of the database that may change at a restart. Retention may
// change while it runs.
type lifeOptions struct {
	rawDays, minuteDays, hourDays, sixDays int // retention; 0 = for ever; < 0 of a tier = off
	rules                                  []lifeRule
	maxKiB                                 int64 // bound of bytes; 0 = none
	futureHours                            int
	segmentKiB                             int64
	cutMinutes                             int
	cacheKiB                               int64
}

// lifeRule is a retention rule.
type lifeRule struct {
	selector string
	keep     map[block.Tier]int // days; 0 = for ever; < 0 = nothing
}

func (r lifeRule) String() string {
	text := r.selector
	for _, tier := range lifeTiers {
		if days, ok := r.keep[tier]; ok {
			text += fmt.Sprintf(" %v=%dd", tier, days)
		}
	}
	return text
}

// lifeTiers are the tiers of a life.
var lifeTiers = []block.Tier{block.Raw, block.Minute, block.Hour, block.Hours6}

func (o lifeOptions) String() string {
	text := fmt.Sprintf("{raw=%dd 1m=%dd 1h=%dd 6h=%dd future=%dh segment=%dK cut=%dm cache=%dK", o.rawDays, o.minuteDays, o.hourDays, o.sixDays, o.futureHours, o.segmentKiB, o.cutMinutes, o.cacheKiB)
	if o.maxKiB > 0 {
		text += fmt.Sprintf(" max=%dK", o.maxKiB)
	}
	var rules []string
	for _, r := range o.rules {
		rules = append(rules, r.String())
	}
	if len(rules) > 0 {
		text += " rules: " + strings.Join(rules, "; ")
	}
	return text + "}"
}

func (o lifeOptions) rollups() bool { return o.minuteDays >= 0 || o.hourDays >= 0 || o.sixDays >= 0 }

// days returns the retention of a tier of all series that no rule matches.
func (o lifeOptions) days(tier block.Tier) int {
	switch tier {
	case block.Minute:
		return o.minuteDays
	case block.Hour:
		return o.hourDays
	case block.Hours6:
		return o.sixDays
	}
	return o.rawDays
}

// made reports whether there are rows of a tier.
func (o lifeOptions) made(tier block.Tier) bool { return tier == block.Raw || o.days(tier) >= 0 }

// keep returns the retention of a tier of one series, in days.
func (o lifeOptions) keep(tier block.Tier, series int) int {
	for _, r := range o.rules {
		if matchesAll(matchers(r.selector), lifeLabels[series]) {
			if days, ok := r.keep[tier]; ok {
				return days
			}
			break
		}
	}
	return o.days(tier)
}

// longest returns the longest retention of a tier that a rule or all series have, in days.
func (o lifeOptions) longest(tier block.Tier) int {
	all := []int{o.days(tier)}
	for _, r := range o.rules {
		if days, ok := r.keep[tier]; ok {
			all = append(all, days)
		}
	}
	if slices.Contains(all, 0) {
		return 0
	}
	return slices.Max(all)
}

func (o lifeOptions) policy() storage.Retention {
	p := storage.Retention{RawMs: int64(o.rawDays) * model.DayMs, MaxBytes: o.maxKiB << 10, TierMs: map[block.Tier]int64{}}
	for _, tier := range lifeTiers[1:] {
		if o.made(tier) {
			p.TierMs[tier] = int64(o.days(tier)) * model.DayMs
		}
	}
	for _, r := range o.rules {
		rule := storage.RetentionRule{Selectors: [][]*labels.Matcher{matchers(r.selector)}, Keep: map[block.Tier]int64{}}
		for tier, days := range r.keep {
			if rule.Keep[tier] = int64(days) * model.DayMs; days < 0 {
				rule.Keep[tier] = storage.KeepNone
			}
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

func (o lifeOptions) storage() storage.Options {
	p := o.policy()
	return storage.Options{
		RetentionMs: p.RawMs, TierRetentionMs: p.TierMs, RetentionRules: p.Rules, RetentionBytes: p.MaxBytes,
		MaxFutureMs: int64(o.futureHours) * model.HourMs, CutAge: time.Duration(o.cutMinutes) * time.Minute,
		WALSegmentBytes: o.segmentKiB << 10, WALPendingBytes: int(o.segmentKiB << 9), WALKeep: 1000 * 24 * time.Hour,
		CacheBytes: o.cacheKiB << 10, ReserveBytes: 4096, MinFreeBytes: 1, Seed: 1, AliasSeed: 1,
	}
}

func pickOf[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func randomOptions(r *rand.Rand) lifeOptions {
	o := lifeOptions{
		minuteDays: -1, hourDays: -1, sixDays: -1, futureHours: pickOf(r, 1, 48, 24*30), segmentKiB: pickOf(r, int64(64), 64, 256),
		cutMinutes: pickOf(r, 10, 30, 120), cacheKiB: pickOf(r, int64(-1), 4, 1024),
	}
	if r.IntN(4) > 0 {
		o.hourDays = 0
	}
	if r.IntN(3) > 0 {
		o.minuteDays = 0
	}
	if r.IntN(2) > 0 {
		o.sixDays = 0
	}
	o.retention(r)
	return o
}

// retention changes what may change while the database runs.
func (o *lifeOptions) retention(r *rand.Rand) {
	o.rawDays, o.maxKiB, o.rules = pickOf(r, 0, 0, 3, 5, 10), pickOf(r, int64(0), 0, 0, 0, 60, 150), nil
	if o.hourDays >= 0 {
		o.hourDays = pickOf(r, 0, 0, 30)
	}
	if o.minuteDays >= 0 {
		o.minuteDays = pickOf(r, 0, 7, 20)
	}
	if o.sixDays >= 0 {
		o.sixDays = pickOf(r, 0, 0, 40)
	}
	for range pickOf(r, 0, 0, 0, 0, 1, 3) {
		rule := lifeRule{selector: pickOf(r, `{env="dev"}`, `{env!="prod"}`, `{odd=~".+"}`, `{odd=""}`, `requests_total`, `{__name__=~"gauge|mixed"}`, `{i=~"[0-4]"}`, `{i="3",env="prod"}`), keep: map[block.Tier]int{}}
		if r.IntN(4) > 0 {
			rule.keep[block.Raw] = pickOf(r, 0, 1, 2, 4, 8)
		}
		for _, tier := range lifeTiers[1:] {
			if r.IntN(3) == 0 {
				rule.keep[tier] = pickOf(r, -1, 0, 5, 12)
			}
		}
		o.rules = append(o.rules, rule)
	}
}

// reloaded returns the options with the retention of others. The tiers stay.
func (o lifeOptions) reloaded(others lifeOptions) lifeOptions {
	o.rawDays, o.maxKiB, o.rules = others.rawDays, others.maxKiB, others.rules
	if o.minuteDays >= 0 {
		o.minuteDays = max(others.minuteDays, 0)
	}
	if o.hourDays >= 0 {
		o.hourDays = max(others.hourDays, 0)
	}
	if o.sixDays >= 0 {
		o.sixDays = max(others.sixDays, 0)
	}
	return o
}
