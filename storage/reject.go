package storage

import (
	"fmt"
	"sort"
	"unicode/utf8"
)

// Reason says why a sample was refused. The list is closed: every value is a
// label value of tsdb_rejected_samples_total.
type Reason string

// The reasons.
const (
	ReasonTooOld         Reason = "too_old"         // below raw retention
	ReasonTooNew         Reason = "too_new"         // further ahead than the future bound
	ReasonStringField    Reason = "string_field"    // a string is no sample
	ReasonBadLabel       Reason = "bad_label"       // an empty or malformed label name, an unsorted reference
	ReasonBadValue       Reason = "bad_value"       // a value that is no number
	ReasonBadHistogram   Reason = "bad_histogram"   // a native histogram that contradicts itself
	ReasonNoName         Reason = "no_name"         // a series without a metric name
	ReasonDuplicateLabel Reason = "duplicate_label" // a label name twice in one series
	ReasonInvalidUTF8    Reason = "invalid_utf8"    // a label that is not UTF-8
	ReasonBadExemplar    Reason = "bad_exemplar"    // an exemplar whose labels are too long or malformed
	ReasonBadTime        Reason = "bad_time"        // no time, or one that no sample can have: see model.MinTime
	ReasonLimit          Reason = "limit"           // more labels, or longer ones, than the limits allow
	ReasonUnsupported    Reason = "unsupported"     // a kind of sample the server does not keep
	ReasonSeriesLimit    Reason = "series_limit"    // a new series beyond the limit of active ones
	ReasonChurnLimit     Reason = "churn_limit"     // a new series beyond the limit of new ones an hour
)

// Reasons lists every reason, for metrics that start at zero.
var Reasons = []Reason{
	ReasonTooOld, ReasonTooNew, ReasonStringField, ReasonBadLabel, ReasonBadValue, ReasonBadHistogram, ReasonNoName,
	ReasonDuplicateLabel, ReasonInvalidUTF8, ReasonBadExemplar, ReasonBadTime, ReasonLimit, ReasonUnsupported,
	ReasonSeriesLimit, ReasonChurnLimit,
}

// Reject is the error of a series that is refused.
type Reject struct {
	Reason Reason
	Detail string // a sentence for the sender: the fault, the figure reached and the limit
}

func (r *Reject) Error() string { return r.Detail }

func rejectf(reason Reason, format string, args ...any) *Reject {
	return &Reject{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Rejection counts the samples of one request that were refused for one reason.
type Rejection struct {
	Reason Reason
	Count  int
	Series string // one series of them
	T      int64  // that series' time, Unix milliseconds; 0 where time plays no part
	Detail string // the fault, the figure reached and the limit
}

// Rejections collects the refused samples of a request, one entry a reason.
type Rejections struct{ list []Rejection }

// Add counts n samples refused for a reason; the first of a reason is the example.
func (r *Rejections) Add(reason Reason, series string, t int64, detail string, n int) {
	for i := range r.list {
		if r.list[i].Reason == reason {
			r.list[i].Count += n
			return
		}
	}
	r.list = append(r.list, Rejection{Reason: reason, Count: n, Series: series, T: t, Detail: detail})
}

// Has reports whether the reason already has an example, so that the caller
// need not render another.
func (r *Rejections) Has(reason Reason) bool {
	for i := range r.list {
		if r.list[i].Reason == reason {
			return true
		}
	}
	return false
}

// List returns a copy of the entries, sorted by reason.
func (r *Rejections) List() []Rejection {
	l := append([]Rejection(nil), r.list...)
	sort.Slice(l, func(i, j int) bool { return l[i].Reason < l[j].Reason })
	return l
}

// Reset empties the collection.
func (r *Rejections) Reset() { r.list = r.list[:0] }

// clip shortens text for messages and logs.
func clip(s string) string {
	const maxBytes = 300
	if len(s) <= maxBytes {
		return s
	}
	cut := maxBytes
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
