package influx

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"tsdb/api/ingest/door"
)

// maxPolicies is the maximum number of retention policies kept for a database.
const maxPolicies = 64

// defaultPolicy is InfluxDB's name for the policy that every database has. Here it
// represents the server's retention, which applies to all samples.
const defaultPolicy = "autogen"

// policy is a retention policy. One created by a client has no effect; it is kept
// until the process ends, so that clients find what they created.
type policy struct {
	name               string
	duration, shard    time.Duration // 0 = unlimited
	replicas           int
	isDefault, isOwned bool // isOwned: created by a client
}

var policyColumns = []string{"name", "duration", "shardGroupDuration", "replicaN", "default"}

func (p policy) row() []any {
	return []any{p.name, p.duration.String(), p.shard.String(), p.replicas, p.isDefault}
}

// policies returns the policies of a database, the server's first.
func (h *Handler) policies(db string) []policy {
	own := h.databases.policies(db)
	server := policy{
		name: defaultPolicy, replicas: 1, shard: 24 * time.Hour,
		duration:  time.Duration(min(h.opts.RetentionMs, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond,
		isDefault: !slices.ContainsFunc(own, func(p policy) bool { return p.isDefault }),
	}
	return append([]policy{server}, own...)
}

func (h *Handler) showPolicies(db string) result {
	t := table{Columns: policyColumns}
	for _, p := range h.policies(db) {
		t.Values = append(t.Values, p.row())
	}
	return result{Series: []table{t}}
}

// setPolicy executes CREATE and ALTER RETENTION POLICY name ON db …; words are the
// words after POLICY.
func (h *Handler) setPolicy(words []string, alter bool) result {
	if len(words) < 3 || !strings.EqualFold(words[1], "on") {
		return result{Error: "error parsing query: want RETENTION POLICY name ON database"}
	}
	name, db := unquote(words[0]), unquote(words[2])
	if !validName(name) || !validName(db) {
		return result{Error: "invalid name"}
	}
	p := policy{name: name, shard: 24 * time.Hour, replicas: 1, isOwned: true}
	i := slices.IndexFunc(h.policies(db), func(p policy) bool { return p.name == name })
	switch {
	case alter && i < 0:
		return result{Error: "retention policy not found: " + name}
	case i >= 0:
		p = h.policies(db)[i]
	}
	if err := p.parse(words[3:], alter); err != nil {
		return result{Error: "error parsing query: " + err.Error()}
	}
	if p.isOwned && !h.databases.setPolicy(db, p) {
		return result{Error: "too many databases without samples or too many retention policies"}
	}
	return result{Messages: []message{{"warning", "retention policies have no effect here: all samples are kept for " + h.retentionText() + " (--retention.raw)"}}}
}

func (h *Handler) retentionText() string {
	if h.opts.RetentionMs == 0 {
		return "ever"
	}
	return (time.Duration(h.opts.RetentionMs) * time.Millisecond).String()
}

// dropPolicy executes DROP RETENTION POLICY name ON db.
func (h *Handler) dropPolicy(words []string) result {
	if len(words) != 3 || !strings.EqualFold(words[1], "on") {
		return result{Error: "error parsing query: want DROP RETENTION POLICY name ON database"}
	}
	if unquote(words[0]) == defaultPolicy {
		return result{Error: "retention policy " + defaultPolicy + " was not dropped: it stands for --retention.raw, and nothing was deleted"}
	}
	h.databases.dropPolicy(unquote(words[2]), unquote(words[0]))
	return result{}
}

// parse parses [DURATION d] [REPLICATION n] [SHARD DURATION d] [DEFAULT]. CREATE
// requires the first two.
func (p *policy) parse(words []string, alter bool) error {
	var hasDuration, hasReplication bool
	for len(words) > 0 {
		keyword := strings.ToLower(words[0])
		words = words[1:]
		if keyword == "default" {
			p.isDefault = true
			continue
		}
		if keyword == "shard" && len(words) > 0 && strings.EqualFold(words[0], "duration") {
			keyword, words = "shard duration", words[1:]
		}
		if len(words) == 0 {
			return fmt.Errorf("found EOF after %s", strings.ToUpper(keyword))
		}
		value := words[0]
		words = words[1:]
		var err error
		switch keyword {
		case "duration":
			hasDuration = true
			p.duration, err = parseDuration(value)
		case "shard duration":
			p.shard, err = parseDuration(value)
		case "replication":
			hasReplication = true
			if p.replicas, err = strconv.Atoi(value); err != nil || p.replicas < 1 {
				err = fmt.Errorf("invalid value %s: must be 1 <= n", door.Clip(value, 40))
			}
		default:
			err = fmt.Errorf("found %s, expected DURATION, REPLICATION, SHARD DURATION or DEFAULT", door.Clip(keyword, 40))
		}
		if err != nil {
			return err
		}
	}
	if !alter && !(hasDuration && hasReplication) {
		return fmt.Errorf("a retention policy needs DURATION and REPLICATION")
	}
	return nil
}

// durationUnits are the units of InfluxQL durations.
var durationUnits = map[string]time.Duration{
	"ns": time.Nanosecond, "u": time.Microsecond, "µ": time.Microsecond, "ms": time.Millisecond, "s": time.Second,
	"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// parseDuration parses an InfluxQL duration: 30d, 1h30m, INF.
func parseDuration(s string) (time.Duration, error) {
	if strings.EqualFold(s, "inf") {
		return 0, nil
	}
	bad := fmt.Errorf("invalid duration %q", door.Clip(s, 40))
	var total time.Duration
	if s == "" {
		return 0, bad
	}
	for rest := s; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		rest = rest[digits:]
		unit := rest
		if end := strings.IndexAny(rest, "0123456789"); end >= 0 {
			unit = rest[:end]
		}
		d, known := durationUnits[unit]
		if err != nil || !known || n > math.MaxInt64/int64(d) || time.Duration(n)*d > math.MaxInt64-total {
			return 0, bad
		}
		total += time.Duration(n) * d
		rest = rest[len(unit):]
	}
	return total, nil
}
