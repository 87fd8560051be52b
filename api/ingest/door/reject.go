package door

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"tsdb/storage"
)

// MaxExcerptBytes bounds the excerpt of a series, line or label in a message, and
// maxDetailBytes the explanation.
const (
	MaxExcerptBytes = 300
	maxDetailBytes  = 3 * MaxExcerptBytes
)

// Describe returns the text of a rejection for the client, with one series as an
// example.
func Describe(r storage.Rejection) string {
	text := Clip(r.Detail, maxDetailBytes)
	if text == "" {
		text = string(r.Reason)
	}
	if series := Clip(r.Series, MaxExcerptBytes); series != "" && !strings.Contains(text, series) {
		text += " for series " + series
	}
	return text
}

// Summary returns the text of a partial write: the numbers of samples written and
// refused, and an example for each reason. It is a single line, because senders
// log only the first.
func Summary(written, refused int, rs []storage.Rejection) string {
	var b strings.Builder
	fmt.Fprintf(&b, "partial write: %d written, %d refused", written, refused)
	for i, r := range rs {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%s (%s, %d)", sep, Describe(r), r.Reason, r.Count)
	}
	return strings.ReplaceAll(b.String(), "\n", " ")
}

// Clip truncates s to at most n bytes, at a character boundary, and appends an
// ellipsis.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
