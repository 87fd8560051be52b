package storage

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// lateLimits reports how old a sample of a series may be, where retention rules differ. It
// is asked only about samples older than every rule allows, so that others cost nothing.
type lateLimits struct {
	policy   *policy
	recorded *ruleFloors
	floor    int64 // of all series
	now      int64

	last  model.Ref
	limit lateLimit             // of last
	of    map[model.Ref]ruleRef // of series in the head; cleared when the rules change
}

// ruleRef is what the limit of a series follows from.
type ruleRef struct {
	rule     *policyRule
	recorded int64 // floor
}

// lateLimit is the oldest time that is taken of a series.
type lateLimit struct {
	oldest int64
	rule   *policyRule
}

// maxLateSeries bounds the series whose rules a batch remembers.
const maxLateSeries = 1 << 16

// reset prepares for the next request.
func (l *lateLimits) reset(db *DB) {
	p := db.policy.Load()
	recorded, floor := db.views.recordedRules()
	if p != l.policy || recorded != l.recorded || len(l.of) >= maxLateSeries {
		clear(l.of)
	}
	l.policy, l.recorded, l.floor, l.now, l.last = p, recorded, floor, db.now(), 0
}

// differ reports whether series may have other limits than the bounds of the batch.
func (l *lateLimits) differ() bool { return len(l.policy.rules) > 0 || l.recorded != nil }

// limitOf returns the limit of a series of the batch.
func (b *Batch) limitOf(ref model.Ref) lateLimit {
	l := &b.late
	if ref == l.last {
		return l.limit
	}
	r, known := l.of[ref]
	if !known {
		var ls labels.Labels
		if ref.Epoch() == 0 {
			ls = b.unregistered[ref.Slot()-1].labels
		} else {
			var ok bool
			if _, _, ls, ok = b.db.head.Labels(ref); !ok { // it has left the head: Commit returns ErrStaleRef
				return lateLimit{oldest: model.MinTime}
			}
		}
		r.recorded = l.recorded.floor(block.Raw, ls)
		if len(l.policy.rules) > 0 {
			r.rule = l.policy.of(ls)
		}
		if ref.Epoch() != 0 && len(l.of) < maxLateSeries {
			if l.of == nil {
				l.of = make(map[model.Ref]ruleRef)
			}
			l.of[ref] = r
		}
	}
	keep := l.policy.RawMs
	if r.rule != nil {
		keep = r.rule.keep[block.Raw]
	}
	l.last, l.limit = ref, lateLimit{oldest(l.now, keep, max(l.floor, r.recorded)), r.rule}
	return l.limit
}

// refused reports whether the times of a sample are refused. It is called for those
// outside of the bounds of the batch.
func (b *Batch) refused(ref model.Ref, t, st int64) bool {
	if ref == RefDropped {
		return false
	}
	if !b.late.differ() || t > b.maxT || t < model.MinTime || !model.ValidTime(st) || t < b.limitOf(ref).oldest {
		b.refuseTime(ref, t, st)
		return true
	}
	return false
}

// tooOldDetail returns the reason why a sample of a series is too old.
func (b *Batch) tooOldDetail(ref model.Ref, t int64) string {
	if !b.late.differ() {
		return timeDetail(ReasonTooOld, t, b.minT, b.maxT, b.db.settingOf(b.minT, b.late.policy.RawMs))
	}
	return b.limitOf(ref).detail(b.db, b.late.policy, t, b.maxT)
}

// detail returns the reason why a sample is too old; p is the policy of the limit.
func (l lateLimit) detail(db *DB, p *policy, t, newest int64) string {
	if l.rule == nil || l.rule.name == "" {
		return timeDetail(ReasonTooOld, t, l.oldest, newest, db.settingOf(l.oldest, p.RawMs))
	}
	if setting := db.settingOf(l.oldest, l.rule.keep[block.Raw]); setting != "--retention.raw" {
		return timeDetail(ReasonTooOld, t, l.oldest, newest, setting)
	}
	s := fmt.Sprintf("too old sample: %s is before %s, where raw retention of the rule %s begins", model.FormatTime(t), model.FormatTime(l.oldest), clip(l.rule.name))
	if suspicious(t) {
		s += "; check the precision of the timestamp"
	}
	return s
}
