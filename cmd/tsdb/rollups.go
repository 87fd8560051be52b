package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tsdb/partition/block"
)

// tierList is a flag value: the names of rollup tiers, separated by commas, in any
// order; off or nothing = none. It is held finest first.
type tierList []block.Tier

const noTiers = "off"

func (l *tierList) String() string {
	if len(*l) == 0 {
		return noTiers
	}
	var names []string
	for _, t := range *l {
		names = append(names, t.String())
	}
	return strings.Join(names, ",")
}

func (l *tierList) Set(s string) error {
	var tiers tierList
	if s != "" && s != noTiers {
		for name := range strings.SplitSeq(s, ",") {
			name = strings.TrimSpace(name)
			t, ok := block.ParseTier(name)
			switch {
			case !ok || t == block.Raw:
				return fmt.Errorf("%q is not a rollup: want off, or some of %s separated by commas", name, rollupNames())
			case slices.Contains(tiers, t):
				return fmt.Errorf("%s is given twice", name)
			}
			tiers = append(tiers, t)
		}
	}
	slices.Sort(tiers)
	*l = tiers
	return nil
}

// rollupNames returns the names of all tiers a rollup can have.
func rollupNames() string {
	all := tierList(block.Rollups)
	return strings.ReplaceAll(all.String(), ",", ", ")
}

// tierRetention is a flag value: a duration, 0 for ever, or off for no such tier. That of
// a tier coarser than an hour may be empty: see config.retentionFor.
type tierRetention struct {
	duration
	off    bool
	coarse bool // may be empty
	asHour bool // is empty
}

func (r *tierRetention) String() string {
	switch {
	case r.asHour:
		return ""
	case r.off:
		return noTiers
	}
	return r.duration.String()
}

func (r *tierRetention) Set(s string) error {
	if s == noTiers || s == "" && r.coarse {
		*r = tierRetention{off: s == noTiers, asHour: s == "", coarse: r.coarse}
		return nil
	}
	var d duration
	if err := d.Set(s); err != nil {
		return fmt.Errorf("%q is neither a duration such as 180d or 5y nor off", s)
	}
	*r = tierRetention{duration: d, coarse: r.coarse}
	return nil
}

// defaultTierRetention is the default of the setting of each tier.
var defaultTierRetention = map[block.Tier]string{
	block.Minute: "180d", block.Minutes5: "1y", block.HalfHour: "2y", block.Hour: "5y", block.Hours6: "",
}

// retentionFor returns the retention of a tier. Tiers coarser than an hour are kept as
// long as hours if nothing else is said: nobody means to keep them when hours leave.
func (c *config) retentionFor(t block.Tier) *tierRetention {
	if r := c.tierRetention[t]; !r.asHour {
		return r
	}
	return c.tierRetention[block.Hour]
}

// tiers returns the rollups in force, finest first: those of --rollups whose
// retention is not off.
func (c *config) tiers() []block.Tier {
	var tiers []block.Tier
	for _, t := range c.rollups {
		if !c.retentionFor(t).off {
			tiers = append(tiers, t)
		}
	}
	return tiers
}

// tierRetentionMs returns the retention of each rollup in force; 0 = for ever.
func (c *config) tierRetentionMs() map[block.Tier]int64 {
	all := make(map[block.Tier]int64)
	for _, t := range c.tiers() {
		all[t] = c.retentionFor(t).ms()
	}
	return all
}

// tierNames returns the names of the rollups in force, finest first.
func (c *config) tierNames() []string {
	var names []string
	for _, t := range c.tiers() {
		names = append(names, t.String())
	}
	return names
}

// checkRetention reports the retentions that are too short to be meant.
func (c *config) checkRetention(refuse func(format string, args ...any)) {
	if d := time.Duration(c.retention); d != 0 && d < time.Hour {
		refuse("--retention.raw=%s is shorter than an hour", c.retention.String())
	}
	for _, t := range block.Rollups {
		if r := c.tierRetention[t]; !r.asHour && r.duration != 0 && time.Duration(r.duration) < 24*time.Hour {
			refuse("--retention.%v=%s is shorter than a day, the unit in which rollups are made and deleted", t, r.String())
		}
	}
}

// warnings returns the settings that are allowed and probably not meant.
func (c *config) warnings() []string {
	var all []string
	for _, t := range block.Rollups {
		name := "retention." + t.String()
		r := c.tierRetention[t]
		switch {
		case r.asHour: // what is said of hours is said of it
		case !slices.Contains(c.rollups, t):
			if f := c.flags.Lookup(name); f.Value.String() != f.DefValue && !r.off {
				all = append(all, fmt.Sprintf("--%s=%s has no effect: --rollups=%s has no %v", name, r.String(), c.rollups.String(), t))
			}
		case !r.off && r.duration != 0 && (c.retention == 0 || r.duration < c.retention):
			raw := c.retention.String()
			if c.retention == 0 {
				raw = "0 (for ever)"
			}
			all = append(all, fmt.Sprintf("--%s=%s is shorter than --retention.raw=%s: the rollup leaves before its samples, and older queries read these", name, r.String(), raw))
		}
	}
	if c.webConfig != "" && (c.graphiteTCP != "" || c.graphiteUDP != "") {
		all = append(all, "--graphite.tcp and --graphite.udp take lines without the credentials of --web.config.file: let only trusted networks reach them")
	}
	if c.webConfig != "" && (c.influxTCP != "" || c.influxUDP != "") {
		all = append(all, "--influx.tcp and --influx.udp take lines without the credentials of --web.config.file: let only trusted networks reach them")
	}
	return append(all, c.ruleWarnings()...)
}

// rollupsText describes the rollups in force with their retentions.
func (c *config) rollupsText() string {
	var all []string
	for _, t := range c.tiers() {
		r := c.retentionFor(t)
		kept := r.String()
		if r.duration == 0 {
			kept = "for ever"
		}
		all = append(all, t.String()+" "+kept)
	}
	if len(all) == 0 {
		return noTiers
	}
	return strings.Join(all, ", ")
}
