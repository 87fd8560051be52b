package transfer

import (
	"fmt"
	"unicode/utf8"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/storage"
)

// Limits of the labels of a series, the defaults of the settings limit.labels,
// limit.label-name and limit.label-value.
const (
	maxLabels     = 128
	maxNameBytes  = 1 << 10
	maxValueBytes = 16 << 10
)

// CheckLabels returns why a series with the labels, sorted by name, is refused: the
// rules are those of the doors. The reason is empty if it is not.
func CheckLabels(ls labels.Labels) (reason storage.Reason, detail string) {
	prev, named := "", false
	n := 0
	ls.Range(func(l labels.Label) {
		n++
		switch {
		case reason != "":
		case l.Name == "" || l.Value == "":
			reason, detail = storage.ReasonBadLabel, fmt.Sprintf("label %q has the value %q", clip(l.Name), clip(l.Value))
		case l.Name == prev:
			reason, detail = storage.ReasonDuplicateLabel, fmt.Sprintf("label %q is given twice", clip(l.Name))
		case l.Name < prev:
			reason, detail = storage.ReasonBadLabel, fmt.Sprintf("label %q is behind %q", clip(l.Name), clip(prev))
		case !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value):
			reason, detail = storage.ReasonInvalidUTF8, fmt.Sprintf("label %q is not UTF-8", clip(l.Name))
		case len(l.Name) > maxNameBytes:
			reason, detail = storage.ReasonLimit, fmt.Sprintf("label name of %d bytes, limit is %d", len(l.Name), maxNameBytes)
		case len(l.Value) > maxValueBytes:
			reason, detail = storage.ReasonLimit, fmt.Sprintf("value of label %q has %d bytes, limit is %d", clip(l.Name), len(l.Value), maxValueBytes)
		}
		prev = l.Name
		named = named || l.Name == prommodel.MetricNameLabel
	})
	switch {
	case reason != "":
	case n > maxLabels:
		reason, detail = storage.ReasonLimit, fmt.Sprintf("series has %d labels, limit is %d", n, maxLabels)
	case !named:
		reason, detail = storage.ReasonNoName, "series without a metric name"
	}
	return reason, detail
}

// clip shortens text for messages.
func clip(s string) string {
	const maxBytes = 300
	if len(s) <= maxBytes {
		return s
	}
	n := maxBytes
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
