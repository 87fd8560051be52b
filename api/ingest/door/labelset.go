package door

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/storage"
)

// LabelSet collects and checks the labels of a series whose alias is unknown, and
// brings them to the form that storage expects: sorted, without empty values. The
// pairs point into the request; build returns a copy, which is valid until the request is
// decoded again or released. A LabelSet is not safe for concurrent use and can be reused
// after Reset.
type LabelSet struct {
	limits  Limits
	pairs   []labelPair
	excess  int     // number of pairs dropped because they exceed the limit
	extra   []Label // of the request
	builder model.LabelBuilder
	quotas  []detailQuota
}

// A detailQuota counts the detailed refusals left for a reason in one request.
// Only the first few refusals of each reason are described: a body of millions of
// bad series must not cost more than one of good series.
type detailQuota struct {
	reason storage.Reason
	left   int
	bare   *storage.Reject // without details
}

// maxDetails is the number of refusals of a reason that are described.
const maxDetails = 5

type labelPair struct{ name, value []byte }

// MetricName is the name of the label that holds the name of the metric.
var MetricName = []byte("__name__")

// begin resets the quotas for a new request. Labels built before are no longer valid: a
// request of new series would otherwise leave all of them to the garbage collector.
func (s *LabelSet) begin() {
	s.quotas = s.quotas[:0]
	s.builder.Rewind()
}

// Refuse returns a refusal, with details while the reason has quota left.
func (s *LabelSet) Refuse(reason storage.Reason, format string, args ...any) *storage.Reject {
	if !s.WantsDetail(reason) {
		return s.bare(reason)
	}
	return &storage.Reject{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// bare returns the refusal without details that all series share once the quota of
// the reason is used up.
func (s *LabelSet) bare(reason storage.Reason) *storage.Reject {
	i := slices.IndexFunc(s.quotas, func(q detailQuota) bool { return q.reason == reason })
	return s.quotas[i].bare
}

// WantsDetail reports whether a refusal is to be described, and counts it.
func (s *LabelSet) WantsDetail(reason storage.Reason) bool {
	for i := range s.quotas {
		if t := &s.quotas[i]; t.reason == reason {
			t.left--
			return t.left >= 0
		}
	}
	s.quotas = append(s.quotas, detailQuota{reason, maxDetails - 1, &storage.Reject{Reason: reason}})
	return true
}

// release drops the references to the request.
func (s *LabelSet) release() {
	clear(s.pairs[:cap(s.pairs)])
	s.extra = nil
}

// Reset empties the set.
func (s *LabelSet) Reset() { s.pairs, s.excess = s.pairs[:0], 0 }

// Add adds a label. At most one label more than the limit is kept, so a request
// of nothing but labels costs no memory.
func (s *LabelSet) Add(name, value []byte) {
	if len(s.pairs) > s.limits.Labels {
		s.excess++
		return
	}
	s.pairs = append(s.pairs, labelPair{name, value})
}

// build returns the labels of a series, or the reason for its refusal, in
// Prometheus' words where it has any.
func (s *LabelSet) build() (labels.Labels, *storage.Reject) {
	s.setExtra()
	return s.check()
}

// check is build without the labels of the request.
func (s *LabelSet) check() (labels.Labels, *storage.Reject) {
	if bad := s.tooLarge(storage.ReasonLimit, "series"); bad != nil {
		return labels.EmptyLabels(), bad
	}
	s.Sort()
	hasName := false
	for i, p := range s.pairs {
		switch {
		case i > 0 && bytes.Equal(p.name, s.pairs[i-1].name):
			return labels.EmptyLabels(), s.Refuse(storage.ReasonDuplicateLabel, "invalid labels for series, labels %s, duplicated label %s", s, p.name)
		case !utf8.Valid(p.name) || !utf8.Valid(p.value):
			return labels.EmptyLabels(), s.Refuse(storage.ReasonInvalidUTF8, "invalid metric name or labels, got %s: not UTF-8", s)
		case len(p.name) == 0:
			return labels.EmptyLabels(), s.Refuse(storage.ReasonBadLabel, "invalid metric name or labels, got %s: empty label name", s)
		}
		hasName = hasName || len(p.value) > 0 && bytes.Equal(p.name, MetricName)
	}
	if !hasName {
		return labels.EmptyLabels(), s.Refuse(storage.ReasonNoName, "invalid metric name or labels, got %s: no metric name", s)
	}
	return s.labels(), nil
}

// BuildExemplar returns the labels of an exemplar, which may be empty.
func (s *LabelSet) BuildExemplar() (labels.Labels, *storage.Reject) {
	if bad := s.tooLarge(storage.ReasonBadExemplar, "exemplar"); bad != nil {
		return labels.EmptyLabels(), bad
	}
	s.Sort()
	runes := 0
	for i, p := range s.pairs {
		switch {
		case i > 0 && bytes.Equal(p.name, s.pairs[i-1].name):
			return labels.EmptyLabels(), s.Refuse(storage.ReasonBadExemplar, "exemplar labels %s, duplicated label %s", s, p.name)
		case !utf8.Valid(p.name) || !utf8.Valid(p.value):
			return labels.EmptyLabels(), s.Refuse(storage.ReasonBadExemplar, "exemplar labels %s: not UTF-8", s)
		}
		runes += utf8.RuneCount(p.name) + utf8.RuneCount(p.value)
	}
	if runes > maxExemplarRunes {
		return labels.EmptyLabels(), s.Refuse(storage.ReasonBadExemplar,
			"label length for exemplar exceeds maximum: %d characters, limit is %d", runes, maxExemplarRunes)
	}
	return s.labels(), nil
}

// maxExemplarRunes is the limit of OpenMetrics and Prometheus for the combined
// length of the names and values of an exemplar's labels.
const maxExemplarRunes = 128

// Sort sorts the labels by name.
func (s *LabelSet) Sort() {
	byName := func(a, b labelPair) int { return bytes.Compare(a.name, b.name) }
	if !slices.IsSortedFunc(s.pairs, byName) {
		slices.SortStableFunc(s.pairs, byName)
	}
}

// labels returns a copy of the pairs.
func (s *LabelSet) labels() labels.Labels {
	s.builder.Reset()
	for _, p := range s.pairs {
		if len(p.value) > 0 {
			s.builder.AddBytes(p.name, p.value)
		}
	}
	return s.builder.Labels()
}

// String formats the labels for messages, truncated if they are long.
func (s *LabelSet) String() string {
	b := []byte{'{'}
	for i, p := range s.pairs {
		if i > 0 {
			b = append(b, ", "...)
		}
		if len(b) > MaxExcerptBytes {
			b = append(b, "…"...)
			break
		}
		b = append(b, Clip(string(p.name[:min(len(p.name), MaxExcerptBytes)]), MaxExcerptBytes)...)
		b = append(b, '=')
		b = strconv.AppendQuote(b, Clip(string(p.value[:min(len(p.value), MaxExcerptBytes)]), MaxExcerptBytes))
	}
	return Clip(string(append(b, '}')), 2*MaxExcerptBytes)
}
