package ingest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/storage"
)

// labelSet collects and checks the labels of a series whose alias is unknown, and
// brings them to the form that storage expects: sorted, without empty values. The
// pairs point into the request; build returns a copy. A labelSet is not safe for
// concurrent use and can be reused after reset.
type labelSet struct {
	limits  storage.Limits
	pairs   []labelPair
	excess  int // number of pairs dropped because they exceed the limit
	builder labels.ScratchBuilder
	quotas  []detailQuota
}

// A detailQuota counts the detailed refusals left for a reason in one request.
// Only the first few refusals of each reason are described: a body of millions of
// bad series must not cost more than one of good series.
type detailQuota struct {
	reason storage.Reason
	left   int
}

// maxDetails is the number of refusals of a reason that are described.
const maxDetails = maxLineErrors

type labelPair struct{ name, value []byte }

var metricName = []byte("__name__")

// begin resets the quotas for a new request.
func (s *labelSet) begin() { s.quotas = s.quotas[:0] }

// refuse returns a refusal, with details while the reason has quota left.
func (s *labelSet) refuse(reason storage.Reason, format string, args ...any) *storage.Reject {
	if !s.wantsDetail(reason) {
		return &storage.Reject{Reason: reason}
	}
	return &storage.Reject{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// wantsDetail reports whether a refusal is to be described, and counts it.
func (s *labelSet) wantsDetail(reason storage.Reason) bool {
	for i := range s.quotas {
		if t := &s.quotas[i]; t.reason == reason {
			t.left--
			return t.left >= 0
		}
	}
	s.quotas = append(s.quotas, detailQuota{reason, maxDetails - 1})
	return true
}

func (s *labelSet) reset() { s.pairs, s.excess = s.pairs[:0], 0 }

// add adds a label. At most one label more than the limit is kept, so a request
// of nothing but labels costs no memory.
func (s *labelSet) add(name, value []byte) {
	if len(s.pairs) > s.limits.Labels {
		s.excess++
		return
	}
	s.pairs = append(s.pairs, labelPair{name, value})
}

// build returns the labels of a series, or the reason for its refusal, in
// Prometheus' words where it has any.
func (s *labelSet) build() (labels.Labels, *storage.Reject) {
	if bad := s.tooLarge(); bad != nil {
		return labels.EmptyLabels(), bad
	}
	s.sort()
	hasName := false
	for i, p := range s.pairs {
		switch {
		case i > 0 && bytes.Equal(p.name, s.pairs[i-1].name):
			return labels.EmptyLabels(), s.refuse(storage.ReasonDuplicateLabel, "invalid labels for series, labels %s, duplicated label %s", s, p.name)
		case !utf8.Valid(p.name) || !utf8.Valid(p.value):
			return labels.EmptyLabels(), s.refuse(storage.ReasonInvalidUTF8, "invalid metric name or labels, got %s: not UTF-8", s)
		case len(p.name) == 0:
			return labels.EmptyLabels(), s.refuse(storage.ReasonBadLabel, "invalid metric name or labels, got %s: empty label name", s)
		}
		hasName = hasName || len(p.value) > 0 && bytes.Equal(p.name, metricName)
	}
	if !hasName {
		return labels.EmptyLabels(), s.refuse(storage.ReasonNoName, "invalid metric name or labels, got %s: no metric name", s)
	}
	return s.labels(), nil
}

// buildExemplar returns the labels of an exemplar, which may be empty.
func (s *labelSet) buildExemplar() (labels.Labels, *storage.Reject) {
	if bad := s.tooLarge(); bad != nil {
		return labels.EmptyLabels(), s.refuse(storage.ReasonBadExemplar, "exemplar: %s", bad.Detail)
	}
	s.sort()
	runes := 0
	for i, p := range s.pairs {
		switch {
		case i > 0 && bytes.Equal(p.name, s.pairs[i-1].name):
			return labels.EmptyLabels(), s.refuse(storage.ReasonBadExemplar, "exemplar labels %s, duplicated label %s", s, p.name)
		case !utf8.Valid(p.name) || !utf8.Valid(p.value):
			return labels.EmptyLabels(), s.refuse(storage.ReasonBadExemplar, "exemplar labels %s: not UTF-8", s)
		}
		runes += utf8.RuneCount(p.name) + utf8.RuneCount(p.value)
	}
	if runes > maxExemplarRunes {
		return labels.EmptyLabels(), s.refuse(storage.ReasonBadExemplar,
			"label length for exemplar exceeds maximum: %d characters, limit is %d", runes, maxExemplarRunes)
	}
	return s.labels(), nil
}

// maxExemplarRunes is the limit of OpenMetrics and Prometheus for the combined
// length of the names and values of an exemplar's labels.
const maxExemplarRunes = 128

// tooLarge returns a refusal if the labels exceed a limit. It is called before
// the labels are copied or formatted.
func (s *labelSet) tooLarge() *storage.Reject {
	if n := len(s.pairs) + s.excess; n > s.limits.Labels {
		return s.refuse(storage.ReasonLimit, "series has %d labels, limit is %d: %s", n, s.limits.Labels, s)
	}
	for _, p := range s.pairs {
		if len(p.name) > s.limits.NameBytes {
			return s.refuse(storage.ReasonLimit, "label name of %d bytes, limit is %d: %s", len(p.name), s.limits.NameBytes, s)
		}
		if len(p.value) > s.limits.ValueBytes {
			return s.refuse(storage.ReasonLimit, "value of label %q has %d bytes, limit is %d: %s",
				clip(string(p.name), maxExcerptBytes), len(p.value), s.limits.ValueBytes, s)
		}
	}
	return nil
}

func (s *labelSet) sort() {
	byName := func(a, b labelPair) int { return bytes.Compare(a.name, b.name) }
	if !slices.IsSortedFunc(s.pairs, byName) {
		slices.SortStableFunc(s.pairs, byName)
	}
}

// labels returns a copy of the pairs. The views are valid until the builder has
// copied them.
func (s *labelSet) labels() labels.Labels {
	s.builder.Reset()
	for _, p := range s.pairs {
		if len(p.value) > 0 {
			s.builder.Add(view(p.name), view(p.value))
		}
	}
	return s.builder.Labels()
}

// String formats the labels for messages, truncated if they are long.
func (s *labelSet) String() string {
	b := []byte{'{'}
	for i, p := range s.pairs {
		if i > 0 {
			b = append(b, ", "...)
		}
		if len(b) > maxExcerptBytes {
			b = append(b, "…"...)
			break
		}
		b = append(b, clip(string(p.name[:min(len(p.name), maxExcerptBytes)]), maxExcerptBytes)...)
		b = append(b, '=')
		b = strconv.AppendQuote(b, clip(string(p.value[:min(len(p.value), maxExcerptBytes)]), maxExcerptBytes))
	}
	return clip(string(append(b, '}')), 2*maxExcerptBytes)
}
