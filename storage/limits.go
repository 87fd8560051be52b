package storage

import (
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Limits bounds what a series may look like. Zero fields take the defaults.
type Limits struct {
	Labels     int // labels a series, the metric name included; default 128
	NameBytes  int // bytes of a label name; default 1 KiB
	ValueBytes int // bytes of a label value; default 16 KiB
}

func (l Limits) withDefaults() Limits {
	if l.Labels == 0 {
		l.Labels = 128
	}
	if l.NameBytes == 0 {
		l.NameBytes = 1 << 10
	}
	if l.ValueBytes == 0 {
		l.ValueBytes = 16 << 10
	}
	return l
}

// check reports what is wrong with a label set, nil if it may be stored.
func (l Limits) check(ls labels.Labels) *Reject {
	if n := ls.Len(); n > l.Labels {
		return rejectf(ReasonLimit, "series has %d labels, limit is %d (--limit.labels)", n, l.Labels)
	}
	if ls.Get(model.MetricNameLabel) == "" {
		return rejectf(ReasonNoName, "series has no metric name (label __name__): %s", clip(ls.String()))
	}
	var bad *Reject
	prev := ""
	ls.Range(func(lb labels.Label) {
		if bad != nil {
			return
		}
		switch {
		case lb.Name == "":
			bad = rejectf(ReasonBadLabel, "series has a label with an empty name: %s", clip(ls.String()))
		case len(lb.Name) > l.NameBytes:
			bad = rejectf(ReasonLimit, "label name of %d bytes, limit is %d (--limit.label-name): %s", len(lb.Name), l.NameBytes, clip(lb.Name))
		case len(lb.Value) > l.ValueBytes:
			bad = rejectf(ReasonLimit, "value of label %q has %d bytes, limit is %d (--limit.label-value)", clip(lb.Name), len(lb.Value), l.ValueBytes)
		case lb.Name == prev:
			bad = rejectf(ReasonDuplicateLabel, "label name %q occurs twice in %s", clip(lb.Name), clip(ls.String()))
		case !utf8.ValidString(lb.Name) || !utf8.ValidString(lb.Value):
			bad = rejectf(ReasonInvalidUTF8, "invalid metric name or labels, got %s: not UTF-8", clip(ls.String()))
		case lb.Name < prev:
			bad = rejectf(ReasonBadLabel, "BUG: labels not sorted: %s", clip(ls.String()))
		}
		prev = lb.Name
	})
	return bad
}

// clip shortens what goes into messages and logs.
func clip(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
